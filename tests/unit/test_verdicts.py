"""Five verdicts: what each exception is, which of several counts, and how a run ends by it."""

from __future__ import annotations

import itertools

import pytest

from pytest_vdkprobe.errors import (
    ConfigError,
    LeaseError,
    LoginError,
    NoEvidence,
    PlatformFailure,
    ProbeError,
    TransportError,
    WaitFailure,
)
from pytest_vdkprobe.verdicts import EXIT_CODES, SEVERITY, Verdict, verdict_of, worst


@pytest.mark.parametrize(
    ("exc", "verdict"),
    [
        (PlatformFailure("x"), Verdict.FAIL),
        (WaitFailure("x"), Verdict.FAIL),
        (AssertionError("x"), Verdict.FAIL),
        (pytest.fail.Exception("x"), Verdict.FAIL),
        (ProbeError("x"), Verdict.ERROR),
        (ConfigError("x"), Verdict.ERROR),
        (TransportError("x"), Verdict.ERROR),
        (LoginError("x"), Verdict.ERROR),
        (LeaseError("x"), Verdict.ERROR),
        (KeyError("x"), Verdict.ERROR),
        (ConnectionRefusedError("x"), Verdict.ERROR),
        (TimeoutError("x"), Verdict.ERROR),
        (KeyboardInterrupt(), Verdict.ERROR),
        (NoEvidence("x"), Verdict.UNKNOWN),
        (ExceptionGroup("x", [NoEvidence("x"), PlatformFailure("y")]), Verdict.FAIL),
        (ExceptionGroup("x", [ExceptionGroup("y", [NoEvidence("x")])]), Verdict.UNKNOWN),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_exception_has_its_verdict(exc: BaseException, verdict: Verdict) -> None:
    assert verdict_of(exc) is verdict


def test_the_worst_counts_fail_before_error_before_unknown() -> None:
    order = [Verdict.FAIL, Verdict.ERROR, Verdict.UNKNOWN, Verdict.BLOCKED, Verdict.PASS]
    for first, second in itertools.combinations(order, 2):
        assert worst([first, second]) is worst([second, first]) is first


def test_nothing_at_all_is_unknown() -> None:
    assert worst([]) is Verdict.UNKNOWN


def test_every_verdict_is_ranked_and_has_an_exit_code() -> None:
    assert set(SEVERITY) == set(EXIT_CODES) == set(Verdict)


def test_exit_codes_are_those_that_are_documented() -> None:
    assert EXIT_CODES[Verdict.PASS] == pytest.ExitCode.OK
    assert EXIT_CODES[Verdict.FAIL] == pytest.ExitCode.TESTS_FAILED
    assert EXIT_CODES[Verdict.ERROR] == 6
    assert EXIT_CODES[Verdict.UNKNOWN] == 7


def test_pytest_itself_uses_our_exit_codes_only_where_it_is_asked_to() -> None:
    """6 is also pytest's for --max-warnings (9.1 on), which nobody passes with a heartbeat."""
    names = {code.name for code in pytest.ExitCode if int(code) in {6, 7}}
    assert names <= {"MAX_WARNINGS_ERROR"}


def test_verdicts_read_as_words() -> None:
    assert [f"{verdict}" for verdict in Verdict] == ["pass", "fail", "error", "unknown", "blocked"]
