"""Every record is in one class, by identity; where counters go wrong, the account does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.accounting.outcomes import Outcome
from pytest_vdkprobe.accounting.stream import Arrival
from pytest_vdkprobe.errors import NoEvidence, PlatformFailure, ProbeError
from tests.unit.accounting.making import RUN, account, arrival, expectation

COUNT = 20
NOTHING: dict[str, int] = {}
SCHEDULES: dict[str, tuple[list[int], dict[int, float], dict[str, int]]] = {
    "clean": (list(range(20)), {}, NOTHING),
    "one lost in the middle": ([s for s in range(20) if s != 9], {}, {"lost": 1}),
    "one duplicated": ([*range(10), 9, *range(10, 20)], {}, {"duplicate": 1}),
    "one lost and one duplicated": (
        [*range(9), 10, 10, *range(11, 20)],
        {},
        {"lost": 1, "duplicate": 1},
    ),
    "two swapped": ([*range(9), 10, 9, *range(11, 20)], {}, {"reordered": 1}),
    "one late": (list(range(20)), {9: 1.5}, {"late": 1}),
    "last three lost": (list(range(17)), {}, {"lost": 3}),
}
"""Order of arrival, seconds that single ones took, what the account must say beside delivered."""


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_on_which_counters_go_wrong(name: str, tmp_path: Path) -> None:
    order, took_s, wanted = SCHEDULES[name]
    expected = expectation(tmp_path / "book", COUNT)
    found = account(
        expected, [arrival(expected, seq, after_s=took_s.get(seq, 0.01)) for seq in order]
    )
    told = {
        name: getattr(found, name)
        for name in ("late", "lost", "duplicate", "reordered", "corrupted", "foreign")
        if getattr(found, name)
    }
    assert told == wanted
    assert found.sent == found.delivered + (found.late or 0) + found.lost
    limited = {name: count for name, count in wanted.items() if name != "reordered"}
    if limited:
        with pytest.raises(PlatformFailure) as failure:
            found.require()
        for name, count in limited.items():
            assert f"{count} {name}" in failure.value.what
        found.require(**limited)
    else:
        found.require()


@pytest.mark.parametrize(
    ("outcome", "arrives", "wanted"),
    [
        (Outcome.ACKNOWLEDGED, True, {"delivered": 20}),
        (Outcome.ACKNOWLEDGED, False, {"delivered": 19, "lost": 1}),
        (Outcome.REFUSED, True, {"delivered": 20, "contradicted": 1}),
        (Outcome.REFUSED, False, {"delivered": 19, "refused": 1}),
        (Outcome.UNKNOWN, True, {"delivered": 20}),
        (Outcome.UNKNOWN, False, {"delivered": 19, "unknown": 1}),
    ],
    ids=str,
)
def test_seen_wins_and_unseen_is_what_its_sender_knew(
    outcome: Outcome, arrives: bool, wanted: dict[str, int], tmp_path: Path
) -> None:
    expected = expectation(tmp_path / "book", COUNT, outcomes={7: outcome})
    seqs = [seq for seq in range(COUNT) if arrives or seq != 7]
    found = account(expected, [arrival(expected, seq) for seq in seqs])
    classes = ("delivered", "lost", "refused", "unknown", "in_flight", "contradicted")
    assert {n: getattr(found, n) for n in classes if getattr(found, n)} == wanted


def test_loss_is_provisional_until_the_late_window_closes(tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", COUNT)
    seen = [arrival(expected, seq) for seq in range(COUNT) if seq != 7]
    closes_us = expected.due_us(7) + expected.late_us
    before = account(expected, seen, now_us=closes_us)
    assert (before.lost, before.in_flight) == (0, 1)
    with pytest.raises(NoEvidence):
        before.require()
    after = account(expected, seen, now_us=closes_us + 1)
    assert (after.lost, after.in_flight) == (1, 0)


def test_edge_of_a_window_is_exact_at_high_rates(tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", COUNT)
    expected.rate_per_s = 3_000_000.0
    for seq in range(COUNT):
        first = expected.due_before(expected.due_us(seq))
        assert expected.due_us(first) >= expected.due_us(seq)
        assert first == 0 or expected.due_us(first - 1) < expected.due_us(seq)
    assert expected.due_before(10**18) == COUNT


@pytest.mark.parametrize(
    "stranger",
    [
        Arrival("ffffffff", 3, "", "", None),
        Arrival(None, None, "", "", None),
        Arrival(RUN, COUNT, "", "", None),
        Arrival(RUN, -1, "", "", None),
        Arrival(RUN, 2**63, "", "", None),
        Arrival(RUN, 2**70, "", "", None),
        Arrival(RUN, "3", "", "", None),
        Arrival(RUN, True, "", "", None),
        Arrival(RUN, 3.0, "", "", None),
    ],
    ids=lambda it: f"{it.run_id}-{it.seq!r}",
)
def test_what_was_never_sent_is_foreign_and_touches_nothing_else(
    stranger: Arrival, tmp_path: Path
) -> None:
    expected = expectation(tmp_path / "book", COUNT)
    found = account(expected, [stranger, *(arrival(expected, s) for s in range(COUNT))])
    assert (found.foreign, found.delivered, found.duplicate) == (1, COUNT, 0)
    with pytest.raises(PlatformFailure, match="1 foreign"):
        found.require()


def test_nothing_sent_or_nothing_seen_is_no_pass(tmp_path: Path) -> None:
    none = expectation(tmp_path / "none", 0)
    with pytest.raises(NoEvidence, match="Nothing was sent"):
        account(none, []).require()
    some = expectation(tmp_path / "some", COUNT)
    with pytest.raises(NoEvidence, match="Not one of 20"):
        account(some, []).require(lost=COUNT)


def test_class_that_there_is_not_can_t_be_limited(tmp_path: Path) -> None:
    expected = expectation(tmp_path / "book", COUNT)
    with pytest.raises(ProbeError, match="no class losses"):
        account(expected, [arrival(expected, s) for s in range(COUNT)]).require(losses=1)


@pytest.mark.parametrize(
    "changed", [{"body": "{}"}, {"digest": "0"}, {"columns": {"n": 1, "word": "x"}}], ids=str
)
def test_changed_record_is_delivered_by_its_number_and_corrupted_beside(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    expected = expectation(tmp_path / "book", COUNT)
    arrivals = [arrival(expected, seq) for seq in range(COUNT)]
    arrivals[5] = arrival(expected, 5, **changed)
    found = account(expected, arrivals)
    assert (found.delivered, found.corrupted) == (COUNT, 1)
    with pytest.raises(PlatformFailure) as failure:
        found.require()
    assert f"record 5, {'n' if 'columns' in changed else next(iter(changed))}" in str(failure.value)
