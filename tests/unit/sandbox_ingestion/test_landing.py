"""Records land once, whatever has to be tried again; what is raised tells how much had landed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pytest_vdkprobe.sandbox.faults import Fault, Faults
from pytest_vdkprobe.sandbox.ingestion.bodies import Row
from pytest_vdkprobe.sandbox.ingestion.engines import Engines
from pytest_vdkprobe.sandbox.ingestion.landing import Landing
from pytest_vdkprobe.sandbox.ingestion.tables import Name, Table
from pytest_vdkprobe.sandbox.ingestion.trino import LONGEST_PIECE, TrinoTables
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError, EngineDownError
from pytest_vdkprobe.waiting import Deadline, wait_until


class Memory:
    """An engine whose table `t` has the columns that `types` says; two rows land at once."""

    name = "memory"
    whole = False

    def __init__(self) -> None:
        self.types = {"n": "bigint"}
        self.rows: list[Row] = []
        self.lookups = 0
        self.down_at: int | None = None
        self._known: Table | None = None

    def table(self, name: Name, called: str, *, anew: bool = False) -> Table:
        if name.table != "t":
            raise BadRecordsError("no such table", table=called)
        if anew or self._known is None:
            self.lookups += 1
            self._known = Table(called, "t", dict(self.types), 6, nul=True)
        return self._known

    def pieces(self, rows: list[Row]) -> list[list[Row]]:
        return [rows[at : at + 2] for at in range(0, len(rows), 2)]

    def land(self, batches: Mapping[Name, tuple[Table, Sequence[Row]]]) -> None:
        for table, rows in batches.values():
            table.texts(rows, table.columns_of(rows))
            if self.down_at is not None and len(self.rows) >= self.down_at:
                raise EngineDownError("gone")
            self.rows += rows

    def close(self) -> None:
        """Nothing is kept."""


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def landing(memory: Memory) -> Landing:
    landing = Landing(Faults(), Engines())
    landing.tables = {memory.name: memory}
    return landing


def rows(count: int) -> list[Row]:
    return [{"n": n} for n in range(count)]


def test_a_table_is_looked_up_once(landing: Landing, memory: Memory) -> None:
    for _ in range(3):
        landing.into_tables("memory", {"t": rows(3)})
    assert (memory.lookups, len(memory.rows)) == (1, 9)


def test_a_table_that_has_changed_is_looked_up_again(landing: Landing, memory: Memory) -> None:
    landing.into_tables("memory", {"t": rows(1)})
    memory.types = {"n": "text"}
    landing.into_tables("memory", {"t": [{"n": "x"}]})
    assert (memory.lookups, memory.rows) == (2, [{"n": 0}, {"n": "x"}])


def test_a_piece_that_has_landed_does_not_land_again(landing: Landing, memory: Memory) -> None:
    bad: list[Row] = [*rows(4), {"n": "x"}]
    with pytest.raises(BadRecordsError) as caught:
        landing.into_tables("memory", {"t": bad})
    assert (caught.value.landed, memory.rows) == (4, rows(4))


def test_an_engine_that_goes_away_tells_how_far_it_came(landing: Landing, memory: Memory) -> None:
    memory.down_at = 2
    with pytest.raises(EngineDownError) as caught:
        landing.into_tables("memory", {"t": rows(5)})
    assert (caught.value.landed, memory.rows) == (2, rows(2))


def test_a_late_record_for_a_table_that_went_is_noted(landing: Landing, memory: Memory) -> None:
    landing._mischief.faults.plant(Fault(name="ingest-late", delay_s=0.7))
    altered, _ = landing.altered("memory", {"t": rows(1)})
    memory.types = {"other": "bigint"}
    memory.table(Name.of("t"), "t", anew=True)
    wait_until("the note", lambda: landing.failures, done=bool, deadline=Deadline.after(10))
    landing.stop()
    assert (altered, memory.rows) == ({}, [])
    assert "no column 'n'" in str(landing.failures[0]["why"])


def test_a_statement_of_trino_has_a_bounded_length_and_the_longest_comes_first() -> None:
    sized: list[dict[str, Any]] = [{"a": "x" * size} for size in (100, 100, LONGEST_PIECE, 5)]
    pieces = TrinoTables(Engines()).pieces(sized)
    assert [len(row["a"]) for piece in pieces for row in piece] == [LONGEST_PIECE, 100, 100, 5]
    assert [len(piece) for piece in pieces] == [1, 2, 1]
