"""Trino as a target: each batch is one INSERT, its rows one parameter, cast to the columns' types.

A list of VALUES is planned expression by expression, so that 500 rows take seconds. Here the rows
travel as one JSON text, which the server takes apart and casts: the plan is short for any number of
rows. A statement is sent once. Nobody repeats it, neither here nor in the client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.connections.sql import Fate, SqlError, quoted
from pytest_vdkprobe.connections.tables import FORBIDDEN, OwnTable
from pytest_vdkprobe.connections.trino import TrinoConnection, TrinoDatabase, table_name
from pytest_vdkprobe.connections.versions import database_version
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.records import LANDING, flat
from pytest_vdkprobe.targets.values import text_of

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.records import ColumnType, Record
    from pytest_vdkprobe.waiting import Deadline

BATCH = 500
STATEMENT_CHARACTERS = 900_000
"""`query.max-length` is 1,000,000 characters by default (Trino, query management properties); what
is left is for the statement around the rows, and for quotes, which are doubled in it."""


class TrinoTargetSettings(
    TrinoConnection,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="trino",
):
    """A table to write to."""

    table: str
    """`catalog.schema.table`, or less where `catalog` and `schema` say the rest; a part with a dot
    in it goes into double quotes."""
    create: bool = False
    """Whether a missing table may be created; it is dropped after the run."""
    batch: int = BATCH
    """Records in one INSERT, if they are not too long."""
    statement_characters: int = STATEMENT_CHARACTERS
    """The longest INSERT; a record that is longer by itself goes alone, for the server to judge."""

    def __post_init__(self) -> None:
        super().__post_init__()
        table_name(self, self.table)
        for name in ("batch", "statement_characters"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")


class TrinoTarget:
    """Writes records into a table."""

    def __init__(
        self,
        settings: TrinoTargetSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        self.settings = settings
        self.batch = settings.batch
        self._database = TrinoDatabase(settings, base_dir=base_dir, key="target")
        self._own = OwnTable(
            self._database,
            table_name(settings, settings.table),
            create=settings.create,
            leases=leases,
            key="target",
        )
        self._insert = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def losses(self) -> Mapping[str, str]:
        """Of a table with coarser times than ours."""
        return self._own.losses

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Find or create the table, and see that its columns are those of the records."""
        self._own.ensure(columns, writing=True)
        self._insert = insert_statement(
            self._own.name.sql, {name: self._own.types[name] for name in (*LANDING, *columns)}
        )

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        """Insert them, in as few statements as their length allows."""
        if not self._insert:
            raise RuntimeError("send() comes after prepare()")
        results: list[SendResult] = []
        for rows in _packed(records, self.settings.statement_characters - len(self._insert)):
            result = EXPIRED if deadline.expired else self._result(rows, deadline)
            results += [result] * len(rows)
        return results

    def _result(self, rows: list[str], deadline: Deadline) -> SendResult:
        try:
            self._database.run(self._insert, (f"[{','.join(rows)}]",), deadline=deadline)
        except SqlError as exc:
            outcome = Outcome.UNKNOWN if exc.fate is Fate.UNKNOWN else Outcome.REFUSED
            return SendResult(outcome, str(exc), login=exc.code in FORBIDDEN)
        except ProbeError as exc:
            return SendResult(Outcome.REFUSED, f"not sent: {exc.what}")
        return ACKNOWLEDGED

    def versions(self) -> Mapping[str, str]:
        """The server's."""
        return database_version(self._database)

    def remove(self) -> None:
        """Drop the table if it was created here, and see it gone."""
        self._own.remove()

    def close(self) -> None:
        """Let go of the server."""
        self._database.close()


ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)
EXPIRED = SendResult(Outcome.REFUSED, "not sent: the time to send was up")


def insert_statement(table: str, types: Mapping[str, str]) -> str:
    """An INSERT whose one parameter is a JSON list of rows, each a list of texts and nulls."""
    casts = ", ".join(
        f"json_parse(c{place})" if kind == "json" else f"cast(c{place} as {kind})"
        for place, kind in enumerate(types.values())
    )
    names = ", ".join(f"c{place}" for place in range(len(types)))
    shape = ", ".join(f"c{place} varchar" for place in range(len(types)))
    columns = ", ".join(map(quoted, types))
    return (
        f"insert into {table} ({columns}) select {casts}"  # noqa: S608 - all names are quoted
        f" from unnest(cast(json_parse(?) as array(row({shape})))) as t({names})"
    )


def _packed(records: Sequence[Record], room: int) -> Iterator[list[str]]:
    """The records as JSON lists of texts, so many together as `room` characters hold."""
    packed: list[str] = []
    length = 0
    for record in records:
        values = [text_of(value) for value in flat(record).values()]
        row = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        size = len(row) + row.count("'") + 1
        if packed and length + size > room:
            yield packed
            packed, length = [], 0
        packed.append(row)
        length += size
    if packed:
        yield packed
