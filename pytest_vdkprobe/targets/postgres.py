"""PostgreSQL as a target: each batch is one transaction, by INSERT or by COPY.

What is known of a batch is what is known of its transaction: committed, so acknowledged; refused
with the server's own reason, or cut before the commit was sent, and then nothing of it stays;
unknown when the line went while the commit was under way.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.connections.postgres import (
    PostgresConnection,
    PostgresDatabase,
    table_name,
)
from pytest_vdkprobe.connections.sql import Fate, SqlError, quoted
from pytest_vdkprobe.connections.tables import FORBIDDEN, OwnTable
from pytest_vdkprobe.connections.versions import database_version
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.records import LANDING, flat
from pytest_vdkprobe.targets.values import text_of

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - as above

    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.records import ColumnType, Record
    from pytest_vdkprobe.waiting import Deadline

BATCH = 1000
_COPIED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""COPY's text format (PostgreSQL, COPY, "File Formats")."""


class PostgresTargetSettings(
    PostgresConnection,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="postgres",
):
    """A table to write to."""

    table: str
    """`table` or `schema.table`; a part with capitals or dots in it goes into double quotes."""
    create: bool = False
    """Whether a missing table may be created; it is dropped after the run."""
    method: Literal["insert", "copy"] = "insert"
    batch: int = BATCH
    """Records in one transaction."""

    def __post_init__(self) -> None:
        super().__post_init__()
        table_name(self.table)
        if self.batch < 1:
            raise ValueError("batch: must be at least 1")


class PostgresTarget:
    """Writes records into a table."""

    losses: Mapping[str, str] = {}

    def __init__(
        self,
        settings: PostgresTargetSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        self.settings = settings
        self.batch = settings.batch
        self._database = PostgresDatabase(settings, base_dir=base_dir, key="target")
        self._own = OwnTable(
            self._database,
            table_name(settings.table),
            create=settings.create,
            leases=leases,
            key="target",
        )
        self._columns: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Find or create the table, and see that its columns are those of the records."""
        self._own.ensure(columns, writing=True)
        self._columns = (*LANDING, *columns)

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        """Commit all of them, or none."""
        if not self._columns:
            raise RuntimeError("send() comes after prepare()")
        if deadline.expired:
            return [EXPIRED] * len(records)
        rows = [list(map(text_of, flat(record).values())) for record in records]
        return [self._result(rows, deadline)] * len(records)

    def _result(self, rows: list[list[str | None]], deadline: Deadline) -> SendResult:
        committing: list[bool] = []

        def act(connection: Connection) -> None:
            try:
                with connection.cursor() as cursor:
                    self._write(cursor, rows)
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise
            committing.append(True)
            connection.commit()

        try:
            self._database.do(act, deadline=deadline)
        except SqlError as exc:
            refused = exc.fate is not Fate.UNKNOWN or not committing
            outcome = Outcome.REFUSED if refused else Outcome.UNKNOWN
            reason = str(exc) if committing else f"not committed: {exc}"
            return SendResult(outcome, reason, login=exc.code in FORBIDDEN)
        except ProbeError as exc:
            return SendResult(Outcome.REFUSED, f"not sent: {exc.what}")
        except ValueError as exc:
            # psycopg2's own objection, to a text with the character NUL in it.
            return SendResult(Outcome.REFUSED, f"not sent: {exc}")
        return ACKNOWLEDGED

    def _write(self, cursor: Cursor, rows: list[list[str | None]]) -> None:
        columns = ", ".join(map(quoted, self._columns))
        into = f"{self._own.name.sql} ({columns})"
        if self.settings.method == "copy":
            lines = "".join("\t".join(map(_copied, row)) + "\n" for row in rows)
            cursor.copy_expert(f"copy {into} from stdin", io.StringIO(lines))
            return
        from psycopg2.extras import execute_values  # noqa: PLC0415 - loaded by now, with the driver

        into = into.replace("%", "%%")
        # One statement for all: they are as many as fit one batch.
        statement = f"insert into {into} values %s"  # noqa: S608 - all names are quoted
        execute_values(cursor, statement, rows, page_size=len(rows))

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


def _copied(text: str | None) -> str:
    return "\\N" if text is None else text.translate(_COPIED)
