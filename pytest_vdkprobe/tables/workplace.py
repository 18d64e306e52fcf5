"""The tables of one entry in its database: made under leases, read, dropped and seen to be gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.connections.sql import Database, Name, SqlError
from pytest_vdkprobe.connections.tables import LeasedTable, finding
from pytest_vdkprobe.connections.trino import TrinoDatabase
from pytest_vdkprobe.connections.versions import database_version
from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.tables.compare import wrong_rows, wrong_types
from pytest_vdkprobe.tables.moves import MOVES, STAGING, Row, staging_name
from pytest_vdkprobe.tables.rows import Shape, rows_before, rows_that_come
from pytest_vdkprobe.tables.settings import PostgresPlace, TrinoPlace

NO_SUCH_VALUE = "22"
"""PostgreSQL's class of data exceptions (its documentation, appendix A)."""
NO_SUCH_VALUES = ("INVALID_CAST_ARGUMENT", "NUMERIC_VALUE_OUT_OF_RANGE")
"""Trino's."""

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.tables.settings import Place, TablesSettings
    from pytest_vdkprobe.waiting import Deadline


class Workplace:
    """A source, a view over it, and a destination for each move."""

    def __init__(
        self,
        settings: TablesSettings,
        place: Place,
        *,
        moves: Sequence[str],
        run_id: str,
        leases: LeaseStore | None,
        base_dir: Path | None = None,
    ) -> None:
        self.settings = settings
        self.place = place
        self.moves = tuple(moves)
        self.database: Database = open_database(place, base_dir=base_dir)
        awkward = settings.names == "awkward"
        self.shape = Shape(self.database.engine, awkward=awkward, without=settings.without)
        self._run_id = run_id
        self._leases = leases
        self._made: list[LeasedTable] = []
        self.source = self._name("source")
        self.view = self._name("view")
        self.destinations = {move: self._name(move) for move in self.moves}
        self.before = rows_before()
        self.come = rows_that_come()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _name(self, role: str) -> Name:
        table = self.settings.table(self._run_id, role)
        if isinstance(self.place, TrinoPlace):
            parts = (self.place.catalog or "", self.place.schema or "", table)
            return Name(tuple(part.lower() for part in parts))
        return Name((self.place.schema, table))

    def create(self, *, deadline: Deadline) -> str:
        """Make all tables and put rows into the destinations; returns the evidence."""
        engine, shape = self.database.engine, self.shape
        columns = shape.source_definition
        self._make(self.source, partial(engine.create, self.source, columns))
        select = shape.view(self.source)
        self._make(self.view, lambda _mark: f"create view {self.view.sql} as {select}", kind="view")
        columns, types = shape.definition, shape.types
        for move, name in self.destinations.items():
            self._make(name, partial(engine.create, name, columns))
            if move in STAGING:
                # Made by the template, and left by it.
                staging = Name((*name.parts[:-1], staging_name(*name.parts[-2:])))
                self._own(staging).expect()
            self.insert(name, self.before, deadline=deadline)
            what = f"The table for {move} does not hold what was written there"
            self._judge(what, name, self.before, self._read(name, deadline))
        return (
            f"{self.source}, a view, {len(self.destinations)} destinations of {len(types)} columns "
            f"with {len(self.before)} rows each"
        )

    def versions(self) -> dict[str, str]:
        """The server's."""
        return database_version(self.database)

    def _own(self, name: Name, *, kind: str = "table") -> LeasedTable:
        # What moves the rows may make a table anew, and drop the comment with it.
        table = LeasedTable(self.database, name, leases=self._leases, kind=kind, told_by_name=True)
        self._made.append(table)
        return table

    def _make(self, name: Name, statement: Callable[[str], str], *, kind: str = "table") -> None:
        table = self._own(name, kind=kind)
        try:
            table.create(statement)
        except SqlError as exc:
            raise self._finding(f"The {table} can't be created", exc) from exc

    def insert(
        self, table: Name, rows: Sequence[Row], *, source: bool = False, deadline: Deadline
    ) -> None:
        """Insert rows by ourselves."""
        self._run(
            f"No rows can be written into {table}",
            self.shape.insert(table, rows, source=source),
            deadline,
        )

    def copy(self, move: str, *, deadline: Deadline) -> None:
        """Move by ourselves: with SQL, or row by row through this process."""
        name, shape = self.destinations[move], self.shape
        if move == "sql":
            listed = shape.listed
            sql = f"insert into {name.sql} ({listed}) select {listed} from {self.view.sql}"  # noqa: S608 - all names are quoted
            self._run(f"No rows can be moved into {name}", sql, deadline)
            return
        rows = [
            {column.source: value for column, value in zip(shape.columns, row, strict=True)}
            for row in self._read(self.view, deadline)
        ]
        self.insert(name, rows, deadline=deadline)

    def require_filled(self, what: str, *, deadline: Deadline) -> str:
        """The source, seen through the view, holds what was ingested; returns the evidence."""
        rows = self._read(self.view, deadline)
        self._judge(what, self.view, self.come, rows)
        return f"{len(rows)} rows in {self.source}, as they were ingested"

    def require(self, move: str, wanted: Sequence[Row], what: str, *, deadline: Deadline) -> str:
        """The destination of that move holds `wanted`, in columns as they were made.

        Returns the evidence; `what` begins the failure's headline.
        """
        name = self.destinations[move]
        types = self.types(name, deadline=deadline)
        problems = wrong_types(self.shape.types, types)
        if problems:
            raise PlatformFailure(
                f"{what}: its columns are not those that it was made with.",
                seen="\n".join(problems),
                expected=", ".join(f"{one} {kind}" for one, kind in self.shape.types.items()),
                checked=self._checked(name),
                to_try="read what moves the rows: does it make the table anew?",
            )
        rows = self._read(name, deadline)
        self._judge(what, name, wanted, rows)
        return f"{len(rows)} rows of {len(types)} typed columns, as they must be"

    def expected(self, move: str) -> list[Row]:
        """What that move must leave in its destination."""
        return MOVES[move](self.before, self.come)

    def types(self, name: Name, *, deadline: Deadline) -> dict[str, str]:
        """The columns of a table and their types."""
        sql, parameters = self.database.engine.columns(name)
        rows = self._run(f"{name} can't be looked at", sql, deadline, *parameters)
        return {str(row[0]): str(row[1]) for row in rows}

    def _judge(self, what: str, name: Name, wanted: Sequence[Row], rows: Sequence[Any]) -> None:
        lines, counts = wrong_rows(self.shape, wanted, rows)
        if lines:
            told = ", ".join(f"{count} {sort}" for sort, count in counts.items())
            raise PlatformFailure(
                f"{what}: {told}.",
                seen=f"{len(rows)} rows\n" + "\n".join(lines),
                expected=f"{len(wanted)} rows, unchanged",
                checked=self._checked(name),
            )

    def _checked(self, name: Name) -> str:
        return f"{name}, {self.database.engine.name} at {self.database.place}"

    def _read(self, name: Name, deadline: Deadline) -> list[Sequence[Any]]:
        sql = f"select {self.shape.listed} from {name.sql}"  # noqa: S608 - all names are quoted
        try:
            return self.database.run(sql, deadline=deadline)
        except SqlError as exc:
            if exc.code.startswith(NO_SUCH_VALUE) or exc.code in NO_SUCH_VALUES:
                # The view casts what was written, all of which can be cast.
                raise PlatformFailure(
                    f"{name} holds a value that was never written: it is none of its type.",
                    seen=str(exc),
                    expected="the rows as they were written",
                    checked=self._checked(name),
                    to_try=f"look into {self.source}: what changed its texts on their way?",
                ) from exc
            raise self._finding(f"{name} can't be read", exc) from exc

    def _run(
        self, what: str, sql: str, deadline: Deadline, *parameters: object
    ) -> list[Sequence[Any]]:
        try:
            return self.database.run(sql, parameters, deadline=deadline)
        except SqlError as exc:
            raise self._finding(what, exc) from exc

    def _finding(self, what: str, exc: SqlError) -> Exception:
        return finding(what, exc, self.database, key="tables.database")

    def remove(self) -> str:
        """Drop all that was made and see it gone; returns what was done. All are tried."""
        made, self._made = self._made, []
        with ExitStack() as stack:
            for table in made:
                stack.callback(table.remove)
        return f"{len(made)} tables and views are gone"

    def close(self) -> None:
        """Remove what is still there and let go of the database. May be called again."""
        try:
            self.remove()
        finally:
            self.database.close()


def open_database(place: Place, *, base_dir: Path | None) -> Database:
    """A connection to the place, opened when it is first used."""
    if isinstance(place, PostgresPlace):
        return PostgresDatabase(place, base_dir=base_dir, key="tables.database")
    return TrinoDatabase(place, base_dir=base_dir, key="tables.database")
