"""The supervisor of a watch: who runs when, who is told what, and how it all ends.

One loop in one thread: it waits for whatever comes first, a message of a child, a signal, or the
time for something, and never does anything that could make it wait for something else. What can
hang (an outside monitor, a Pushgateway, a scrape) has threads of its own.
"""

from __future__ import annotations

import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol

from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.verdicts import EXIT_CODES, Verdict, worst
from pytest_vdkprobe.watch.console import Console
from pytest_vdkprobe.watch.member import Limits, Member
from pytest_vdkprobe.watch.process import ScenarioProcess
from pytest_vdkprobe.watch.settings import WatchSettings

GAVE_UP = 8
"""The exit code when a scenario has ended the watch by itself."""
LONGEST_WAIT_S = 0.5
SCOUT_LIMIT_S = 120.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Plan(NamedTuple):
    """What a configuration says of a watch."""

    settings: WatchSettings
    limits: Limits
    told: Mapping[str, Any]
    """For children, beside what `launch` knows."""


class Launch(Protocol):
    """Starts a process for a scenario, or one that tells which there are."""

    def __call__(self, scenario: str | None, told: Mapping[str, Any]) -> ScenarioProcess: ...


class Supervisor:
    """`run()` once. `load` reads the configuration again, and raises what is wrong with it."""

    def __init__(
        self,
        plan: Plan,
        *,
        launch: Launch,
        load: Callable[[], Plan],
        watched: Path | None,
        duration_s: float | None,
        recorder: Recorder,
        console: Console,
        round_ended: Callable[[bool], None],
        ready: Callable[[], None],
        every: Callable[[float], None],
    ) -> None:
        self.plan = plan
        self.members: dict[str, Member] = {}
        self.gave_up: str | None = None
        self.refused: int | None = None
        """The exit code of the process that should have told which scenarios there are."""
        self._launch = launch
        self._load = load
        self._watched = watched
        self._recorder = recorder
        self._console = console
        self._round_ended = round_ended
        self._ready = ready
        self._every = every
        self._duration_s = duration_s
        self._end_at: float | None = None
        self._ending = False
        self._interrupted = False
        self._signals: list[int] = []
        self._scout: ScenarioProcess | None = None
        self._scouted: Plan | None = None
        self._again = False
        self._stamp = self._stamp_now()
        self._selector = selectors.DefaultSelector()
        self._served = False

    def run(self) -> int:
        """Go on until the time is over, a signal comes or a scenario gives up; the exit code."""
        with self._handling_signals() as woken:
            self._selector.register(woken, selectors.EVENT_READ, None)
            self._send_scout(self.plan)
            while not self._over():
                self._wait()
                now = time.monotonic()
                self._take_signals()
                self._mind_scout(now)
                if not self._ending:
                    self._mind_configuration()
                    self._mind_time(now)
                for member in [*self.members.values()]:
                    self._tick(member, now)
                self._every(now)
        return self._exit_code()

    def _over(self) -> bool:
        if self._scout is not None or not (self._ending or self.refused is not None):
            return False
        return all(member.process is None for member in self.members.values())

    def _wait(self) -> None:
        now = time.monotonic()
        nexts = [member.next_at() for member in self.members.values()]
        timeout_s = max(0.0, min([now + LONGEST_WAIT_S, *nexts]) - now)
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, Member):
                if not key.data.take_messages():
                    self._selector.unregister(key.fileobj)
            elif key.data is not None:
                self._hear_scout(key.data)
            else:
                with suppress(OSError):
                    key.fileobj.recv(512)  # type: ignore[union-attr]  # the woken end of the signals

    def _tick(self, member: Member, now: float) -> None:
        before = member.process
        member.tick(now)
        if member.process is not before:
            if before is not None:
                with suppress(KeyError, ValueError):
                    self._selector.unregister(before.channel)
            if member.process is not None:
                self._selector.register(member.process.channel, selectors.EVENT_READ, member)
        if member.retired and member.process is None and not self._ending:
            del self.members[member.name]
        if not self._served and self.members and all(m.begun for m in self.members.values()):
            self._served = True
            self._ready()
            if self._duration_s is not None:
                self._end_at = now + self._duration_s

    # What the children say

    def _heard(self, member: Member, message: Mapping[str, Any]) -> None:
        if "say" in message:
            self._console.say(message["say"])
        if "done" in message and not self._interrupted:
            self._console.verdicts(message["checks"])
            verdicts = [v for each in self.members.values() for v in each.verdicts.values()]
            self._round_ended(all(verdict is Verdict.PASS for verdict in verdicts))
        if message.get("gave_up") and self.gave_up is None:
            self.gave_up = member.name
            self._console.say(f"{member.name} gives up: the watch ends")
            self._begin_end(now=True)

    # The processes that tell which scenarios there are

    def _send_scout(self, plan: Plan) -> None:
        self._scouted = plan
        self._scout = self._launch(None, plan.told)
        self._selector.register(self._scout.channel, selectors.EVENT_READ, self._scout)

    def _hear_scout(self, scout: ScenarioProcess) -> None:
        messages = scout.channel.receive()
        if messages is None:
            self._selector.unregister(scout.channel)
        for message in messages or ():
            if "scenarios" in message and self._scouted is not None:
                self._adopt(self._scouted, message["scenarios"])

    def _mind_scout(self, now: float) -> None:
        scout = self._scout
        if scout is None:
            return
        if now > scout.started + SCOUT_LIMIT_S:
            scout.kill()
        code = scout.ended()
        if code is None:
            return
        for message in scout.channel.rest():
            if "scenarios" in message and self._scouted is not None:
                self._adopt(self._scouted, message["scenarios"])
        with suppress(KeyError, ValueError):
            self._selector.unregister(scout.channel)
        scout.close()
        self._scout = None
        if self._scouted is not None:
            self._refuse("\n".join(scout.last_words()) or f"it ended with code {code}", code)

    def _adopt(self, plan: Plan, scenarios: list[str]) -> None:
        """Go by this plan from now on: it has been seen to work."""
        self._scouted = None
        unknown = sorted(set(plan.settings.intervals) - set(scenarios))
        if unknown or not scenarios:
            known = ", ".join(scenarios) or "none at all"
            self._refuse(
                f"watch.intervals names a scenario that does not run: {', '.join(unknown)}.\n"
                f"  Expected:  {known}"
                if unknown
                else "There is nothing to watch.",
                4 if unknown else 5,
            )
            return
        first = not self.members
        self.plan = plan
        for name, member in self.members.items():
            if name in scenarios:
                member.limits = plan.limits
                member.change_interval(plan.settings.interval_of(name))
                member.replace()
            else:
                member.retire(now=False)
        for name in scenarios:
            if name not in self.members:
                self.members[name] = self._member(name, plan)
        if not first:
            self._recorder.counter("vdkprobe_reloads_total", outcome="accepted").inc()
            self._console.say("The configuration was read again; each scenario goes by it next.")
        rounds = ", ".join(
            f"{name} every {plan.settings.interval_of(name):g} s" for name in scenarios
        )
        self._console.say(f"watching {rounds}")

    def _member(self, name: str, plan: Plan) -> Member:
        return Member(
            name,
            interval_s=plan.settings.interval_of(name),
            limits=plan.limits,
            launch=lambda scenario, died: self._launch(scenario, {**self.plan.told, "died": died}),
            recorder=self._recorder,
            heard=self._heard,
        )

    def _refuse(self, why: str, code: int) -> None:
        self._scouted = None
        if not self.members:
            self.refused = code or 5
            self._console.say(f"The watch can't begin.\n{why}", red=True)
            return
        self._recorder.counter("vdkprobe_reloads_total", outcome="refused").inc()
        text = f"The configuration was read again and refused; the watch goes on as before.\n{why}"
        self._console.say(text, red=True)

    # Configuration, time and signals

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = self._watched.stat() if self._watched is not None else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None

    def _mind_configuration(self) -> None:
        stamp = self._stamp_now()
        if stamp != self._stamp and stamp is not None:
            # Only a file that has come to rest: an editor may be in the middle of it.
            self._again |= self._stamp is not None
            self._stamp = stamp
            return
        if not self._again or self._scout is not None or not self.members:
            return
        self._again = False
        try:
            plan = self._load()
        except Finding as finding:
            self._refuse(str(finding), 4)
        else:
            self._send_scout(plan)

    def _mind_time(self, now: float) -> None:
        if self._end_at is not None and now >= self._end_at:
            self._begin_end(now=False)

    def _begin_end(self, *, now: bool) -> None:
        self._ending = True
        if self._scout is not None:
            self._scouted = None
            self._scout.kill()
        for member in self.members.values():
            member.retire(now=now)

    def _take_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGHUP:
                self._again = True
            elif not self._interrupted:
                self._interrupted = True
                name = signal.Signals(number).name
                self._console.say(f"stopped by {name}: what is under way is cleaned up")
                self._begin_end(now=True)
            else:
                for member in self.members.values():
                    if member.process is not None:
                        member.process.kill()

    @contextmanager
    def _handling_signals(self) -> Iterator[socket.socket]:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)

        def note(number: int, _frame: FrameType | None) -> None:
            self._signals.append(number)

        mine = threading.current_thread() is threading.main_thread()
        previous = {number: signal.signal(number, note) for number in SIGNALS} if mine else {}
        woken = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False) if mine else -1
        try:
            yield ours
        finally:
            if mine:
                signal.set_wakeup_fd(woken)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._selector.close()
            ours.close()
            theirs.close()

    def _exit_code(self) -> int:
        """The last verdicts count; those of all rounds where a duration was asked for."""
        if self.refused is not None:
            return self.refused
        if self.gave_up is not None:
            return GAVE_UP
        members = self.members.values()
        found = [verdict for member in members for verdict in member.verdicts.values()]
        if self._duration_s is not None and not self._interrupted:
            found = [v for member in members for seen in member.seen.values() for v in seen]
        return EXIT_CODES[worst(found)]
