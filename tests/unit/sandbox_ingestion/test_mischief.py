"""Each fault of ingestion does to exactly one record or batch what its name says."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vdkprobe.sandbox.faults import INGESTION_LIES, Fault, Faults
from pytest_vdkprobe.sandbox.ingestion.alterations import (
    foreign,
    lowercased,
    rounded,
    shifted,
    truncated,
)
from pytest_vdkprobe.sandbox.ingestion.mischief import Mischief
from pytest_vdkprobe.waiting import Deadline, wait_until

TYPES = {
    "run_id": "text",
    "seq": "bigint",
    "body": "text",
    "word": "text",
    "amount": "numeric(38,10)",
    "at": "timestamp without time zone",
}


def row(seq: int, **changed: object) -> dict[str, Any]:
    return {
        "run_id": "R",
        "seq": seq,
        "body": "Body",
        "word": "Word",
        "amount": "1.50",
        "at": "2026-01-01T00:00:00.5",
        **changed,
    }


class Place:
    """Where records land, and what was told of it."""

    def __init__(self, seed: int = 0) -> None:
        self.rows: list[dict[str, Any]] = []
        self.told: list[str] = []
        self.faults = Faults(seed)
        self.mischief = Mischief(self.faults, lambda _place, exc: self.told.append(str(exc)))

    def plant(self, name: str, **options: Any) -> None:
        self.faults.plant(Fault(name=f"ingest-{name}", **options))

    def land(self, *rows: dict[str, Any], typed: bool = True, name: str = "t") -> Fault | None:
        batch = self.mischief.apply(
            name, list(rows), types=TYPES if typed else {}, later=self.rows.extend
        )
        self.rows += batch.rows
        return batch.refused

    @property
    def seqs(self) -> list[int]:
        return [row["seq"] for row in self.rows]


@pytest.fixture
def place() -> Place:
    return Place()


ROWS = tuple(row(seq) for seq in range(5))


def test_without_faults_nothing_changes(place: Place) -> None:
    place.land(*ROWS)
    assert place.rows == list(ROWS)


@pytest.mark.parametrize(
    ("name", "options", "seqs"),
    [
        ("loses", {"skip": 1, "times": 1}, [0, 2, 3, 4]),
        ("loses", {"times": 1}, [1, 2, 3, 4]),
        ("loses", {"skip": 2, "times": 3}, [0, 1]),
        ("loses", {"job": "u"}, [0, 1, 2, 3, 4]),
        ("duplicates", {"skip": 4, "times": 1}, [0, 1, 2, 3, 4, 4]),
        ("swaps", {"skip": 1, "times": 1}, [0, 2, 1, 3, 4]),
        ("foreign", {"skip": 2, "times": 1}, [0, 1, 2, 2, 3, 4]),
        ("acknowledges-nothing", {"times": 1}, []),
    ],
)
def test_which_records_land(
    place: Place, name: str, options: dict[str, Any], seqs: list[int]
) -> None:
    place.plant(name, **options)
    assert place.land(*ROWS) is None
    assert place.seqs == seqs
    hits = 0 if "job" in options else options["times"]
    assert place.faults.planted() == {f"ingest-{name}": hits}


def test_a_share_is_the_same_for_the_same_seed() -> None:
    def lost(seed: int) -> list[int]:
        place = Place(seed)
        place.plant("loses", share=0.3)
        place.land(*(row(seq) for seq in range(100)))
        return place.seqs

    assert lost(1) == lost(1) != lost(2)
    assert 50 < len(lost(1)) < 90


def test_several_faults_hit_one_batch(place: Place) -> None:
    place.plant("loses", times=1)
    place.plant("duplicates", skip=1, times=1)
    place.land(*ROWS)
    assert place.seqs == [1, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "column", "seen"),
    [
        ("truncates", "body", "Bo"),
        ("rounds", "amount", "1"),
        ("lowercases", "word", "word"),
        ("shifts-time", "at", "2026-01-01T01:00:00.5"),
    ],
)
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "untyped"])
def test_one_value_of_one_record_changes(
    place: Place, name: str, column: str, seen: str, typed: bool
) -> None:
    place.plant(name, skip=2, times=1)
    place.land(*ROWS, typed=typed)
    assert place.rows == [row(0), row(1), row(2, **{column: seen}), row(3), row(4)]
    assert place.faults.planted() == {f"ingest-{name}": 1}


def test_a_record_that_can_not_be_altered_is_no_chance(place: Place) -> None:
    place.plant("rounds", times=1)
    place.land(row(0, amount="1.0"), row(1, amount=None), row(2))
    assert [row["amount"] for row in place.rows] == ["1.0", None, "1"]
    assert place.faults.planted() == {"ingest-rounds": 1}


def test_a_batch_is_refused_after_it_landed(place: Place) -> None:
    place.plant("refuses-but-lands", times=1, status=409)
    refused = place.land(*ROWS)
    assert refused is not None
    assert refused.status == 409
    assert place.seqs == [0, 1, 2, 3, 4]
    assert place.land(*ROWS) is None


def test_a_late_record_lands_later(place: Place) -> None:
    place.plant("late", times=1, delay_s=0.7)
    place.land(*ROWS)
    assert place.seqs == [1, 2, 3, 4]
    wait_until("the late one", lambda: place.seqs, done=_has_all, deadline=Deadline.after(10))
    assert place.seqs == [1, 2, 3, 4, 0]


def test_a_swap_reaches_over_batches_of_one_place(place: Place) -> None:
    place.plant("swaps", times=1)
    place.land(row(0))
    place.land(row(7), name="u")
    place.land(row(1))
    place.land(row(2))
    assert place.seqs == [7, 1, 0, 2]


def test_a_swap_without_a_next_record_still_lands(place: Place) -> None:
    place.plant("swaps", skip=4, times=1)
    place.land(*ROWS)
    assert place.seqs == [0, 1, 2, 3]
    wait_until("the last one", lambda: place.seqs, done=_has_all, deadline=Deadline.after(10))


def test_what_can_not_land_later_is_told(place: Place) -> None:
    def fail(_rows: list[dict[str, Any]]) -> None:
        raise ValueError("no more")

    place.plant("late", delay_s=0.0)
    place.mischief.apply("t", [row(0)], types={}, later=fail)
    wait_until("the word", lambda: place.told, done=bool, deadline=Deadline.after(10))
    assert place.told == ["no more"]


def test_after_the_end_nothing_lands(place: Place) -> None:
    place.plant("late", delay_s=3600.0)
    place.land(*ROWS)
    place.mischief.close()
    place.land(*ROWS)
    place.mischief.close()
    assert place.rows == []


def test_every_fault_of_ingestion_is_tested() -> None:
    """The names above; the integration tests show the same on real engines."""
    tested = {"loses", "duplicates", "swaps", "foreign", "acknowledges-nothing", "truncates"}
    tested |= {"rounds", "lowercases", "shifts-time", "refuses-but-lands", "late"}
    assert {f"ingest-{name}" for name in tested} == set(INGESTION_LIES)


def _has_all(seqs: list[int]) -> bool:
    return sorted(seqs) == [0, 1, 2, 3, 4]


# Alterations


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.0000000001", "0.000000000"),
        ("-1234567890123456789012345678.0123456789", "-1234567890123456789012345678.012345678"),
        ("9.9", "9"),
        ("2.50", "2"),
    ],
)
def test_a_decimal_loses_its_last_digit(before: str, after: str) -> None:
    assert rounded(row(0, amount=before), TYPES) == row(0, amount=after)


def test_an_hour_later_keeps_the_rest_of_the_text() -> None:
    assert shifted(row(0, at="2026-12-31 23:30:01.25+02:00"), {}) == row(
        0, at="2027-01-01 00:30:01.25+02:00"
    )
    assert shifted(row(0, at="9999-12-31T23:00"), TYPES) == row(0, at="9999-12-31T22:00")
    assert shifted(row(0, at="2026-13-01T00:00"), TYPES) is None


def test_typed_columns_decide_what_is_text() -> None:
    assert lowercased({"amount": "NaN", "word": "x", "body": "A"}, TYPES) == {
        "amount": "NaN",
        "word": "x",
        "body": "a",
    }
    assert lowercased({"ratio": "NaN"}, {}) is None
    assert truncated({"word": "", "seq": 1}, TYPES) is None
    assert truncated({"word": "abcd"}, TYPES) == {"word": "ab"}
    assert foreign({"seq": 1}, TYPES) is None
