"""What came of a step: its verdict, why, and the evidence, as plain data that survives xdist.

A report crosses process borders as JSON-like data, so a judgement is a dictionary of texts and
numbers. It is fixed when the step's own phase ends, before any cleanup runs: what goes wrong later
stands beside it and never replaces it.
"""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.errors import (
    ConfigError,
    Finding,
    LoginError,
    NoEvidence,
    PlatformFailure,
    ProbeError,
    TransportError,
)
from pytest_vdkprobe.journeys.steps import StepRecord
from pytest_vdkprobe.journeys.texts import presentable
from pytest_vdkprobe.verdicts import Verdict, verdict_of

SKIPPED = "skipped"
"""Beside the verdicts: the scenario itself decided, by configuration, not to check this."""

TIMEOUT_TEXT = "from pytest-timeout"
"""pytest-timeout fails a test with `Timeout (>1.0s) from pytest-timeout.`"""

OUR_BUG = (
    "this is a bug of pytest-vdkprobe and says nothing about the platform: please report it to the "
    "project, with the traceback above and the versions that --vdk-report writes"
)
THEIR_BUG = (
    "this is no finding about the platform but a bug of the scenario or of a fixture: its "
    "traceback is above"
)
PACKAGE = __name__.partition(".")[0]
STDLIB = Path(sysconfig.get_path("stdlib"))


def judge(
    call: pytest.CallInfo[Any], report: pytest.TestReport, step: StepRecord | None
) -> tuple[Verdict | str, Finding | None] | None:
    """The verdict of one phase, and what was found; None where a phase has nothing to say."""
    if report.skipped:
        return SKIPPED, first_finding(call.excinfo.value if call.excinfo is not None else None)
    if report.failed and call.excinfo is None and step is not None:
        return Verdict.ERROR, _passed_strictly(report, step)
    if report.failed:
        return _judge_failed(call.excinfo.value if call.excinfo is not None else None, step)
    if call.when != "call" or step is None:
        return None
    if not step.evidences:
        return Verdict.UNKNOWN, no_evidence(step)
    return Verdict.PASS, None


def _judge_failed(
    exc: BaseException | None, step: StepRecord | None
) -> tuple[Verdict, Finding | None] | None:
    finding = first_finding(exc)
    if finding is not None:
        return verdict_of(finding), finding
    if step is None:
        return None
    if isinstance(exc, pytest.fail.Exception):
        text = str(exc)
        return Verdict.FAIL, _timeout(step, text) if TIMEOUT_TEXT in text else None
    return (Verdict.ERROR if exc is None else verdict_of(exc)), None


def no_evidence(step: StepRecord) -> NoEvidence:
    """What is said of a step that passed and showed nothing."""
    return NoEvidence(
        f"{step.id} ended without a complaint, and without evidence that it saw anything.",
        seen="no call of vdk_step.evidence(...)",
        expected="what was seen that makes it a pass",
        to_try="call vdk_step.evidence(text) where the scenario has seen what it checks",
    )


def _passed_strictly(report: pytest.TestReport, step: StepRecord) -> ProbeError:
    """A step passed whose strict mark says that it can't: the mark is wrong, not the platform."""
    because = str(report.longrepr).removeprefix("[XPASS(strict)]").strip()
    return ProbeError(
        f"{step.id} passed unexpectedly: it is marked xfail(strict=True).",
        seen="; ".join(step.evidences) or "no complaint",
        expected=f"a failure: {because}" if because else "a failure",
        to_try="take the mark off the step",
    )


def _timeout(step: StepRecord, text: str) -> PlatformFailure:
    wait = step.last_wait
    seen = "the test was interrupted"
    if wait is not None:
        seen += f" while waiting for {wait.what}: {wait.state}, {wait.polls} polls"
    return PlatformFailure(
        f"The step {step.name} was ended by pytest-timeout after {step.elapsed_s:.1f} s.",
        seen=seen,
        expected=text.strip().splitlines()[0],
        checked=f"op id {step.op_id}",
        to_try="see what the step was waiting for; its own limit is run.limits in the "
        "configuration, and should be shorter than pytest-timeout's",
    )


def _raised_by_us(call: pytest.CallInfo[Any]) -> bool:
    """Whether it is our code, and no test or fixture of a user, that raised what is no finding."""
    if call.excinfo is None:
        return False
    ours = False
    for frame, _ in traceback.walk_tb(call.excinfo.tb):
        if str(frame.f_globals.get("__name__")).partition(".")[0] == PACKAGE:
            ours = True
        elif not _is_librarys(Path(frame.f_code.co_filename)):
            ours = False
    # What a library raises is the bug of whoever called it.
    return ours


