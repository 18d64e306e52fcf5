"""Accounts of rounds add up to the account of all, and what was seen survives the process."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyroaring import BitMap64

from pytest_vdkprobe.accounting.account import CLASSES, Account, reconcile
from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.sightings import Sightings
from pytest_vdkprobe.errors import ProbeError

ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)
UNKNOWN = SendResult(Outcome.UNKNOWN, "no answer in time")
S = 1_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Ten records, one a second; 4 was refused, of 5 nobody knows."""
    ledger = Ledger.create(
        tmp_path / "ledger", run_id="01234567", profile="small", start_us=0, rate_per_s=1.0
    )
    ledger.intend(range(10))
    refused = SendResult(Outcome.REFUSED, "400")
    ledger.settle(range(10), [ACKNOWLEDGED] * 4 + [refused, UNKNOWN] + [ACKNOWLEDGED] * 4)
    return ledger


def account(ledger: Ledger, seen: Observation, second: float) -> Account:
    expectation = ledger.expectation(within_s=2, late_s=3)
    return reconcile(expectation, seen, now_us=round(second * S))


def seen_of(*numbers: int, late: tuple[int, ...] = (), duplicate: int = 0) -> Observation:
    return Observation(
        seen=BitMap64(numbers), late=BitMap64(late), reordered=0, duplicate=duplicate
    )


def test_each_record_is_new_once(ledger: Ledger) -> None:
    first = account(ledger, seen_of(0, 1), 2.5)
    second = account(ledger, seen_of(0, 1, 3, 9, late=(3,), duplicate=2), 8.5)
    third = account(ledger, seen_of(0, 1, 2, 3, 9, late=(2, 3), duplicate=3), 60)
    rounds = [first.since(None), second.since(first), third.since(second)]
    assert [found.delivered for found in rounds] == [2, 1, 0]
    assert [found.duplicate for found in rounds] == [0, 2, 1]
    # Record 2 was lost in the second round, and came late in the third.
    assert [found.lost for found in rounds] == [0, 1, 3]
    assert [found.late for found in rounds] == [0, 1, 1]
    assert [found.refused for found in rounds] == [1, 0, 0]
    # Of 5 nothing is said before its window has closed.
    assert [found.unknown for found in rounds] == [0, 0, 1]
    for found in rounds:
        assert found.sent == sum(getattr(found, name) or 0 for name in CLASSES)
    assert rounds[-1].in_flight == 0


def test_outcome_that_waits_is_written_with_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    ledger = Ledger.create(path, run_id="01234567", profile="small", start_us=0, rate_per_s=1.0)
    ledger.intend(range(1))
    ledger.settle([0], [ACKNOWLEDGED], soon=True)
    assert list(ledger.acknowledged) == [0]
    with Ledger.open(path) as killed:
        assert list(killed.expectation(within_s=1, late_s=1).unknown) == [0]
    ledger.intend(range(1, 2))
    with Ledger.open(path) as killed:
        assert list(killed.acknowledged) == [0]
    ledger.settle([1], [ACKNOWLEDGED], soon=True)
    ledger.close()
    with Ledger.open(path) as closed:
        assert list(closed.acknowledged) == [0, 1]


def test_what_was_seen_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    sightings = Sightings.create(path, run_id="01234567", totals={"a": 3.0})
    sightings.note(seen_of(0, 1, 2, 7))
    sightings.note(seen_of(0, 1, 2, 7, 8, late=(8,), duplicate=2))
    sightings.note(seen_of(0, 1, 2, 7, 8, late=(8,), duplicate=2))
    size = path.stat().st_size
    sightings.close()
    # A kill in the middle of a line.
    with path.open("ab") as file:
        file.write(b"S 9-")
    again = Sightings.open(path)
    found = again.restored()
    assert (again.run_id, again.totals) == ("01234567", {"a": 3.0})
    assert list(found.seen) == [0, 1, 2, 7, 8]
    assert found.late is not None
    assert list(found.late) == [8]
    assert (found.duplicate, found.foreign) == (2, 0)
    assert path.stat().st_size == size
    again.close()


def test_file_that_is_no_list_of_what_was_seen_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    path.write_text("nothing of the kind\nat all\n")
    with pytest.raises(ProbeError, match="damaged"):
        Sightings.open(path)
    path.write_text("")
    with pytest.raises(ProbeError, match="no list of what was seen"):
        Sightings.open(path)
