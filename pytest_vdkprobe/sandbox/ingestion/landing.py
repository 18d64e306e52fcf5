"""Where records land, whoever brings them: past the faults, into a table, a topic, the list."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from pytest_vdkprobe.sandbox.faults import Fault, Faults
from pytest_vdkprobe.sandbox.ingestion.bodies import Row
from pytest_vdkprobe.sandbox.ingestion.engines import Engines
from pytest_vdkprobe.sandbox.ingestion.mischief import Mischief
from pytest_vdkprobe.sandbox.ingestion.postgres import PostgresTables
from pytest_vdkprobe.sandbox.ingestion.received import Received
from pytest_vdkprobe.sandbox.ingestion.tables import Name, Table
from pytest_vdkprobe.sandbox.ingestion.topics import Topics
from pytest_vdkprobe.sandbox.ingestion.trino import TrinoTables
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError, NotLandedError

LONGEST_LIST = 100

Batches = dict[str, list[Row]]
"""The table as the records call it -> its records."""


class Tables(Protocol):
    """An engine that has tables."""

    name: str
    whole: bool
    """Whether a batch of any size, over several tables, lands wholly or not at all."""

    def table(self, name: Name, called: str, *, anew: bool = False) -> Table:
        """The table's description, from memory or looked up anew."""

    def pieces(self, rows: list[Row]) -> list[list[Row]]:
        """The rows in parts, of which each lands wholly or not at all."""

    def land(self, batches: Mapping[Name, tuple[Table, Sequence[Row]]]) -> None:
        """Insert the rows."""

    def close(self) -> None:
        """Let go of connections."""


class Landing:
    """Every place, behind the faults."""

    def __init__(self, faults: Faults, engines: Engines) -> None:
        self.tables: dict[str, Tables] = {
            tables.name: tables for tables in (PostgresTables(engines), TrinoTables(engines))
        }
        self.topics = Topics(engines)
        self.received = Received()
        self.failures: deque[dict[str, object]] = deque(maxlen=LONGEST_LIST)
        """What could not land and nobody was there to be told: the last of it."""
        self._mischief = Mischief(faults, self.fail)

    def fail(self, place: str, exc: Exception, **where: object) -> None:
        """Note what could not land."""
        self.failures.append({"place": place, "at": time.time(), "why": str(exc), **where})

    def altered(
        self, engine: str, batches: Batches, *, top: str | None = None, schema: str | None = None
    ) -> tuple[Batches, Fault | None]:
        """What is to land in tables instead of `batches`, and the fault by which to refuse it."""
        found: Batches = {}
        refused = None
        for called, rows in batches.items():
            name = Name.of(called, top=top, schema=schema)
            table = self.tables[engine].table(name, called)

            def later(rows: list[Row], called: str = called) -> None:
                self.into_tables(engine, {called: rows}, top=top, schema=schema)

            batch = self._mischief.apply(called, rows, types=table.types, later=later)
            refused = refused or batch.refused
            if batch.rows:
                found[called] = batch.rows
        return found, refused

    def into_tables(
        self, engine: str, batches: Batches, *, top: str | None = None, schema: str | None = None
    ) -> None:
        """Land what was not altered, or was already.

        In PostgreSQL all of it or nothing; in Trino piece by piece, and what is raised tells how
        many records have landed before.
        """
        landed = 0
        for piece in self.pieces(engine, batches):
            try:
                self._land(engine, piece, top, schema)
            except NotLandedError as exc:
                exc.landed = landed
                raise
            landed += sum(map(len, piece.values()))

    def pieces(self, engine: str, batches: Batches) -> list[Batches]:
        """What lands at once each."""
        tables = self.tables[engine]
        if tables.whole:
            return [batches]
        return [
            {called: piece} for called, rows in batches.items() for piece in tables.pieces(rows)
        ]

    def _land(self, engine: str, batches: Batches, top: str | None, schema: str | None) -> None:
        """One piece; what does not fit a table as remembered is tried with the table as it is."""
        names = {called: Name.of(called, top=top, schema=schema) for called in batches}
        tables = self.tables[engine]
        for anew in (False, True):
            try:
                tables.land(
                    {
                        name: (tables.table(name, called, anew=anew), batches[called])
                        for called, name in names.items()
                    }
                )
            except BadRecordsError:
                if anew:
                    raise
            else:
                return

    def into_topic(self, topic: str, rows: list[Row]) -> Fault | None:
        """Produce; the fault by which to refuse it nevertheless."""
        land = partial(self.topics.land, topic)
        batch = self._mischief.apply(topic, rows, types={}, later=land)
        if batch.rows:
            land(batch.rows)
        return batch.refused

    def into_list(self, name: str, rows: list[Row]) -> Fault | None:
        """Remember; the fault by which to refuse it nevertheless."""
        land = partial(self.received.add, name)
        batch = self._mischief.apply(name, rows, types={}, later=land)
        land(batch.rows)
        return batch.refused

    def stop(self) -> None:
        """Land nothing more, and cancel what is under way."""
        self._mischief.close()
        for tables in self.tables.values():
            tables.close()

    def close(self) -> None:
        """Let go of Kafka, once nobody lands there any more."""
        self.topics.close()
