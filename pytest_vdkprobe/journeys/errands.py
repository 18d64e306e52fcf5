"""Runs that test nothing: `--vdk-plan` tells what would happen, `--vdk-sweep` removes leftovers."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.verdicts import EXIT_CODES, verdict_of


class Errand:
    """Prints some lines where tests would run."""

    def __init__(
        self, title: str, work: Callable[[Run], list[str]], run: Run, *, collects: bool
    ) -> None:
        self.title = title
        self.work = work
        self.run = run
        self.collects = collects
        self.exit_code = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool | None:
        """A sweep needs no tests; a plan tells which steps would run."""
        return None if self.collects else True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do the errand instead of running tests."""
        try:
            lines = self.work(self.run)
        except Finding as finding:
            self.exit_code = EXIT_CODES[verdict_of(finding)]
            lines = str(finding).splitlines()
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.section(self.title, sep="=")
            for line in [*lines, *self._steps()]:
                reporter.write_line(redact(line))
        return True

    def _steps(self) -> list[str]:
        if not self.run.steps:
            return []
        journeys = [f"  {name}: {', '.join(steps)}" for name, steps in self.run.steps.items()]
        return ["", "Steps:", *journeys]

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, None, None]:
        """No tests ran, and that is as it should be."""
        yield
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = self.exit_code


def sweep(run: Run) -> list[str]:
    """What earlier runs left, removed."""
    from pytest_vdkprobe.journeys.cleanup import sweep as remove  # noqa: PLC0415 - only for a sweep

    return remove(run) or ["Nothing is left behind by earlier runs."]
