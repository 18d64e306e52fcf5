"""The process that runs one scenario of a watch, one round each time it is told to.

It is pytest with everything that a run in CI has: the same collection, the same steps, the same
judgement. Only that after a round it waits for the next instead of ending, and runs the same tests
again. All fixtures are torn down in between, as at the end of a run.

    python -m pytest_vdkprobe.watch.child DESCRIPTOR
"""

from __future__ import annotations

import io
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.journeys.results import Results
from pytest_vdkprobe.journeys.scenarios import Journey
from pytest_vdkprobe.journeys.steps import STEP_KEY
from pytest_vdkprobe.observe.ending import sweep_into
from pytest_vdkprobe.observe.rounds import RoundMetrics
from pytest_vdkprobe.observe.summary import lines_of
from pytest_vdkprobe.watch.channel import Channel, Message
from pytest_vdkprobe.watch.folder import hold

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.journeys.session import StepRunner

NAME = "vdkprobe-watch-child"
"""What the plugin is registered as."""
KEPT = 20
"""Rounds whose files of failing steps are kept."""


class Child:
    """The plugin. `told` is the supervisor's first message."""

    def __init__(self, channel: Channel, told: Message) -> None:
        self.__name__ = NAME
        self.channel = channel
        self.told = told
        self._commands: SimpleQueue[Message | None] = SimpleQueue()
        self._run: Run
        self._runner: StepRunner
        self._metrics: RoundMetrics | None = None
        self._lasting: dict[str, Any] = {}
        self._folder = Path(told["folder"])
        self._ending = False
        self._results: Results | None = None
        """What has come of the round that goes on."""

    @property
    def scenario(self) -> str | None:
        """What it runs; None for a process that only tells which scenarios there are."""
        return self.told["scenario"]  # type: ignore[no-any-return]  # a message's value

    def bind(self, run: Run, runner: StepRunner) -> None:
        """Take over the run, before anything is collected."""
        self._run, self._runner = run, runner
        run.teller = lambda text: self.channel.send(say=text)
        if self.scenario is None:
            return
        hold(self._folder / "lock", what=f"the scenario {self.scenario}")
        run.lasting = self._lasting
        run.state_folder = self._folder
        run.record_into(self._folder / "metrics")
        self._metrics = RoundMetrics(run.metrics)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Keep the tests of this scenario, out of those that were selected."""
        yield
        if self.scenario is not None:
            items[:] = [item for item in items if scenario_of(item) == self.scenario]
            journeys = {item.stash[STEP_KEY].journey for item in items if STEP_KEY in item.stash}
            for name in set(self._run.steps) - journeys:
                del self._run.steps[name]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Rounds, until there is nobody to ask for one."""
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            raise session.Interrupted(f"{session.testsfailed} errors during collection")
        if self._metrics is None:
            found = dict.fromkeys(scenario_of(item) for item in session.items)
            self.channel.send(scenarios=list(found))
            return True
        self._metrics.pytest_collection_finish(session)
        if any(STEP_KEY not in item.stash for item in session.items):
            self._run.metrics.declare_check(str(self.scenario))
        for check in self.told["died"]:
            self._run.metrics.counter("vdkprobe_run_total", check=check, verdict="error").inc()
        self._run.metrics.cells.publish()
        threading.Thread(target=self._listen, name="vdkprobe-watch", daemon=True).start()
        self.channel.send(ready=sorted(self._run.steps) or [self.scenario])
        while (command := self._commands.get()) is not None and "round" in command:
            self._round(session, command["round"])
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What a step has come to is part of its round."""
        if self._results is not None:
            self._results.pytest_runtest_logreport(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """What has lasted over the rounds ends with them."""
        while self._lasting:
            _, lasting = self._lasting.popitem()
            lasting.close()
        if self._metrics is not None:
            self._run.metrics.forget_flights()
            self._run.metrics.cells.close()

    def _listen(self) -> None:
        """Take commands; when the supervisor is gone, end what is under way, in order."""
        while (messages := self.channel.receive()) is not None:
            for message in messages:
                self._ending |= "round" not in message
                self._commands.put(message)
        self._commands.put(None)
        if not self._ending:
            os.kill(os.getpid(), signal.SIGTERM)

    def _round(self, session: pytest.Session, number: int) -> None:
        run = self._run
        run_id = secrets.token_hex(4)
        run.begin_round(run_id, self._reports() / run_id)
        self._runner.begin_round()
        # Not registered: pytest keeps each plugin that ever was, and so each round's reports.
        self._results = results = Results(run, session.config)
        _run_again(session)
        sweep_into(results)
        checks = _checks(results, str(self.scenario))
        if self._metrics is not None:
            self._metrics.record(results)
            if str(self.scenario) in checks:
                self._metrics.record_beside(str(self.scenario), results)
            run.metrics.cells.hide_unclaimed()
            run.metrics.cells.flush()
        gave_up = any(_gave_up(step) for steps in results.journeys.values() for step in steps)
        self.channel.send(done=number, checks=checks, gave_up=gave_up)

    def _reports(self) -> Path:
        """Where rounds put the files of failing steps; those of old rounds are removed."""
        folder = self._folder / "failures"
        with suppress(OSError):
            kept = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
            for old in kept[: -KEPT + 1]:
                shutil.rmtree(old, ignore_errors=True)
        return folder


def scenario_of(item: pytest.Item) -> str:
    """What a test belongs to: a journey's title, or the module of a test that is no step."""
    journey = item.getparent(Journey)
    if journey is not None:
        return journey.nodeid.partition("[")[0]
    module = item.getparent(pytest.Module)
    return (module or item).nodeid


