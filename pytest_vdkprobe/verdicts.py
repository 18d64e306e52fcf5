"""The five verdicts, how bad each is, and what they become in exit codes.

A verdict is what a step, a journey or a run amounts to. They are kept apart because an operator
acts differently on each: a `fail` wakes the platform's owner, an `error` the probe's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum

from pytest_vdkprobe.errors import NoEvidence, PlatformFailure


class Verdict(StrEnum):
    """What was found; the order of `SEVERITY` decides which of several counts."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    ERROR = "error"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"


SEVERITY = (Verdict.FAIL, Verdict.ERROR, Verdict.UNKNOWN, Verdict.BLOCKED, Verdict.PASS)
"""Worst first: what the platform did wrong outranks what we could not judge."""

EXIT_CODES = {
    Verdict.PASS: 0,
    Verdict.BLOCKED: 0,
    Verdict.FAIL: 1,
    Verdict.ERROR: 6,
    Verdict.UNKNOWN: 7,
}
"""pytest owns 0-5, its usage error 4 also saying: unusable configuration; 6 only --max-warnings."""


def verdict_of(exc: BaseException) -> Verdict:
    """The verdict an exception stands for: a failed assertion is the platform's, all else is ours.

    `pytest.fail` is an assertion by another name; a group counts as the worst that is in it.
    """
    if isinstance(exc, BaseExceptionGroup):
        return worst(map(verdict_of, exc.exceptions))
    if isinstance(exc, NoEvidence):
        return Verdict.UNKNOWN
    if isinstance(exc, (PlatformFailure, AssertionError, *_pytest_failures())):
        return Verdict.FAIL
    return Verdict.ERROR


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that counts for all of them together; none at all is `unknown`."""
    found = set(verdicts)
    return next((verdict for verdict in SEVERITY if verdict in found), Verdict.UNKNOWN)


def _pytest_failures() -> tuple[type[BaseException], ...]:
    """What `pytest.fail` raises, without importing pytest where nobody has."""
    pytest = sys.modules.get("pytest")
    return () if pytest is None else (pytest.fail.Exception,)
