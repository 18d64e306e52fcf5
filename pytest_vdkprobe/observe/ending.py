"""The end of a run: sweep, exit code, report, JUnit file, summary; in this order.

It is the innermost wrapper around the session's end: fixtures are torn down by then and xdist's
workers gone, and pytest's terminal has not summed up yet.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from pytest_vdkprobe.errors import Finding, ProbeError
from pytest_vdkprobe.journeys.results import Results
from pytest_vdkprobe.observe.summary import Summary


class Ending:
    """Registered in the process that reports: the only one, or xdist's controller."""

    def __init__(self, results: Results, *, report: Path | None, junit: Path | None) -> None:
        self.results = results
        self.report = report
        self.junit = junit
        self.summary: Summary | None = None
        self._problems: list[str] = []

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """After teardown, and after pytest has written its JUnit file."""
        yield
        if session.config.getoption("collectonly"):
            return
        self._sweep()
        session.exitstatus = self.results.exit_code(int(session.exitstatus))
        self._write(int(session.exitstatus))

    def _sweep(self) -> None:
        run = self.results.run
        try:
            if not run.may_have_leases:
                self.results.add_sweep([], None)
                return
            from pytest_vdkprobe.journeys.cleanup import sweep_run  # noqa: PLC0415 - with leases only

            self.results.add_sweep(sweep_run(run), None)
        except Finding as finding:
            self.results.add_sweep([], finding)
        except Exception as exc:  # noqa: BLE001 - the summary of the run matters more than its sweep
            problem = ProbeError(f"The sweep at the end of the run broke: {exc!r}")
            self.results.add_sweep([], problem)

    def _write(self, exit_code: int) -> None:
        if self.junit is not None:
            from pytest_vdkprobe.observe.junit import finish_junit  # noqa: PLC0415 - when asked for

            finish_junit(self.junit)
        if self.report is not None:
            from pytest_vdkprobe.observe.report import write_report  # noqa: PLC0415 - when asked for

            try:
                write_report(self.report, self.results, exit_code)
            except OSError as exc:
                self._problems.append(f"--vdk-report could not be written: {exc}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Between pytest's failures and its short summary."""
        if self.summary is not None:
            self.summary.tell()
        if self.report is not None and self.report.exists():
            terminalreporter.write_sep("-", f"vdkprobe report: {self.report}")
        for problem in self._problems:
            terminalreporter.write_line(problem, red=True)