def _run_again(session: pytest.Session) -> None:
    """Run every test of the session as if for the first time, with nothing kept of the last."""
    session.testsfailed = 0
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        # Reports of months would be kept for a summary that nobody reads.
        reporter.stats.clear()
    _empty_log()
    for item in session.items:
        item.user_properties.clear()
        item._report_sections.clear()
        if STEP_KEY in item.stash:
            item.stash[STEP_KEY] = item.stash[STEP_KEY].anew()
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldstop:
            raise session.Interrupted(str(session.shouldstop))


def _empty_log() -> None:
    """The supervisor led our output into a file, which is to hold one round's and not all."""
    with suppress(OSError):
        os.ftruncate(sys.__stdout__.fileno() if sys.__stdout__ else 1, 0)


def _checks(results: Results, scenario: str) -> dict[str, dict[str, Any]]:
    """Each check's verdict in this round; for one that did not pass, where and why."""
    found: dict[str, dict[str, Any]] = {}
    for journey in results.journeys:
        told: dict[str, Any] = {"verdict": str(results.verdict_of(journey))}
        bad = results.first_bad(journey) or next(
            (step for step in results.cleanup if step["journey"] == journey), None
        )
        if bad is not None:
            told |= {"step": bad["step"], "lines": lines_of(bad)}
        found[journey] = told
    if results.beside is not None:
        problems = [results.sweep_problem, *results.problems]
        lines = [line for problem in problems if problem for line in str(problem).splitlines()]
        found[scenario] = {"verdict": str(results.beside), "step": "", "lines": lines}
    return found


def _gave_up(step: dict[str, Any]) -> bool:
    return bool(step.get("gave_up") or step.get("attached", {}).get("gave_up"))


class _Output(io.FileIO):
    """The log that the supervisor led our output into: a full disk cuts it short, and not us."""

    def write(self, content: Any, /) -> int:
        """Write it, or as much as there is room for."""
        try:
            return super().write(content)
        except OSError:
            return len(content)


def _forgive_full_disk() -> None:
    for name in ("stdout", "stderr"):
        raw = _Output(getattr(sys, name).fileno(), "w", closefd=False)
        text = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="replace", line_buffering=True
        )
        setattr(sys, name, text)


def main() -> int:
    """Run pytest as the supervisor tells."""
    _forgive_full_disk()
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    channel = Channel(end)
    messages: list[Message] = []
    while not messages:
        received = channel.receive()
        if received is None:
            return int(pytest.ExitCode.INTERRUPTED)
        messages += received
    told = messages[0]
    sys.path[:] = told["path"]
    code = pytest.main(told["args"], plugins=[Child(channel, told)])
    channel.send(ended=int(code))
    return int(code)


if __name__ == "__main__":
    raise SystemExit(main())
