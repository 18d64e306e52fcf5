"""The table of a route: found as it must be, or created where that is allowed, and then removed.

A created table has a lease before it exists and carries the lease's mark in its comment, so that
who removes it, now or after a kill, can tell it from a namesake. Where a comment can't be kept (not
every connector has them, a view or what a template makes anew loses it), the lease says so, and the
table is told by its name, which has the run's random id in it. What was there before is used and
left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
GONE_WITHIN_S = 20.0
"""A drop is done when it is answered; a metastore may show it a moment longer."""
LONGEST_POLL_S = 0.5
MICROSECONDS = {"microseconds": "the table's times have milliseconds only"}

EXISTS = {"42P07", "23505", "TABLE_ALREADY_EXISTS"}
"""The second comes when two create one table in PostgreSQL at the same moment."""
FORBIDDEN = {"42501", "PERMISSION_DENIED"}
NOWHERE = {"3F000", "3D000", "CATALOG_NOT_FOUND", "SCHEMA_NOT_FOUND", "MISSING_SCHEMA_NAME"}
NO_COMMENTS = "NOT_SUPPORTED"
TOLD_BY = "told_by"
"""In a lease's `where`: by what the object is told, where that is not the mark in its comment."""


BOUNDED = {"run_id": 64, "digest": 32}
"""Columns whose texts are never longer, so that a bounded type carries them as well."""


class LeasedTable:
    """A table or view that comes to be under a lease of ours, and goes again.

    `told_by_name`: it will not keep a comment, and has the run's id in its name.
    """

    def __init__(
        self,
        database: Database,
        name: Name,
        *,
        leases: LeaseStore | None,
        kind: str = "table",
        told_by_name: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self._database = database
        self._leases = leases
        self._told_by_name = told_by_name
        self._lease: Lease | None = None
        self._created = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def expect(self) -> None:
        """Take the lease; for what somebody else is about to create on our behalf."""
        if self._leases is not None:
            where = {self._database.engine.name.lower(): self._database.place}
            if self._told_by_name:
                where[TOLD_BY] = "name"
            self._lease = self._leases.take(self.kind, self.name.sql, where=where)
        self._created = True

    def create(self, statement: Callable[[str], str]) -> None:
        """Take the lease and run the statement, which is given the comment to make it with.

        Raises SqlError, where the table may be there yet (`fate`), or a ProbeError.
        """
        self.expect()
        deadline = Deadline.after(LIMIT_S, f"the time to create a {self.kind}")
        mark = self._lease.mark if self._lease is not None else ""
        try:
            try:
                self._database.run(statement(mark), deadline=deadline)
            except SqlError as exc:
                if exc.code != NO_COMMENTS or not mark:
                    raise
                # Not every connector keeps comments.
                self._tell_by_name()
                self._database.run(statement(""), deadline=deadline)
        except SqlError as exc:
            if exc.fate is not Fate.UNKNOWN:
                # Else it may come to be yet, and is looked for at the end.
                self._forget()
            raise
        except ProbeError:
            self._forget()
            raise

    def _tell_by_name(self) -> None:
        """Exchange the lease for one that says by what its table is told."""
        before, self._told_by_name = self._lease, True
        self.expect()
        if before is not None:
            before.release()

    def remove(self) -> bool:
        """Drop it, see it gone, release its lease; False if it is not ours (any more).

        May be called again. Raises what keeps it from going.
        """
        if not self._created:
            return False
        # This process made it, or had it made under a name that nobody else can have come upon.
        lease = None if self._told_by_name else self._lease
        dropped = drop_table(self._database, self.name, lease=lease, kind=self.kind)
        self._forget()
        return dropped

    def _forget(self) -> None:
        self._created = False
        if self._lease is not None:
            self._lease.release()
            self._lease = None


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
        self._key = key
        self._leased = LeasedTable(database, name, leases=leases)

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
            elif seen not in fitting and not _long_enough(name, seen or ""):
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
                value="; ".join(wrong),
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
        try:
            self._leased.create(lambda mark: engine.create(self.name, columns, mark))
        except SqlError as exc:
            if exc.code not in EXISTS:
                raise self._finding(f"The table {self.name} can't be created", exc) from exc

    def remove(self) -> None:
        """Drop what `ensure` created, see it gone, release its lease. May be called again."""
        self._leased.remove()

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


def _long_enough(name: str, kind: str) -> bool:
    bound = re.fullmatch(r"(?:character varying|varchar)\((\d+)\)", kind)
    return bound is not None and int(bound[1]) >= BOUNDED.get(name, int(bound[1]) + 1)


def drop_table(database: Database, name: Name, *, lease: Lease | None, kind: str = "table") -> bool:
    """Drop the table if it is the one that `lease` names, or if that is None; return when gone.

    False where a table of this name is not ours: it is left. Raises WaitFailure when it stays,
    ProbeError when it may not be dropped.
    """
    deadline = Deadline.after(LIMIT_S, f"the time for a {kind} to go")
    what = f"The {kind} {name} can't be dropped"
    columns, comment = database.engine.columns(name), database.engine.comment(name)
    try:
        if lease is not None:
            if not database.run(*columns, deadline=deadline):
                return True
            said = database.run(*comment, deadline=deadline)
            if not is_ours(lease, str(said[0][0] or "") if said else ""):
                return False
        database.run(f"drop {kind} if exists {name.sql}", deadline=deadline)
        wait_until(
            f"{kind} {name} gone",
            lambda: len(database.run(*columns, deadline=deadline)),
            done=lambda count: count == 0,
            deadline=deadline.within(GONE_WITHIN_S, f"the time for a dropped {kind} to go"),
            describe=lambda count: f"{count} columns" if count else "gone",
            longest_pause_s=LONGEST_POLL_S,
            checked=database.place,
            to_try=f"the drop was answered but not done: drop the {kind} by hand",
        )
    except SqlError as exc:
        raise finding(what, exc, database, key="table") from exc
    return True


def is_ours(lease: Lease, comment: str) -> bool:
    """Whether a table with this comment is what the lease names, and no namesake."""
    if lease.id in marked_leases(comment):
        return True
    by_name = lease.where.get(TOLD_BY) == "name" and lease.run_id in lease.name
    return by_name and not comment


def drop_schema(database: Database, name: str, *, lease: Lease | None) -> bool:
    """Drop a schema of PostgreSQL with all in it, if it is what the lease names.

    False where one of this name is not ours: it is left. Raises ProbeError when it may not go.
    """
    deadline = Deadline.after(LIMIT_S, "time for a schema to go")
    comment = "select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = ?"
    try:
        said = database.run(comment, (name,), deadline=deadline)
        if not said:
            return True
        if lease is not None and not is_ours(lease, str(said[0][0] or "")):
            return False
        database.run(f"drop schema if exists {quoted(name)} cascade", deadline=deadline)
    except SqlError as exc:
        what = f"The schema {name} can't be dropped"
        raise finding(what, exc, database, key="database") from exc
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
