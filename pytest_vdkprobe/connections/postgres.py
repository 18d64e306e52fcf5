"""How to reach a PostgreSQL: one set of settings and one way in, for target and reader.

Why nobody is let in is told by `postgres_entry`. What has been reached once and is gone later is
the platform's affair, so that is left to the caller to judge.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.engines import POSTGRES
from pytest_vdkprobe.connections.postgres_entry import unopened
from pytest_vdkprobe.connections.sql import GRACE_S, Fate, Name, Row, SqlError, one_line
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.workers import Abandoned, Job, Workers

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

    from pytest_vdkprobe.waiting import Deadline

T = TypeVar("T")

DEFAULT_PORT = 5432
STREAMED = 500
"""Rows fetched at a time when they are streamed."""
WORK_MEMORY = "64MB"
"""For hashing and sorting in a reader's session: with the default of 4 MB, ten million rows are
counted on the server's disk instead of in its memory."""
LEFT_OPEN = ("08", "57P")
"""Error classes after which nobody knows: connection exceptions, and a server that shuts down or
crashed (PostgreSQL, appendix A)."""
TIMED_OUT = "57014"
LONGEST_NAME = 63
"""Bytes; PostgreSQL cuts what is longer, and two names may then be one."""

_GIVEN = {"?": "%s", "%": "%%"}
_QUOTED = r""""(?:[^"%]|"")*"|'(?:[^'%]|'')*'"""
_SIGNS = re.compile(rf"{_QUOTED}|[?%]")
"""Parameters and percent signs, and first what is quoted, in which a `?` is itself."""


class PostgresTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """TLS. Left empty (`tls = {}`), the server's certificate must be signed by an authority that
    this machine trusts, and be for the host that we connect to."""

    ca_file: FilePath | None = None
    """The authority that signed the server's certificate."""
    certificate_file: FilePath | None = None
    """Ours, for servers that want one."""
    key_file: FilePath | None = None
    key_password: SecretRef | None = None
    check_host: bool = True
    verify: bool = True

    def __post_init__(self) -> None:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file: goes with key_file; name both or neither")
        if self.ca_file and not self.verify:
            raise ValueError("ca_file: has no effect while verify is false; choose one")


