"""What the history needs of a database: one transaction at a time, with the same SQL everywhere.

SQL is text with `:named` parameters, in the words that PostgreSQL and SQLite share, so that there
is one set of statements for both. SQLite is reached with the standard library alone, because a
heartbeat keeps its history there and shall not pay for importing SQLAlchemy; PostgreSQL is reached
through SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from pytest_vdkprobe.store.address import Address


class Work(Protocol):
    """One transaction."""

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""

    def rows(self, sql: str, **parameters: object) -> list[Sequence[Any]]:
        """The rows of a query."""

    def change(self, sql: str, **parameters: object) -> int:
        """Run a statement; how many rows it changed."""

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Insert many rows, in the quickest way that the database has."""

    def now(self) -> datetime:
        """The time on the database's clock: one clock for all who share it."""


class Database(Protocol):
    """A database that is open, or opens when it is first used."""

    @property
    def address(self) -> Address:
        """Where it is."""

    def begin(self) -> AbstractContextManager[Work]:
        """A transaction: kept whole when the block ends, undone whole when it raises.

        What the database objects to is raised as ConfigError or ProbeError.
        """

    def close(self) -> None:
        """Let go of it. May be called again."""


def storable(text: str) -> str:
    """A text as every database takes it: names and what a platform says may hold anything."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def open_database(address: Address, *, schema: str) -> Database:
    """Reach a database; in PostgreSQL, unqualified names mean tables of `schema`."""
    if address.dialect == "sqlite":
        from pytest_vdkprobe.store.sqlite import SqliteDatabase  # noqa: PLC0415 - one of the two

        return SqliteDatabase(address)
    from pytest_vdkprobe.store.engine import EngineDatabase  # noqa: PLC0415 - loads SQLAlchemy

    return EngineDatabase(address, schema=schema)
