"""Databases through SQLAlchemy: PostgreSQL for everything, SQLite where alembic migrates it.

Two things differ from an engine as it comes. PostgreSQL's search path is set inside each
transaction, where a pooler in front leaves it alone, so that statements need not name the schema.
SQLite begins a transaction with the file's lock, and with statements that define tables inside of
it, so that a migration that fails leaves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.connections.postgres import DEFAULT_PORT, PostgresConnection, sql_error
from pytest_vdkprobe.connections.postgres_entry import unopened
from pytest_vdkprobe.connections.sql import Fate, one_line, quoted
from pytest_vdkprobe.errors import ConfigError, ProbeError, TransportError
from pytest_vdkprobe.store import moments, sqlite
from pytest_vdkprobe.store.address import FORMS, Address
from pytest_vdkprobe.store.database import Work, storable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

CONNECT_TIMEOUT_S = 10
PIECE = 1 << 16
"""Characters of rows that are made ready at once while they are copied."""
NO_PRIVILEGE = "42501"
INVALID = re.compile(r"invalid (dsn|connection option|port|\w+ value|integer value)")
"""What libpq says of a string before it has called anybody."""


def make_engine(address: Address) -> Engine:
    """An engine that opens a connection when one is needed, and keeps none. Raises ConfigError."""
    from sqlalchemy import create_engine, event  # noqa: PLC0415 - 200 ms that only its users pay
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - as above
    from sqlalchemy.pool import NullPool  # noqa: PLC0415 - as above

    try:
        if address.dialect == "sqlite":
            engine = create_engine(f"sqlite:///{address.file}", poolclass=NullPool)
            event.listen(engine, "connect", _leave_transactions_alone)
            event.listen(engine, "begin", _begin_immediately)
            return engine
        return create_engine(
            address.url,
            poolclass=NullPool,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": "vdkprobe",
                # Or it is the database's own, and the driver can't send what that lacks.
                "client_encoding": "UTF8",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
            },
        )
    except (ArgumentError, ValueError) as exc:
        # The cause quotes the whole string.
        raise ConfigError(
            f"The connection string in {address.source} can't be read.",
            value=address.shown,
            to_try=f"write it like {FORMS}",
        ) from None if address.has_password else exc


def _leave_transactions_alone(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("pragma foreign_keys = off")  # tables change places in a migration


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("begin immediate")


class EngineWork:
    """One transaction on a connection of SQLAlchemy's; of SQLite it is asked for migrations only,
    and neither inserts nor tells the time there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.dialect = connection.dialect.name

    def rows(self, sql: str, **parameters: object) -> list[Sequence[Any]]:
        from sqlalchemy import text  # noqa: PLC0415 - loaded already

        found = self._connection.execute(text(sql), _given(parameters))
        return [tuple(row) for row in found]

    def change(self, sql: str, **parameters: object) -> int:
        from sqlalchemy import text  # noqa: PLC0415 - loaded already

        return self._connection.execute(text(sql), _given(parameters)).rowcount

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Copied, which is some ten times quicker than inserting."""
        driver: Any = self._connection.connection
        with driver.cursor() as cursor:
            statement = f"copy {table} ({', '.join(columns)}) from stdin"
            cursor.copy_expert(statement, _Lines(rows))

    def now(self) -> datetime:
        return moments.moment(self.rows("select clock_timestamp()")[0][0])


class EngineDatabase:
    """PostgreSQL, connected to for each transaction anew."""

    def __init__(self, address: Address, *, schema: str) -> None:
        self.address = address
        self._schema = schema
        self._engine = make_engine(address)

    @contextmanager
    def begin(self) -> Iterator[Work]:
        with transaction(self._engine, self.address, schema=self._schema) as connection:
            yield EngineWork(connection)

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def transaction(engine: Engine, address: Address, *, schema: str) -> Iterator[Connection]:
    """One transaction, with `schema` as PostgreSQL's search path; errors in words of ours."""
    import psycopg2  # noqa: PLC0415 - the driver's errors also come out of copies
    from sqlalchemy import text  # noqa: PLC0415 - loaded already
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - loaded already

    try:
        connection = engine.connect()
    except (SQLAlchemyError, psycopg2.Error, OSError) as exc:
        raise _unopened(exc, address) from exc
    ending = False
    try:
        with connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"set local search_path to {schema_name(schema)}"))
                connection.execute(text("set local time zone 'UTC'"))
            yield connection
            ending = True
    except (SQLAlchemyError, psycopg2.Error) as exc:
        raise explained(exc, address, ending=ending) from exc


def schema_name(schema: str) -> str:
    """A schema's name in a statement of `Work`, whatever signs are in it."""
    return quoted(schema).replace(":", r"\:")


def explained(exc: Exception, address: Address, *, ending: bool = False) -> ProbeError:
    """What the database objects to; `ending` if that happened while the transaction was kept."""
    cause = getattr(exc, "orig", None) or exc
    if address.file is not None:
        return sqlite.explained(cause, address.file)
    error = sql_error(cause, lost=bool(getattr(exc, "connection_invalidated", False)))
    place = _settings(address).place
    if error.fate is Fate.UNKNOWN:
        kept = "whether its last step was kept is not known" if ending else "nothing was kept"
        return TransportError(
            f"PostgreSQL at {place} went away in the middle, {kept}: {error}.",
            to_try="look at what is there, and at the server's log",
        )
    if error.code == NO_PRIVILEGE:
        return ConfigError(
            f"PostgreSQL at {place} does not let this user do that: {error}.",
            to_try="GRANT it, or let the schema's owner run `upgrade` once",
        )
    return ProbeError(f"PostgreSQL at {place} refused a statement: {error}.")


def _unopened(exc: Exception, address: Address) -> ProbeError:
    cause = getattr(exc, "orig", None) or exc
    if address.file is not None:
        return sqlite.explained(cause, address.file)
    said = str(cause)
    if INVALID.search(said):
        return ConfigError(
            f"The connection string in {address.source} can't be used: {one_line(said)}.",
            value=address.shown,
            to_try=f"write it like {FORMS}",
        )
    return unopened(_settings(address), said, string=address.source)


def _settings(address: Address) -> PostgresConnection:
    """The connection's parts, for messages; libpq's defaults where the string leaves them out."""
    from sqlalchemy import make_url  # noqa: PLC0415 - loaded already

    url = make_url(address.url)
    user = url.username or "postgres"
    return PostgresConnection(
        host=url.host or str(url.query.get("host", "localhost")),
        port=url.port or int(str(url.query.get("port", DEFAULT_PORT))),
        user=user,
        database=url.database or user,
    )


class _Lines:
    """Rows as the lines of a copy, made while they are read (PostgreSQL's COPY, text format)."""

    def __init__(self, rows: Iterable[Sequence[object]]) -> None:
        self._rows = iter(rows)

    def read(self, _: int = -1) -> str:
        """Some lines; an empty text at the end."""
        lines: list[str] = []
        size = 0
        for row in self._rows:
            line = "\t".join(map(_field, row)) + "\n"
            lines.append(line)
            size += len(line)
            if size >= PIECE:
                break
        return "".join(lines)


_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def _field(value: object) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, datetime):
        return moments.text(value)
    return storable(str(value)).translate(_ESCAPED)


def _given(parameters: Mapping[str, object]) -> dict[str, object]:
    return {
        name: storable(value) if isinstance(value, str) else value
        for name, value in parameters.items()
    }
