"""SQLite through the standard library: the embedded default, for people without a database.

A write takes the file's lock at once (`begin immediate`), so that two processes wait for each other
at the start of a transaction and never deadlock in the middle. Write-ahead logging keeps readers
going meanwhile and makes a commit cheap; a process that is killed loses nothing it has committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.store import moments
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import storable

PATIENCE_S = 30.0
"""How long a write waits for another process's."""


class SqliteWork:
    """One transaction in SQLite."""

    dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, **parameters: object) -> list[Sequence[Any]]:
        return self._connection.execute(sql, _given(parameters)).fetchall()

    def change(self, sql: str, **parameters: object) -> int:
        return self._connection.execute(sql, _given(parameters)).rowcount

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        signs = ", ".join("?" * len(columns))
        statement = f"insert into {table} ({', '.join(columns)}) values ({signs})"  # noqa: S608 - names of ours
        self._connection.executemany(statement, (tuple(map(_value, row)) for row in rows))

    def now(self) -> datetime:
        return datetime.now(UTC)


class SqliteDatabase:
    """A file, made when it is first used."""

    def __init__(self, address: Address) -> None:
        if address.file is None:
            raise ValueError("no address of SQLite")
        self.address = address
        self.file = address.file
        self._open: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    @contextmanager
    def begin(self) -> Iterator[SqliteWork]:
        try:
            if self._open is None:
                self._open = _connect(self.file)
                self._opened = _identity(self.file)
            connection = self._open
            connection.execute("begin immediate")
            try:
                yield SqliteWork(connection)
                connection.execute("commit")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("rollback")
                raise
            if _identity(self.file) != self._opened:
                # SQLite goes on writing into what nobody can open any more, and says nothing.
                raise ProbeError(
                    f"The database {self.file} was removed or replaced while it was in use.",
                    to_try="see who cleans up that folder, or name a file elsewhere",
                )
        except (sqlite3.Error, OSError) as exc:
            raise explained(exc, self.file) from exc

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _connect(file: Path) -> sqlite3.Connection:
    if not file.parent.is_dir():
        file.parent.mkdir(mode=0o700, parents=True)
    if not file.exists():
        # What a run consisted of is nobody else's affair.
        file.touch(mode=0o600)
    connection = sqlite3.connect(file, timeout=PATIENCE_S, isolation_level=None)
    try:
        for pragma in ("journal_mode = wal", "synchronous = normal", "foreign_keys = on"):
            connection.execute(f"pragma {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _identity(file: Path) -> tuple[int, int] | None:
    """Which file is there under this name, or None."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _given(parameters: Mapping[str, object]) -> dict[str, object]:
    return {name: _value(value) for name, value in parameters.items()}


def _value(value: object) -> object:
    if isinstance(value, str):
        return storable(value)
    return moments.text(value) if isinstance(value, datetime) else value


SAID: tuple[tuple[str, type[ProbeError], str], ...] = (
    ("not a database", ConfigError, "name another file, or remove it if it is nobody's"),
    ("malformed", ConfigError, "it is damaged: restore a copy of it, or let a new one begin"),
    ("readonly", ConfigError, "let this user write there, the folder too, or name another file"),
    ("unable to open", ConfigError, "check the path and who may write there"),
    ("locked", ProbeError, "another process is writing: try again when it is done"),
    ("full", ProbeError, "make room on the disk and try again"),
    ("disk I/O", ProbeError, "see whether the disk is full, at its quota, or failing"),
)
"""Words in SQLite's message, what they mean, and what to try. The first that fits."""


def explained(exc: Exception, file: Path) -> ProbeError:
    """What SQLite or the file system objects to, in words of ours."""
    said = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    kind, to_try = next(
        ((kind, to_try) for words, kind, to_try in SAID if words in said),
        (ConfigError if isinstance(exc, OSError) else ProbeError, "check the file and its folder"),
    )
    return kind(f"The database in {file} can't be used: {said}.", to_try=to_try)