class PostgresConnection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the server is and how to log in; what target and reader settings begin with."""

    host: str
    port: int = DEFAULT_PORT
    user: str
    password: SecretRef | None = None
    database: str
    tls: PostgresTls | None = None
    connect_timeout_s: float = 5.0
    statement_timeout_s: float = 300.0
    """For one statement, where the step does not end sooner."""

    def __post_init__(self) -> None:
        for name in ("host", "user", "database"):
            if not getattr(self, name).strip() or "\0" in getattr(self, name):
                raise ValueError(f"{name}: empty")
        if not 0 < self.port < 65536:
            raise ValueError("port: must be 1 to 65535")
        for name in ("connect_timeout_s", "statement_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0 seconds")

    @property
    def place(self) -> str:
        """The server and the database, as messages and leases name them."""
        return f"{self.host}:{self.port}/{self.database}"


class PostgresDatabase:
    """One connection, opened when it is needed. Not for several threads at once."""

    engine = POSTGRES

    def __init__(
        self, connection: PostgresConnection, *, base_dir: Path | None = None, key: str = "postgres"
    ) -> None:
        self.settings = connection
        self._base_dir = base_dir or Path()
        self._key = key
        self._open: Connection | None = None
        self._limit_ms = 0
        self._workers = Workers()

    @property
    def place(self) -> str:
        """The server and the database."""
        return self.settings.place

    def run(self, sql: str, parameters: Row = (), *, deadline: Deadline) -> list[Row]:
        """The rows of one statement, which is committed at once."""

        def act(connection: Connection) -> list[Row]:
            with connection, connection.cursor() as cursor:
                cursor.execute(*_given(sql, parameters))
                return list(cursor.fetchall()) if cursor.description else []

        return self.do(act, deadline=deadline)

    def stream(
        self, sql: str, parameters: Row, take: Callable[[Row], None], *, deadline: Deadline
    ) -> None:
        """Hand each row to `take`, as the server makes them."""

        def act(connection: Connection) -> None:
            with connection, connection.cursor(name="vdkprobe") as cursor:
                cursor.itersize = STREAMED
                cursor.execute(*_given(sql, parameters))
                for row in cursor:
                    take(row)

        self.do(act, deadline=deadline)

    def stream_numbers(
        self, sql: str, parameters: Row, take: Callable[[Row], None], *, deadline: Deadline
    ) -> None:
        """As `stream`, but sent as a copy: for a cursor PostgreSQL reads with one process only."""

        def act(connection: Connection) -> None:
            with connection, connection.cursor() as cursor:
                statement, given = _given(sql, parameters)
                copy = f"copy ({cursor.mogrify(statement, given).decode()}) to stdout"
                cursor.copy_expert(copy, _Numbers(take))

        self.do(act, deadline=deadline)

    def do(self, act: Callable[[Connection], T], *, deadline: Deadline) -> T:
        """What `act` makes of the connection, by `deadline`; a lost connection is given up.

        Raises SqlError. Whoever commits in `act` knows whether an unknown fate can be a good one.
        """
        limit = deadline.within(self.settings.statement_timeout_s)

        def call(job: Job[T]) -> T:
            connection = self._connected(job)
            self._limit(connection, limit)
            return act(connection)

        # What psycopg2 raises is told here, so it is loaded here too.
        import psycopg2  # noqa: PLC0415 - 75 ms that only its users shall pay

        try:
            return self._workers.run(call, timeout_s=limit.remaining_s() + GRACE_S)
        except Abandoned as exc:
            self._drop()
            said = "no answer in time" + (f", {exc.phase}" if exc.phase else "")
            raise SqlError(said, fate=Fate.UNKNOWN, timed_out=True) from exc
        except psycopg2.Error as exc:
            lost = self._open is None or bool(self._open.closed)
            if lost:
                self._drop()
            # Rolling back on a lost connection raises too, and hides what the server said.
            hidden = exc.__context__ if isinstance(exc, psycopg2.InterfaceError) else None
            told = hidden if isinstance(hidden, psycopg2.Error) else exc
            raise sql_error(told, lost=lost) from told
        except BaseException:
            # Left in the middle: the connection may still be at it.
            self._drop()
            raise

    def _connected(self, job: Job[T]) -> Connection:
        connection = self._open
        if connection is None or connection.closed:
            connection = self._connect()
            if job.abandoned:
                connection.close()
                raise Abandoned("connecting")
            self._open = connection
        # Its thread waits for this socket, whatever the server does or does not.
        job.on_abandon = lambda: _shut(connection)
        return connection

    def _limit(self, connection: Connection, limit: Deadline) -> None:
        """Tell the server too when to give up; it says better than a cut line what it was at."""
        wanted_ms = max(1, int(limit.remaining_s() * 1000))
        if wanted_ms <= self._limit_ms <= 2 * wanted_ms:
            # Near enough to save the round trip: our own clock is exact.
            return
        with connection, connection.cursor() as cursor:
            cursor.execute(f"set statement_timeout = {wanted_ms}")
        self._limit_ms = wanted_ms

    def _connect(self) -> Connection:
        import psycopg2  # noqa: PLC0415 - 75 ms that only its users shall pay

        self._limit_ms = 0
        settings = self.settings
        password = settings.password and settings.password.resolve(
            base_dir=self._base_dir, key=f"{self._key}.password"
        )
        try:
            connection: Connection = psycopg2.connect(
                host=settings.host,
                port=settings.port,
                user=settings.user,
                password=password.reveal() if password else None,
                dbname=settings.database,
                connect_timeout=max(2, round(settings.connect_timeout_s)),
                application_name="vdkprobe",
                # Or it is the database's own, and the driver can't send what that lacks.
                client_encoding="UTF8",
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                **self.tls(),
            )
        except psycopg2.OperationalError as exc:
            raise unopened(settings, str(exc), key=self._key) from exc
        with connection, connection.cursor() as cursor:
            # Not as start-up options, which a pooler in front may refuse.
            cursor.execute(f"set work_mem = '{WORK_MEMORY}'; set time zone 'UTC'")
        return connection

    def tls(self) -> dict[str, Any]:
        """libpq's parameters for TLS."""
        tls = self.settings.tls
        if tls is None:  # libpq's own default would try TLS first and go on without
            return {"sslmode": "disable"}
        wanted: dict[str, Any] = {"sslmode": "require"}
        if tls.verify:
            authority = tls.ca_file and self._file("ca_file", tls.ca_file)
            wanted["sslmode"] = "verify-full" if tls.check_host else "verify-ca"
            wanted["sslrootcert"] = authority or ssl.get_default_verify_paths().cafile or "system"
            if wanted["sslrootcert"] == "system":
                wanted["sslmode"] = "verify-full"
        if tls.certificate_file and tls.key_file:
            wanted["sslcert"] = self._file("certificate_file", tls.certificate_file)
            wanted["sslkey"] = self._file("key_file", tls.key_file)
            if tls.key_password:
                secret = tls.key_password.resolve(
                    base_dir=self._base_dir, key=f"{self._key}.tls.key_password"
                )
                wanted["sslpassword"] = secret.reveal()
        return wanted

    def _file(self, name: str, given: str) -> str:
        path = self._base_dir / given
        if not os.access(path, os.R_OK):
            why = "may not be read" if path.exists() else "is not there"
            raise ConfigError(
                f"The file {path} {why}.",
                key=f"{self._key}.tls.{name}",
                to_try="check the path (relative ones start from the configuration's folder)",
            )
        return str(path)

    def _drop(self) -> None:
        if self._open is not None:
            connection, self._open = self._open, None
            # Not close(): a thread may still wait in it, and would be waited for.
            with suppress(Exception):
                _shut(connection)

    def close(self) -> None:
        """Let go of the server. May be called again."""
        if self._open is not None:
            connection, self._open = self._open, None
            with suppress(Exception):
                connection.close()
        self._workers.close()


