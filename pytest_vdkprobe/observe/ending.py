"""The end of a run: sweep, exit code, report, JUnit file, summary; in this order.

It is the innermost wrapper around the session's end: fixtures are torn down by then and xdist's
workers gone, and pytest's terminal has not summed up yet.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.errors import Finding, ProbeError
from pytest_vdkprobe.journeys import answers
from pytest_vdkprobe.journeys.results import Results
from pytest_vdkprobe.observe.rounds import RoundMetrics
from pytest_vdkprobe.observe.summary import Summary

if TYPE_CHECKING:
    from pytest_vdkprobe.observe.history import History


class Ending:
    """Registered in the process that reports: the only one, or xdist's controller."""

    def __init__(
        self,
        results: Results,
        *,
        report: Path | None,
        junit: Path | None,
        metrics_file: Path | None = None,
        config: pytest.Config,
        push: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self.results = results
        self.report = report
        self.junit = junit
        self.metrics_file = metrics_file
        self.push = push
        self.rounds: RoundMetrics | None = None
        self.summary: Summary | None = None
        self.history: History | None = None
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
            sweep_into(self.results)
            raise
        if session.config.getoption("collectonly"):
            return
        sweep_into(self.results)
        if self.history is not None:
            self.history.finish(self.results.exit_code(pytests))
        self._write(pytests)
        self.results.run.remove_empty_folder()
        session.exitstatus = self.results.exit_code(pytests)

    def _write(self, pytests: int) -> None:
        """The files that were asked for. One that is not there makes a green run an error."""
        if self.rounds is not None:
            self.rounds.record(self.results)
            self._write_metrics()
        if self.junit is not None:
            from pytest_vdkprobe.observe.junit import finish_junit  # noqa: PLC0415 - when asked for

            try:
                finish_junit(self.junit)
            except OSError as exc:
                self.results.add_problem(_unwritten("--junit-xml", exc))
        self._write_report(pytests)

    def _write_metrics(self) -> None:
        from pytest_vdkprobe.observe.exposition import Exposition  # noqa: PLC0415 - if asked for
        from pytest_vdkprobe.observe.textfile import write_metrics  # noqa: PLC0415 - as above

        exposition = Exposition(self.results.run.metrics.cells.items)
        if self.metrics_file is not None:
            try:
                write_metrics(self.metrics_file, exposition)
            except OSError as exc:
                self.results.add_problem(_unwritten("--vdk-metrics-file", exc))
        if self.push is not None:
            try:
                self.push()
            except Exception as exc:  # noqa: BLE001 - urllib has no tree of errors of its own
                self.results.add_problem(
                    ProbeError(
                        f"Metrics could not be pushed: {exc}.",
                        checked="--vdk-pushgateway",
                        to_try="check its address; nobody who looks at it has seen this run",
                    )
                )
        hook = self.config.hook.pytest_vdkprobe_metrics
        if answers.implemented(self.config, "pytest_vdkprobe_metrics"):
            text = exposition.text().decode()
            self._ask("pytest_vdkprobe_metrics", lambda: hook(config=self.config, text=text))

    def _write_report(self, pytests: int) -> None:
        asked = answers.implemented(self.config, "pytest_vdkprobe_report")
        if self.report is None and not asked:
            return
        from pytest_vdkprobe.observe.report import as_told, write_report  # noqa: PLC0415 - ditto

        added = None
        if asked:
            document = as_told(self.results, self.results.exit_code(pytests))
            hook = self.config.hook.pytest_vdkprobe_report
            added = self._ask(
                "pytest_vdkprobe_report",
                lambda: answers.additions(self.config, hook(config=self.config, report=document)),
            )
        if self.report is not None:
            try:
                write_report(self.report, self.results, self.results.exit_code(pytests), added)
                self._written = True
            except OSError as exc:
                self.results.add_problem(_unwritten("--vdk-report", exc))

    def _ask(self, name: str, hook: Callable[[], Any]) -> Any:
        """Let users' hooks do what they want; one that breaks must not hide the run's end."""
        try:
            return hook()
        except Finding as finding:
            self.results.add_problem(finding)
        except answers.BREAKS as exc:
            self.results.add_problem(answers.broken(self.config, name, exc))
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Between pytest's failures and its short summary."""
        if self.summary is not None:
            self.summary.tell()
        if self.history is not None:
            self.history.tell(terminalreporter)
        if self._written:
            terminalreporter.write_sep("-", f"vdkprobe report: {self.report}")
        for problem in self.results.problems:
            terminalreporter.write_line(str(problem), red=True)


def sweep_into(results: Results) -> None:
    """Remove what is left of a run, or of a round, and add that to its results."""
    run = results.run
    try:
        if not run.may_have_leases:
            results.add_sweep([], None)
            return
        from pytest_vdkprobe.journeys.cleanup import sweep_run  # noqa: PLC0415 - with leases only

        results.add_sweep(sweep_run(run), None)
    except Finding as finding:
        results.add_sweep([], finding)
    except Exception as exc:  # noqa: BLE001 - the summary of the run matters more than its sweep
        results.add_sweep([], ProbeError(f"The sweep at the end of the run broke: {exc!r}"))


def _unwritten(what: str, exc: OSError) -> ProbeError:
    return ProbeError(
        f"{what} could not be written: {exc.strerror or exc}.",
        seen=f"{type(exc).__name__} at {exc.filename}" if exc.filename else None,
        to_try="make room, correct the permissions, or choose another place; a file that lies "
        "there is an earlier run's",
    )
