"""Landing in Trino: rows travel as one JSON text, which the server casts to the table's types.

A list of VALUES would be planned expression by expression, so that 500 rows take seconds; one text
that is unnested there has the same short plan for any number of rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pytest_vdkprobe.sandbox.ingestion.bodies import Row
from pytest_vdkprobe.sandbox.ingestion.engines import Engines
from pytest_vdkprobe.sandbox.ingestion.tables import MISSING, Name, Table, quoted
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError, EngineDownError

ENGINE = "trino"
CATALOG = "memory"
SCHEMA = "default"
CALL_LIMIT_S = 30.0
LONGEST_PIECE = 800_000
"""Characters of JSON in one statement. There they become some more, and `query.max-length` allows
1,000,000 by default (Trino, query properties)."""
FRACTION_DIGITS = 3
"""Of a timestamp without a precision (Trino, data types)."""


class TrinoTables:
    """Lands batches; Trino keeps no session, so each batch has a connection of its own."""

    name = ENGINE
    whole = False

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._tables: dict[Name, Table] = {}

    def table(self, name: Name, called: str, *, anew: bool = False) -> Table:
        """The table's description. Raises BadRecordsError if there is none."""
        if anew or name not in self._tables:
            with self._cursor(called) as cursor:
                self._tables[name] = _described(cursor, name, called)
        return self._tables[name]

    def pieces(self, rows: Sequence[Row]) -> list[list[Row]]:
        """The rows in parts that each fit a statement, and so land wholly or not at all.

        The longest first: what is too long for Trino is refused before anything has landed.
        """
        found: list[tuple[int, list[Row]]] = []
        for row in rows:
            text = json.dumps(row, ensure_ascii=False, default=str)
            length = len(text) + text.count("'")
            if found and found[-1][0] + length <= LONGEST_PIECE:
                found[-1][1].append(row)
                found[-1] = (found[-1][0] + length, found[-1][1])
            else:
                found.append((length, [row]))
        return [piece for _, piece in sorted(found, key=lambda piece: -piece[0])]

    def land(self, batches: Mapping[Name, tuple[Table, Sequence[Row]]]) -> None:
        """Insert the rows of each table by one statement.

        Raises BadRecordsError when the records are to blame, EngineDownError when the engine is.
        """
        for table, rows in batches.values():
            statement = _statement(table, rows)
            with self._cursor(table.called) as cursor:
                cursor.execute(statement)
                cursor.fetchall()

    def close(self) -> None:
        """Nothing is kept."""

    @contextmanager
    def _cursor(self, called: str) -> Iterator[Any]:
        # Imported here: 47 ms that only its users shall pay.
        import trino  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415

        address = self._engines.address(ENGINE)
        connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
            host=address.host,
            port=address.port,
            user=address.user,
            source="vdkprobe-sandbox-ingestion",
            request_timeout=CALL_LIMIT_S,
            max_attempts=1,
        )
        try:
            yield connection.cursor()
        except trino.exceptions.TrinoUserError as exc:
            raise BadRecordsError(
                f"Trino refuses the records for {called}: {exc.message}.", table=called
            ) from exc
        except (trino.exceptions.Error, RequestException, OSError) as exc:
            raise EngineDownError(f"Trino did not say that it took them: {_short(exc)}") from exc
        finally:
            connection.close()


def _described(cursor: Any, name: Name, called: str) -> Table:
    catalog, schema = name.top or CATALOG, name.schema or SCHEMA
    cursor.execute(
        f"select column_name, data_type from {quoted(catalog)}.information_schema.columns"  # noqa: S608
        f" where table_schema = {_literal(schema.lower())}"
        f" and table_name = {_literal(name.table.lower())} order by ordinal_position"
    )
    types = {column: kind for column, kind in cursor.fetchall()}  # noqa: C416 - rows are lists
    if not types:
        raise BadRecordsError(
            f"There is no table {called} in Trino: none called {name.table!r} in catalog {catalog},"
            f" schema {schema}.",
            table=called,
        )
    return Table(
        called=called,
        sql=".".join(quoted(part) for part in (catalog, schema, name.table)),
        types=types,
        fraction_digits=FRACTION_DIGITS,
        nul=True,
    )


def _statement(table: Table, rows: Sequence[Row]) -> str:
    keys = table.columns_of(rows)
    columns = [table.column(key) for key in keys]
    casts = ", ".join(
        f"json_parse(c{place})"
        if table.types[column] == "json"
        else f"cast(c{place} as {table.types[column]})"
        for place, column in enumerate(columns)
    )
    shape = ", ".join(f"c{place} varchar" for place in range(len(columns)))
    names = ", ".join(f"c{place}" for place in range(len(columns)))
    texts = [[None if text is MISSING else text for text in row] for row in table.texts(rows, keys)]
    packed = _literal(json.dumps(texts, ensure_ascii=False, separators=(",", ":")))
    return (
        f"insert into {table.sql} ({', '.join(map(quoted, columns))}) select {casts}"  # noqa: S608
        f" from unnest(cast(json_parse({packed}) as array(row({shape})))) as t({names})"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _short(exc: Exception) -> str:
    text = str(exc)
    return text if len(text) < 300 else f"{text[:300]}..."
