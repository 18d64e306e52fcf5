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
from pytest_vdkprobe.observe.rounds import RoundMetrics
from pytest_vdkprobe.observe.summary import Summary


class Ending:
    """Registered in the process that reports: the only one, or xdist's controller."""

    def __init__(
        self,
        results: Results,
        *,
        report: Path | None,
        junit: Path | None,
        metrics_file: Path | None = None,
    ) -> None:
        self.results = results
        self.report = report
        self.junit = junit
        self.metrics_file = metrics_file
        self.rounds: RoundMetrics | None = None
        self.summary: Summary | None = None
        self._written = False

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """After teardown, and after pytest has written its JUnit file."""
        pytests = int(session.exitstatus)
        try:
            yield
        except OSError as exc:
            # pytest's JUnit file on a full disk. It would be an internal error of pytest's, with
            # the exit code that says `fail`, and without summary and sweep.
            self.results.add_problem(_unwritten("What pytest writes at the end of a run", exc))
        except BaseException:
            self._sweep()
            raise
        if session.config.getoption("collectonly"):
            return
        self._sweep()
        self._write(pytests)
        session.exitstatus = self.results.exit_code(pytests)

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

    def _write(self, pytests: int) -> None:
        """The files that were asked for. One that is not there makes a green run an error."""
        if self.rounds is not None:
            self.rounds.record(self.results)
        if self.metrics_file is not None:
            from pytest_vdkprobe.observe.exposition import Exposition  # noqa: PLC0415 - if asked for
            from pytest_vdkprobe.observe.textfile import write_metrics  # noqa: PLC0415 - as above

            try:
                write_metrics(self.metrics_file, Exposition(self.results.run.metrics.cells.items))
            except OSError as exc:
                self.results.add_problem(_unwritten("--vdk-metrics-file", exc))
        if self.junit is not None:
            from pytest_vdkprobe.observe.junit import finish_junit  # noqa: PLC0415 - when asked for

            try:
                finish_junit(self.junit)
            except OSError as exc:
                self.results.add_problem(_unwritten("--junit-xml", exc))
        if self.report is not None:
            from pytest_vdkprobe.observe.report import write_report  # noqa: PLC0415 - when asked for

            try:
                write_report(self.report, self.results, self.results.exit_code(pytests))
                self._written = True
            except OSError as exc:
                self.results.add_problem(_unwritten("--vdk-report", exc))

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Between pytest's failures and its short summary."""
        if self.summary is not None:
            self.summary.tell()
        if self._written:
            terminalreporter.write_sep("-", f"vdkprobe report: {self.report}")
        for problem in self.results.problems:
            terminalreporter.write_line(str(problem), red=True)


def _unwritten(what: str, exc: OSError) -> ProbeError:
    return ProbeError(
        f"{what} could not be written: {exc.strerror or exc}.",
        seen=f"{type(exc).__name__} at {exc.filename}" if exc.filename else None,
        to_try="make room, correct the permissions, or choose another place; a file that lies "
        "there is an earlier run's",
    )
