"""Steps as they run: blocked or begun, timed, judged; the verdict becomes pytest's outcome.

JUnit knows failures, errors and skips, and pytest writes an error for what goes wrong in `setup`.
So a finished report of ours says `setup` when the probe could not judge and `call` when the
platform is wrong, wherever it was raised: this is all it takes to tell the two apart in every
report that pytest's plugins write.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from typing import Any, NamedTuple

import pytest

from pytest_vdkprobe.errors import Finding, NoEvidence
from pytest_vdkprobe.journeys.answers import amend, broken
from pytest_vdkprobe.journeys.exchanges import keep_exchanges
from pytest_vdkprobe.journeys.judging import SKIPPED, as_data, expect, judge
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.journeys.scenarios import Journey
from pytest_vdkprobe.journeys.steps import STEP_KEY, StepRecord
from pytest_vdkprobe.journeys.texts import LONGEST, presentable
from pytest_vdkprobe.verdicts import Verdict
from pytest_vdkprobe.waiting import listening

BAD = (Verdict.FAIL, Verdict.ERROR, Verdict.UNKNOWN)
"""The verdicts of steps that did not pass by their own doing."""


class Outcome(NamedTuple):
    """How a step ended, and which step is to blame: itself, unless it was blocked by another."""

    verdict: str
    cause: str
    cause_verdict: str
    what: str
    left_out: bool = False
    """Whether the configuration said so: what needs it is left out with it, and is not blocked."""

    def __str__(self) -> str:
        first_line = self.what.partition("\n")[0]
        return f"blocked by {self.cause} ({self.cause_verdict}): {first_line}"


class StepRunner:
    """The hooks around each step, in the process that runs it."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._outcomes: dict[str, dict[str, Outcome]] = {}
        self._blocked: Outcome | None = None

    def begin_round(self) -> None:
        """Forget what blocked what in the round before."""
        self._outcomes.clear()

    def pytest_collection_finish(self) -> None:
        """Take what has been loaded so far out of the collector's rounds.

        pytest goes through all objects several times at its end; most of them are its modules and
        ours, which live as long as the process. This is a twentieth of a heartbeat's time.
        """
        gc.freeze()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Count the polls of every wait to the step that waits."""
        step = item.stash.get(STEP_KEY, None)
        if step is None:
            return (yield)
        try:
            with listening(step.saw):
                return (yield)
        except BaseException:
            # Only what ends the whole run comes by here; the step's own errors are in its report.
            self.run.interrupted = str(step)
            raise
        finally:
            step.end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin a step, or block it before any fixture is set up for it."""
        self._blocked = None
        step = item.stash.get(STEP_KEY, None)
        if step is None:
            return
        step.begin()
        reason = step.entry.skipped(step.name)
        if reason is not None:
            pytest.skip(f"by configuration: {reason}")
        self._blocked = self._blocker(step)
        if self._blocked is not None:
            pytest.skip(str(self._blocked))
        if self.run.deadline.expired and not step.cleanup:
            raise NoEvidence(
                f"The run's time was over before {step.id} could begin.",
                seen=f"{self.run.deadline.name} has passed",
                expected="time left for this step",
                to_try="give the run more time (run.timeout_s), or leave slow steps out "
                "(--vdk-quick)",
            )
        name = "pytest_vdkprobe_step_starting"
        try:
            getattr(item.config.hook, name)(config=item.config, step=step)
        except (Finding, AssertionError):
            raise
        except Exception as exc:
            raise broken(item.config, name, exc) from exc

    def _blocker(self, step: StepRecord) -> Outcome | None:
        """The first need that did not pass, or None."""
        known = self._outcomes.get(step.journey, {})
        for need in step.needs:
            matching = [o for name, o in known.items() if name.partition("[")[0] == need]
            if not matching:
                cause = f"{step.journey}::{need}"
                return Outcome(Verdict.BLOCKED, cause, "not run", "it did not run in this process")
            for outcome in matching:
                if outcome.verdict != Verdict.PASS:
                    return outcome
        return None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Stop pytest-timeout's clock: it ends a step, and would end the cleanup as well."""
        ours = STEP_KEY in item.stash or isinstance(item.getparent(pytest.Module), Journey)
        cancel = getattr(item.config.hook, "pytest_timeout_cancel_timer", None)
        if ours and cancel is not None:
            cancel(item=item)
        yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fix the verdict while it is fresh, before teardown can raise anything else."""
        report = yield
        step = item.stash.get(STEP_KEY, None)
        judged = judge(call, report, step)
        if judged is None or (step is None and judged[1] is None):
            return report
        verdict, finding = judged
        what = _first_words(call, report)
        if verdict == SKIPPED and self._blocked is not None:
            verdict = SKIPPED if self._blocked.left_out else Verdict.BLOCKED
            what = str(self._blocked)
        data = as_data(call, verdict, finding, what=what, step=step)
        if step is not None:
            verdict = expect(data, step, report)
            if call.when != "teardown":
                verdict = amend(item.config, data, finding)
        if step is not None and call.when != "teardown":
            self._remember(step, data)
            if verdict in BAD:
                data |= keep_exchanges(step)
        report.vdkprobe = data  # type: ignore[attr-defined]  # reports carry extra attributes
        if verdict in (Verdict.BLOCKED, SKIPPED):
            report.outcome = "skipped"
            path, line, _ = item.reportinfo()
            report.longrepr = (str(path), (line or 0) + 1, f"Skipped: {data['what']}")
        elif verdict in BAD:
            _shape(report, call, verdict)
            # A finding says all there is to say; where it was raised matters to who debugs us.
            if finding is not None and not (wants_traceback(item.config) and call.excinfo):
                report.longrepr = presentable(str(finding), LONGEST * 5)
            elif call.excinfo is None:
                report.longrepr = presentable(_in_words(data), LONGEST * 5)
        elif verdict == Verdict.PASS and report.failed:
            report.outcome, report.when, report.longrepr = "passed", "call", None
        properties = _properties(self.run, data)
        item.user_properties += properties
        report.user_properties += properties
        return report

    def _remember(self, step: StepRecord, data: dict[str, Any]) -> None:
        left_out = data["verdict"] == SKIPPED and (
            "expected" in data["attached"] or step.entry.skipped(step.name) is not None
        )
        outcome = Outcome(data["verdict"], step.id, data["verdict"], data["what"], left_out)
        if self._blocked is not None:
            outcome = self._blocked._replace(verdict=data["verdict"])
        self._outcomes.setdefault(step.journey, {})[step.name] = outcome


def _shape(report: pytest.TestReport, call: pytest.CallInfo[Any], verdict: Verdict | str) -> None:
    """Make pytest's report a failure or an error, as the verdict is."""
    report.outcome = "failed"
    if call.when != "teardown":
        report.when = "call" if verdict == Verdict.FAIL else "setup"