def _is_librarys(path: Path) -> bool:
    installed = "site-packages" in path.parts or path.is_relative_to(STDLIB)
    return installed or not path.is_file()


def first_finding(exc: BaseException | None) -> Finding | None:
    """The first finding in an exception, also in a group, as several finalizers raise."""
    if isinstance(exc, Finding):
        return exc
    if isinstance(exc, BaseExceptionGroup):
        for part in exc.exceptions:
            found = first_finding(part)
            if found is not None:
                return found
    return None


def cause_of(finding: Finding | None) -> str:
    """What kept the probe from judging, in one of the words of the metrics."""
    if isinstance(finding, LoginError):
        return "login"
    if isinstance(finding, TransportError):
        return "transport"
    return "configuration" if isinstance(finding, ConfigError) else "other"


def _told(value: Any) -> Any:
    """Plain data with its texts made presentable, at any depth."""
    if isinstance(value, str):
        return presentable(value)
    if isinstance(value, dict):
        return {str(key): _told(part) for key, part in value.items()}
    return [_told(part) for part in value] if isinstance(value, list | tuple) else value


def as_data(
    call: pytest.CallInfo[Any],
    verdict: Verdict | str,
    finding: Finding | None,
    *,
    what: str,
    step: StepRecord | None,
) -> dict[str, Any]:
    """A judgement as it travels: redacted, and of nothing but texts, numbers and lists."""
    phase = call.when
    lines = finding.lines() if finding is not None else []
    if finding is None and verdict == Verdict.ERROR:
        lines = [("To try", OUR_BUG if _raised_by_us(call) else THEIR_BUG)]
    data: dict[str, Any] = {
        "phase": phase,
        "verdict": str(verdict),
        "ours": finding is not None,
        "what": presentable(finding.what if finding is not None else what),
        "lines": [[label, presentable(text)] for label, text in lines],
    }
    if verdict == Verdict.ERROR:
        data["cause"] = cause_of(finding)
    if step is not None:
        data |= {
            "journey": step.journey,
            "step": step.name,
            "number": step.number,
            "of": step.of,
            "cleanup": step.cleanup,
            "op_id": step.op_id,
            "started_at": step.started_at.isoformat() if step.started_at else None,
            "duration_s": round(step.elapsed_s, 3),
            "polls": step.polls,
            "evidence": list(step.evidences),
            "attached": _told(step.attached),
        }
    return data


def expect(data: dict[str, Any], step: StepRecord, report: pytest.TestReport) -> Verdict | str:
    """Lay what is known of this step beforehand over its judgement; the verdict that counts.

    A known failure counts as skipped until its day, and stays in the report; afterwards it counts.
    Only `fail` can be known beforehand: what we could not judge, nobody has seen failing. One that
    passes all the same says so, whether the configuration knew it or pytest's mark `xfail`.
    """
    known = step.entry.known_failure(step.name)
    if data["phase"] == "teardown":
        return str(data["verdict"])
    if known is not None:
        told = {"until": known.until.isoformat(), "because": presentable(known.because)}
        if data["verdict"] == Verdict.FAIL and known.expired:
            data["lines"].append(["Note", f"was expected {known}; that day has passed"])
        elif data["verdict"] == Verdict.FAIL:
            told |= {"found": data["what"]}
            data["verdict"] = SKIPPED
            data["what"] = f"expected to fail {known}: {data['what']}"
        else:
            _passed_unexpectedly(data, report, f"expected to fail {known}")
        data["attached"]["expected"] = told
    elif hasattr(report, "wasxfail"):
        because = presentable(report.wasxfail or "no reason is given")
        data["attached"]["expected"] = {"because": because}
        if data["verdict"] == SKIPPED:
            data["attached"]["expected"]["found"] = data["what"]
            data["what"] = f"expected to fail (xfail): {because}: {data['what']}"
        _passed_unexpectedly(data, report, f"marked xfail: {because}")
    return str(data["verdict"])


def _passed_unexpectedly(data: dict[str, Any], report: pytest.TestReport, known: str) -> None:
    """Say so of a step that raised nothing; where it saw nothing either, beside what it lacks."""
    if data["verdict"] == Verdict.PASS:
        data["evidence"].append(f"passed unexpectedly: {known}")
    elif report.passed:
        data["lines"].append(["Note", f"passed unexpectedly: {known}"])