def table_name(text: str) -> Name:
    """The table that a setting names. Raises ValueError, as the setting's own objection."""
    name = Name.of(text)
    if len(name.parts) > 2:
        raise ValueError(
            f"table: {text!r} has too many parts; write schema.table, and set database"
        )
    for part in name.parts:
        if len(part.encode()) > LONGEST_NAME:
            raise ValueError(f"table: {part!r} is longer than PostgreSQL's {LONGEST_NAME} bytes")
    return name


def _shut(connection: Connection) -> None:
    """End what waits for the connection's socket, from another thread."""
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)


class _Numbers:
    """What a copy is written to: rows as lines, their numbers between tabs."""

    def __init__(self, take: Callable[[Row], None]) -> None:
        self._take = take
        self._rest = b""

    def write(self, data: bytes) -> int:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take([int(number) for number in line.split(b"\t")])
        return len(data)


def _given(sql: str, parameters: Row) -> tuple[str, tuple[Any, ...] | None]:
    """The statement with psycopg2's own signs for parameters."""
    if not parameters:
        return sql, None
    return _SIGNS.sub(lambda found: _GIVEN.get(found[0], found[0]), sql), tuple(parameters)


def sql_error(exc: Exception, *, lost: bool) -> SqlError:
    """What psycopg2 raised, and what it says of the statement's fate."""
    code = getattr(exc, "pgcode", None) or ""
    said = one_line(str(exc).splitlines()[0] if str(exc) else type(exc).__name__)
    if code and not code.startswith(LEFT_OPEN):
        return SqlError(said, fate=Fate.REFUSED, code=code, timed_out=code == TIMED_OUT)
    if not lost and not code:
        return SqlError(said, fate=Fate.REFUSED)
    return SqlError(f"the connection was lost: {said}", fate=Fate.UNKNOWN, code=code)
