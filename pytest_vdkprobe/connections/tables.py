"""The table of a route: found as it must be, or created where that is allowed, and then removed.

A created table has a lease before it exists and carries the lease's mark in its comment, so that
who removes it, now or after a kill, can tell it from a namesake. What was there before is used and
left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.sql import Database, Fate, Name, SqlError, quoted
from pytest_vdkprobe.errors import ConfigError, LoginError, PlatformFailure, ProbeError
from pytest_vdkprobe.leases import marked_leases
from pytest_vdkprobe.records import LANDING
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import Lease, LeaseStore
    from pytest_vdkprobe.records import ColumnType

LIMIT_S = 60.0
"""For looking at a table, making it, or removing it."""
LONGEST_POLL_S = 0.5
MICROSECONDS = {"microseconds": "the table's times have milliseconds only"}

EXISTS = {"42P07", "23505", "TABLE_ALREADY_EXISTS"}
"""The second comes when two create one table in PostgreSQL at the same moment."""
FORBIDDEN = {"42501", "PERMISSION_DENIED"}
NOWHERE = {"3F000", "3D000", "CATALOG_NOT_FOUND", "SCHEMA_NOT_FOUND", "MISSING_SCHEMA_NAME"}
NO_COMMENTS = "NOT_SUPPORTED"


class OwnTable:
    """One table of a route's end. `key` is the setting that names the end: target or reader."""

    def __init__(
        self, database: Database, name: Name, *, create: bool, leases: LeaseStore | None, key: str
    ) -> None:
        self.name = name
        self.types: Mapping[str, str] = {}
        """The engine's type of each column, once it is `ensure`d."""
        self.losses: Mapping[str, str] = {}
        self._database = database
        self._create_it = create
        self._leases = leases
        self._key = key
        self._lease: Lease | None = None
        self._mark = ""
        self._created = False

    def ensure(self, columns: Mapping[str, ColumnType], *, writing: bool) -> None:
        """Return when the table is there and has the landing columns and `columns`.

        Columns beside these are fine, unless who writes would have to fill them. Raises ConfigError
        for a table that is missing or has others, LoginError where our user may not.
        """
        wanted: dict[str, ColumnType] = {**LANDING, **columns}
        found = self._columns()
        if not found:
            if not self._create_it:
                raise ConfigError(
                    f"{self._database.engine.name} has no table {self.name}.",
                    key=f"{self._key}.table",
                    value=str(self.name),
                    to_try="check its name, or let it be created: create = true",
                )
            self._create(wanted)
            found = self._columns()
        self._check(wanted, found, writing=writing)
        self.types = {name: kind for name, (kind, _) in found.items()}

    def _columns(self) -> dict[str, tuple[str, bool]]:
        """Of each column its type and whether it must be given; empty: there is no such table."""
        sql, parameters = self._database.engine.columns(self.name)
        rows = self._run(f"The table {self.name} can't be looked at", sql, *parameters)
        return {str(name): (str(kind), bool(must)) for name, kind, must in rows}

    def _check(
        self,
        wanted: Mapping[str, ColumnType],
        found: Mapping[str, tuple[str, bool]],
        *,
        writing: bool,
    ) -> None:
        engine = self._database.engine
        wrong = []
        for name, kind in wanted.items():
            fitting, coarse = engine.types[kind], engine.coarse.get(kind, ())
            seen, _ = found.get(name, (None, False))
            if seen in coarse:
                self.losses = MICROSECONDS
            elif seen not in fitting:
                wrong.append(f"{name} is {seen or 'missing'}, and must be {fitting[0]}")
        if writing:
            wrong += [
                f"{name} ({kind}) must be given, and no record has it"
                for name, (kind, must) in found.items()
                if must and name not in wanted
            ]
        if wrong:
            raise ConfigError(
                f"The table {self.name} in {engine.name} has other columns than its records.",
                key=f"{self._key}.table",
                value="\n".join(wrong),
                expected=", ".join(
                    f"{name} {engine.types[kind][0]}" for name, kind in wanted.items()
                ),
                to_try="name another table, or let one be created: create = true",
            )

    def _create(self, wanted: Mapping[str, ColumnType]) -> None:
        engine = self._database.engine
        columns = ", ".join(
            f"{quoted(name)} {engine.types[kind][0]}" for name, kind in wanted.items()
        )
        if self._leases is not None:
            where = {engine.name.lower(): self._database.place}
            self._lease = self._leases.take("table", self.name.sql, where=where)
            self._mark = self._lease.mark
        self._created = True
        what = f"The table {self.name} can't be created"
        try:
            self._make(columns)
        except SqlError as exc:
            if exc.fate is not Fate.UNKNOWN:
                # Else it may come to be yet, and is looked for at the end.
                self._forget()
            if exc.code not in EXISTS:
                raise self._finding(what, exc) from exc
        except ProbeError:
            self._forget()
            raise

    def _make(self, columns: str) -> None:
        create = self._database.engine.create
        deadline = Deadline.after(LIMIT_S, "the time to create a table")
        try:
            self._database.run(create(self.name, columns, self._mark), deadline=deadline)
        except SqlError as exc:
            if exc.code != NO_COMMENTS or not self._mark:
                raise
            # Not every connector keeps comments; that it is ours is known to this process alone.
            self._mark = ""
            self._database.run(create(self.name, columns, ""), deadline=deadline)

    def remove(self) -> None:
        """Drop what `ensure` created, see it gone, release its lease. May be called again."""
        if self._created:
            drop_table(self._database, self.name, mark=self._mark)
            self._forget()

    def _forget(self) -> None:
        self._created = False
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def _run(self, what: str, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        try:
            rows = self._database.run(
                sql, parameters, deadline=Deadline.after(LIMIT_S, "the time to look at a table")
            )
        except SqlError as exc:
            raise self._finding(what, exc) from exc
        return [tuple(row) for row in rows]

    def _finding(self, what: str, exc: SqlError) -> ProbeError | PlatformFailure:
        return finding(what, exc, self._database, key=f"{self._key}.table")


def drop_table(database: Database, name: Name, *, mark: str) -> bool:
    """Drop the table if its comment carries `mark`, or if that is empty; return when it is gone.

    False where a table of this name is not ours: it is left. Raises WaitFailure when it stays,
    ProbeError when it may not be dropped.
    """
    deadline = Deadline.after(LIMIT_S, "the time for a table to go")
    what = f"The table {name} can't be dropped"
    columns, comment = database.engine.columns(name), database.engine.comment(name)
    try:
        if not database.run(*columns, deadline=deadline):
            return True
        if mark:
            said = database.run(*comment, deadline=deadline)
            if not said or not set(marked_leases(mark)) & set(marked_leases(str(said[0][0]))):
                return False
        database.run(f"drop table if exists {name.sql}", deadline=deadline)
        wait_until(
            f"table {name} gone",
            lambda: len(database.run(*columns, deadline=deadline)),
            done=lambda count: count == 0,
            deadline=deadline,
            describe=lambda count: f"{count} columns" if count else "gone",
            longest_pause_s=LONGEST_POLL_S,
            checked=database.place,
        )
    except SqlError as exc:
        raise finding(what, exc, database, key="table") from exc
    return True


def finding(
    what: str, exc: SqlError, database: Database, *, key: str
) -> ProbeError | PlatformFailure:
    """The finding for a statement that failed outside of a measurement."""
    checked = f"{database.engine.name} at {database.place}"
    if exc.code in FORBIDDEN:
        return LoginError(
            f"{what}: our user may not.",
            seen=str(exc),
            checked=checked,
            to_try="let the server's administrator grant it, or use a table that exists already",
        )
    if exc.code in NOWHERE:
        return ConfigError(
            f"{what}: {exc}.", key=key, to_try="check the names of catalog, schema and table"
        )
    if exc.gone:
        return PlatformFailure(
            f"{what}: the server stopped answering.", seen=str(exc), checked=checked
        )
    if exc.timed_out:
        return ProbeError(
            f"{what}: no answer in time.",
            seen=str(exc),
            checked=checked,
            to_try="is the server overloaded, or does somebody hold a lock on the table?",
        )
    return ProbeError(f"{what}: {exc}.", checked=checked, to_try="see the server's log")
