"""Landing in PostgreSQL: a whole batch, over all its tables, in one transaction.

Values go as literals without a type, so that each is read by its column's own input function, and
nothing is converted twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_vdkprobe.sandbox.ingestion.bodies import Row
from pytest_vdkprobe.sandbox.ingestion.engines import Engines
from pytest_vdkprobe.sandbox.ingestion.tables import MISSING, Name, Table, quoted
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError, EngineDownError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

ENGINE = "postgres"
DATABASE = "postgres"
"""Where a table lies that is named without a database."""
CONNECT_LIMIT_S = 5
STATEMENT_LIMIT_MS = 30_000
ROWS_A_STATEMENT = 500
FRACTION_DIGITS = 6
"""Of a timestamp without a precision (PostgreSQL, table of date and time types)."""

COLUMNS = """
select n.nspname, a.attname, format_type(a.atttypid, a.atttypmod)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relname = %(table)s and c.relkind in ('r', 'p', 'v', 'f')
  and case when %(schema)s is null then pg_table_is_visible(c.oid)
      else n.nspname = %(schema)s end
order by a.attnum
"""


class PostgresTables:
    """Lands batches; connections are kept for the next, one for each that lands at the time."""

    name = ENGINE
    whole = True

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._tables: dict[Name, Table] = {}
        self._idle: dict[str, list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._lock = threading.Lock()
        self._closed = False

    def table(self, name: Name, called: str, *, anew: bool = False) -> Table:
        """The table's description. Raises BadRecordsError if there is none."""
        if anew or name not in self._tables:
            with self._connection(name.top or DATABASE) as connection:
                self._tables[name] = _described(connection, name, called)
        return self._tables[name]

    def pieces(self, rows: list[Row]) -> list[list[Row]]:
        """All rows: a transaction may be as long as it likes."""
        return [rows]

    def land(self, batches: Mapping[Name, tuple[Table, Sequence[Row]]]) -> None:
        """Insert all rows of all tables, of one database, or none.

        Raises BadRecordsError when the records are to blame, EngineDownError when the engine is.
        """
        if not batches:
            return
        database = next(iter(batches)).top or DATABASE
        with self._connection(database) as connection:
            for table, rows in batches.values():
                _insert(connection, table, rows)
            connection.commit()

    def close(self) -> None:
        """Cancel what is under way and close all connections. Idempotent."""
        with self._lock:
            self._closed = True
            idle = [one for kept in self._idle.values() for one in kept]
            self._idle.clear()
            busy = list(self._busy)
        for connection in idle:
            connection.close()
        for connection in busy:
            with suppress(Exception):  # it may have ended by itself in between
                connection.cancel()

    @contextmanager
    def _connection(self, database: str) -> Iterator[Connection]:
        """A connection for one transaction, which is rolled back unless it was committed."""
        import psycopg2  # noqa: PLC0415 - 75 ms that only its users shall pay

        connection = self._take(database)
        try:
            yield connection
            connection.rollback()
        except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.InternalError) as exc:
            self._drop(database, connection)
            raise EngineDownError(f"PostgreSQL took nothing: {_first_line(exc)}") from exc
        except (psycopg2.Error, ValueError) as exc:
            connection.rollback()
            self._give_back(database, connection)
            if isinstance(exc, BadRecordsError):
                raise
            raise BadRecordsError(f"PostgreSQL refuses the records: {_first_line(exc)}.") from exc
        except BaseException:
            self._drop(database, connection)
            raise
        else:
            self._give_back(database, connection)

    def _take(self, database: str) -> Connection:
        with self._lock:
            if self._closed:
                raise EngineDownError("The sandbox stops.")
            kept = self._idle.get(database)
            connection = kept.pop() if kept else None
            if connection is not None:
                self._busy.add(connection)
                return connection
        connection = self._connect(database)
        with self._lock:
            self._busy.add(connection)
        return connection

    def _connect(self, database: str) -> Connection:
        import psycopg2  # noqa: PLC0415 - 75 ms that only its users shall pay

        address = self._engines.address(ENGINE)
        try:
            return psycopg2.connect(
                host=address.host,
                port=address.port,
                user=address.user,
                dbname=database,
                connect_timeout=CONNECT_LIMIT_S,
                options=f"-c statement_timeout={STATEMENT_LIMIT_MS}",
                application_name="vdkprobe-sandbox-ingestion",
            )
        except psycopg2.OperationalError as exc:
            if "does not exist" in str(exc):
                raise BadRecordsError(f"There is no database {database!r}.") from exc
            raise EngineDownError(f"PostgreSQL can't be reached: {_first_line(exc)}") from exc

    def _give_back(self, database: str, connection: Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
            if not self._closed:
                self._idle.setdefault(database, []).append(connection)
                return
        connection.close()

    def _drop(self, database: str, connection: Connection) -> None:
        """Close it, and all others to the same place: they have most likely ended too."""
        with self._lock:
            self._busy.discard(connection)
            others = self._idle.pop(database, [])
        for one in (connection, *others):
            with suppress(Exception):  # closing what is broken
                one.close()


def _described(connection: Connection, name: Name, called: str) -> Table:
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, {"table": name.table, "schema": name.schema})
        rows = cursor.fetchall()
    if not rows:
        where = f"schema {name.schema}" if name.schema else "search path"
        raise BadRecordsError(
            f"There is no table {called} in PostgreSQL: none called {name.table!r} in database"
            f" {name.top or DATABASE}, {where}.",
            table=called,
        )
    return Table(
        called=called,
        sql=f"{quoted(rows[0][0])}.{quoted(name.table)}",
        types={column: kind for _, column, kind in rows},
        fraction_digits=FRACTION_DIGITS,
        nul=False,
    )


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    # Imported here: 75 ms that only its users shall pay.
    import psycopg2  # noqa: PLC0415
    from psycopg2.extensions import AsIs  # noqa: PLC0415
    from psycopg2.extras import execute_values  # noqa: PLC0415

    keys = table.columns_of(rows)
    default = AsIs("DEFAULT")
    values = [
        [default if text is MISSING else text for text in texts]
        for texts in table.texts(rows, keys)
    ]
    columns = ", ".join(quoted(table.column(key)) for key in keys).replace("%", "%%")
    into = table.sql.replace("%", "%%")
    try:
        with connection.cursor() as cursor:
            execute_values(
                cursor,
                f"insert into {into} ({columns}) values %s",  # noqa: S608 - all names are quoted
                values,
                page_size=ROWS_A_STATEMENT,
            )
    except (psycopg2.DataError, psycopg2.IntegrityError, psycopg2.ProgrammingError) as exc:
        raise BadRecordsError(
            f"PostgreSQL refuses the records for {table.called}: {_first_line(exc)}.",
            table=table.called,
            column=exc.diag.column_name or "",
        ) from exc


def _first_line(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__
