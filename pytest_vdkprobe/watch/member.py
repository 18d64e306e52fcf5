"""One scenario of a watch: its schedule, the process that runs it, and what became of it so far."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.verdicts import Verdict
from pytest_vdkprobe.watch.channel import Message
from pytest_vdkprobe.watch.process import ScenarioProcess
from pytest_vdkprobe.watch.slots import Slots

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0
START_LIMIT_S = 300.0
"""What a process may take until it is ready: it may have to wait for the one before."""


class Limits(NamedTuple):
    """When a process counts as stuck, in seconds."""

    round_s: float
    grace_s: float


class Member:
    """Kept going by `tick`; tells `heard` what its process says that is of interest to others."""

    def __init__(
        self,
        name: str,
        *,
        interval_s: float,
        limits: Limits,
        launch: Callable[[str, list[str]], ScenarioProcess],
        recorder: Recorder,
        heard: Callable[[Member, Mapping[str, Any]], None],
    ) -> None:
        self.name = name
        self.limits = limits
        self.process: ScenarioProcess | None = None
        self.verdicts: dict[str, Verdict] = {}
        """The last of each check."""
        self.seen: dict[str, dict[Verdict, int]] = {}
        """How many rounds of each check ended how."""
        self.retired = False
        """Whether it is to end for good."""
        self._launch = launch
        self._heard = heard
        self._slots: Slots | None = None
        self._round = 0
        self._deaths = 0
        self._start_at = 0.0
        self._interrupted_at: float | None = None
        self._died: list[str] = []
        """Checks whose round ended with their process: the next one counts them."""
        self._interval = recorder.gauge("vdkprobe_interval_seconds", scenario=name)
        self._missed = recorder.counter("vdkprobe_slots_missed_total", scenario=name)
        self._running = recorder.gauge("vdkprobe_round_running_seconds", scenario=name)
        self._restarts = recorder.counter("vdkprobe_child_restarts_total", scenario=name)
        self._running.set(0)
        self.change_interval(interval_s)

    @property
    def missed(self) -> int:
        """Slots in which no round could begin, restarts of the watch included."""
        return int(self._missed.value)

    @property
    def begun(self) -> bool:
        """Whether its process has ever been ready, or has failed to be."""
        return self._slots is not None or self._deaths > 0

    def change_interval(self, interval_s: float) -> None:
        """Go by another schedule from now on, if it is another."""
        if self._slots is not None and self._slots.interval_s != interval_s:
            self._slots = Slots(time.monotonic(), interval_s)
        self._interval_s = interval_s
        self._interval.set(interval_s)

    def next_at(self) -> float:
        """When `tick` has something to do at the latest, on the monotonic clock."""
        if self.process is None:
            return self._start_at
        return self._slots.next_at if self._slots is not None else time.monotonic() + 1

    def tick(self, now: float) -> None:
        """Start, restart, begin a round, end what is stuck: whatever the time is for."""
        if self.process is None:
            if not self.retired and now >= self._start_at:
                self.process = self._launch(self.name, self._died)
                self._died, self._interrupted_at = [], None
        else:
            self._mind(self.process, now)
        if self._slots is not None and not self.retired:
            free = self.process is not None and self.process.idle
            begins, missed = self._slots.take(now, free=free)
            self._missed.inc(missed)
            if begins and self.process is not None:
                self._round += 1
                self.process.begin_round(self._round)
                self._running.set(time.monotonic())

    def take_messages(self) -> bool:
        """Read what its process says; False when that was all, its end is seen by `tick`."""
        messages = None if self.process is None else self.process.channel.receive()
        for message in messages or ():
            self._take(message)
        return messages is not None

    def replace(self) -> None:
        """End the process after its round, and start another on the same schedule."""
        if self.process is not None and not self.process.told_to_end:
            self.process.end()

    def retire(self, *, now: bool) -> None:
        """End for good: after the round under way, or in the middle of it, cleaned up."""
        self.retired = True
        if self.process is None:
            return
        if now:
            self.process.interrupt()
            self._interrupted_at = time.monotonic()
        else:
            self.process.end()

    def _take(self, message: Message) -> None:
        if "ready" in message and self.process is not None:
            self.process.ready = True
            for check in message["ready"]:
                self.seen.setdefault(check, {})
            if self._slots is None:
                self._slots = Slots(time.monotonic(), self._interval_s)
        elif "done" in message and self.process is not None:
            self.process.round = None
            self._running.set(0)
            self._deaths = 0
            self._judge(message["checks"])
        self._heard(self, message)

    def _judge(self, checks: Mapping[str, Any]) -> None:
        for check, told in checks.items():
            verdict = Verdict(told["verdict"])
            self.verdicts[check] = verdict
            counts = self.seen.setdefault(check, {})
            counts[verdict] = counts.get(verdict, 0) + 1

    def _mind(self, process: ScenarioProcess, now: float) -> None:
        code = process.ended()
        if code is not None:
            self._bury(process, code)
            return
        limit_s = self.limits.round_s if process.round is not None else START_LIMIT_S
        since = process.round_began if process.round is not None else process.started
        # One that is to end after its round may hang in it, or on its way out, all the same.
        since = max(since, process.told_at)
        if self._interrupted_at is not None:
            if now > self._interrupted_at + self.limits.grace_s:
                process.kill()
        elif not process.idle and now > since + limit_s:
            process.interrupt()
            self._interrupted_at = now

    def _bury(self, process: ScenarioProcess, code: int) -> None:
        for message in process.channel.rest():
            self._take(message)
        process.close()
        self.process = None
        self._running.set(0)
        if process.told_to_end and self._interrupted_at is None:
            return
        if self.retired:
            return
        self._deaths += 1
        self._restarts.inc()
        backoff_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (self._deaths - 1))
        self._start_at = time.monotonic() + backoff_s
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        if code == -signal.SIGKILL and self._interrupted_at is None:
            how += " (the system does so when memory runs out: see its log)"
        if self._interrupted_at is not None:
            how = f"because it was stuck, {how}"
        what = f"The process of the scenario ended {how}; another one starts in {backoff_s:g} s."
        lines = [what, *("  | " + line for line in process.last_words())]
        checks = list(self.seen) or [self.name]
        self._died += checks
        told = {check: {"verdict": "error", "step": "", "lines": lines} for check in checks}
        self._judge(told)
        self._heard(self, {"done": None, "checks": told})
