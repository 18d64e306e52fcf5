"""What the steps of a run amount to: collected where reports arrive, and turned into an exit code.

Under xdist this is the controller, which has seen nothing but the reports of its workers.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.journeys.answers import BREAKS, broken
from pytest_vdkprobe.journeys.judging import SKIPPED
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.journeys.session import BAD
from pytest_vdkprobe.verdicts import EXIT_CODES, Verdict, verdict_of, worst

Step = dict[str, Any]
USAGE = int(pytest.ExitCode.USAGE_ERROR)


class Results:
    """Every step's judgement by journey, in the order in which they came."""

    def __init__(self, run: Run, config: pytest.Config) -> None:
        self.run = run
        self._config = config
        self.journeys: dict[str, list[Step]] = {}
        self.cleanup: list[Step] = []
        """What went wrong after a step had its verdict: in teardown, or in the final sweep."""
        self.swept: list[str] | None = None
        """What the final sweep did; None when it did not run or did not end."""
        self.sweep_problem: Finding | None = None
        self.problems: list[Finding] = []
        """What went wrong around the steps, such as a report that could not be written."""
        self.history: dict[str, Any] | None = None
        """Where the run is remembered, and what the runs before say of it."""
        self.unusable = False
        self.nothing_to_do = False
        """Whether no test ran because all are known to be good (`--vdk-changed`)."""
        self._ordinary: Verdict | None = None
        """What the tests amount to that are no steps; None while there was none."""
        self._others: list[Verdict] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a report carries of ours."""
        data: Step | None = getattr(report, "vdkprobe", None)
        if data is None:
            if report.failed and not hasattr(report, "wasxfail"):
                self._ordinary = Verdict.FAIL
            elif report.when == "call" and self._ordinary is None:
                self._ordinary = Verdict.PASS
        elif "journey" not in data:
            self._others.append(Verdict(data["verdict"]))
        elif data["phase"] == "teardown":
            self.cleanup.append(data)
        else:
            self.journeys.setdefault(data["journey"], []).append(data)
            self._tell(as_entry(data))

    def _tell(self, entry: Step) -> None:
        """Tell users' hooks of a step; one that breaks must not end the run half way."""
        name = "pytest_vdkprobe_step_finished"
        try:
            self._config.hook.pytest_vdkprobe_step_finished(config=self._config, step=entry)
        except BREAKS as exc:
            problem = exc if isinstance(exc, Finding) else broken(self._config, name, exc)
            if problem.what not in [known.what for known in self.problems]:
                self.add_problem(problem)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A worker could not use what it collected: a broken configuration, not a broken test."""
        self.unusable |= bool(getattr(report, "vdkprobe_unusable", False))

    def add_sweep(self, done: list[str], problem: Finding | None) -> None:
        """What the sweep at the end removed, or why it could not; the latter counts."""
        self.swept, self.sweep_problem = (done, None) if problem is None else (None, problem)
        if problem is not None:
            self._others.append(verdict_of(problem))

    def add_problem(self, problem: Finding) -> None:
        """What went wrong around the steps; it counts, and stands beside what they found."""
        self.problems.append(problem)
        self._others.append(verdict_of(problem))

    @property
    def verdict(self) -> Verdict:
        """The worst of all steps, cleanup and ordinary tests."""
        steps = [step for journey in self.journeys.values() for step in journey]
        found = [Verdict(s["verdict"]) for s in [*steps, *self.cleanup] if s["verdict"] != SKIPPED]
        found += self._others
        if self._ordinary is Verdict.FAIL:
            found.append(Verdict.FAIL)
        counted = worst(found)
        if counted is Verdict.BLOCKED and Verdict.PASS not in [*found, self._ordinary]:
            # By steps that were skipped: nothing is wrong, and nothing was seen.
            return Verdict.UNKNOWN
        return counted

    @property
    def beside(self) -> Verdict | None:
        """The worst of what is no step: ordinary tests, the sweep; None where there was nothing."""
        found = [*self._others, *([self._ordinary] if self._ordinary else [])]
        return worst(found) if found else None

    def exit_code(self, pytests: int) -> int:
        """Ours, where pytest would say that tests passed or failed; else what pytest says."""
        if self.unusable:
            return USAGE
        if self.nothing_to_do and pytests == pytest.ExitCode.NO_TESTS_COLLECTED:
            return int(pytest.ExitCode.OK)
        if pytests not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return pytests
        if not self.journeys and not self.cleanup and not self._others:
            return pytests
        return EXIT_CODES[self.verdict]

    def verdict_of(self, journey: str) -> Verdict:
        """The worst of one journey's steps and cleanup."""
        steps = [*self.journeys[journey], *(s for s in self.cleanup if s["journey"] == journey)]
        return worst(Verdict(s["verdict"]) for s in steps if s["verdict"] != SKIPPED)

    def first_bad(self, journey: str) -> Step | None:
        """The step that comes first among those that did not pass by their own doing."""
        return next((step for step in self.journeys[journey] if step["verdict"] in BAD), None)


def as_entry(step: Step) -> Step:
    """A step as the report file and the hook show it."""
    finding = None
    if step["verdict"] not in (Verdict.PASS, SKIPPED):
        finding = {"what": step["what"]} | {
            label.lower().replace(" ", "_"): text for label, text in step["lines"]
        }
    keys = ("journey", "step", "number", "of", "verdict", "started_at", "duration_s", "polls")
    entry = {key: step.get(key) for key in keys}
    entry |= {"evidence": step.get("evidence", []), "op_id": step.get("op_id"), "finding": finding}
    if step["verdict"] == SKIPPED:
        entry["reason"] = step["what"]
    if "exchanges_file" in step:
        entry["exchanges_file"] = step["exchanges_file"]
    entry |= step.get("attached", {})
    return entry