def _in_words(data: dict[str, Any]) -> str:
    """A judgement that nothing was raised for: a hook has given it."""
    lines = [f"  {label + ':':<10} {text}" for label, text in data["lines"]]
    return "\n".join([data["what"], *lines])


def wants_traceback(config: pytest.Config) -> bool:
    """Whether the user asked to see where in the code a finding was raised."""
    return config.getoption("tbstyle", "auto") != "auto" or config.get_verbosity() > 1


def _first_words(call: pytest.CallInfo[Any], report: pytest.TestReport) -> str:
    """What to call it when it is no finding of ours: the reason of a skip, or the exception."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    if call.excinfo is not None:
        missing = getattr(call.excinfo.value, "argname", None)
        if isinstance(call.excinfo.value, LookupError) and isinstance(missing, str):
            # pytest's own text for it is a tuple with a request in it.
            return f"There is no fixture {missing}."
        return call.excinfo.exconly(tryshort=True).partition("\n")[0]
    return ""


def _properties(run: Run, data: dict[str, Any]) -> list[tuple[str, object]]:
    """What JUnit's `<properties>` hold of a step."""
    if data["phase"] == "teardown":
        return [("cleanup_verdict", data["verdict"])]
    named: list[tuple[str, object]] = [("run_id", run.run_id)]
    named += [
        (key, data[key]) for key in ("op_id", "verdict", "duration_s", "polls") if key in data
    ]
    named += [("evidence", text) for text in data.get("evidence", ())]
    if "exchanges_file" in data:
        named.append(("exchanges_file", data["exchanges_file"]))
    return named
