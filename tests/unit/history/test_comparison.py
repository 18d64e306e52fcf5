"""A run against its past, told from plain data."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pytest_vdkprobe.history.comparison import (
    Comparison,
    Now,
    changed_versions,
    compare,
    find_flaky,
)
from pytest_vdkprobe.history.runs import Past, PastPart, PastRun

KEY = ("heartbeat[hello]", "run")


def run(number: int, status: str = "COMPLETED") -> PastRun:
    return PastRun(f"{number:08}", datetime(2026, 1, number, tzinfo=UTC), status, {})


def against(*verdicts: str, now: str) -> Comparison:
    """This run, after runs with these verdicts of its one step, the oldest first."""
    runs = [
        run(number, "COMPLETED" if verdict == "pass" else "FAILED")
        for number, verdict in enumerate(verdicts, 1)
    ]
    parts = [
        PastPart(one.execution_id, verdict, 1.0)
        for one, verdict in zip(runs, verdicts, strict=True)
    ]
    past = Past(runs[::-1], {KEY: parts})
    base = next((one for one in past.runs if one.status == "COMPLETED"), None)
    seen = Now({KEY: PastPart("now", now, 1.0)}, {KEY: "it broke"}, {}, {})
    return compare(seen, base, past)


@pytest.mark.parametrize("verdict", ["fail", "error", "unknown"])
def test_what_passed_when_all_was_good_is_newly_failing(verdict: str) -> None:
    assert against("pass", "pass", now=verdict).failing == {KEY: "it broke"}


def test_it_stays_newly_failing_until_there_is_a_good_run_again() -> None:
    assert against("pass", "fail", "fail", now="fail").failing == {KEY: "it broke"}


def test_what_was_never_good_is_not_newly_failing() -> None:
    assert against("fail", "fail", now="fail").empty


def test_what_failed_in_the_run_before_is_newly_passing() -> None:
    assert against("pass", "fail", now="pass").passing == [KEY]
    assert against("pass", "fail", "pass", now="pass").empty


def test_a_blocked_step_is_neither() -> None:
    assert against("pass", now="blocked").empty


@pytest.mark.parametrize(
    ("verdicts", "spells"),
    [
        ("ppppp", None),
        ("pfpfp", 2),
        ("pffffp", None),
        ("pffpf", 2),
        ("ffff", None),
        ("fpf", 2),
        ("f" + "p" * 19 + "f", None),
        ("pbfbpbf", 2),
        ("", None),
    ],
)
def test_flaky_is_what_failed_two_separate_times_lately(verdicts: str, spells: int | None) -> None:
    words = {"p": "pass", "f": "fail", "b": "blocked"}
    flaky = find_flaky([words[sign] for sign in verdicts])
    assert (flaky.spells if flaky else None) == spells


def test_versions_are_told_with_their_values() -> None:
    before = {"control-service": "1.2", "python": "3.11", "gone": "1"}
    after = {"control-service": "1.3", "python": "3.11", "new": "2"}
    assert changed_versions(before, after) == [
        "control-service 1.2 -> 1.3",
        "gone 1 is gone",
        "new 2 is new",
    ]


def test_steps_that_came_and_went() -> None:
    base = run(1)
    past = Past([base], {KEY: [PastPart(base.execution_id, "pass", 1.0)]})
    seen = Now({(KEY[0], "other"): PastPart("now", "pass", 1.0)}, {}, {}, {})
    result = compare(seen, base, past)
    assert (result.added, result.gone) == ([(KEY[0], "other")], [KEY])
