"""Old metrics dropped: whole partitions at once, be it ten rows or millions.

A drop waits for whoever reads the table, and whoever writes waits behind it. So it waits for a
moment only, and comes again; and of two retentions at once the second waits for the first.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.sql import SqlError, literal, quoted
from pytest_vdkprobe.errors import Finding, ProbeError, WaitFailure
from pytest_vdkprobe.pipeline import ddl, sites
from pytest_vdkprobe.pipeline.rows import TABLE
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.postgres import PostgresDatabase
    from pytest_vdkprobe.pipeline.settings import PipelineDatabase

PARTITIONS = (
    "select child.relname from pg_inherits"
    " join pg_class child on child.oid = inhrelid join pg_class parent on parent.oid = inhparent"
    " join pg_namespace home on home.oid = parent.relnamespace"
    " where home.nspname = ? and parent.relname = ? order by child.relname"
)
LIMIT_S = 300.0
LOCK_WAIT = "1s"
"""So long a consumer may have to wait behind us, too."""
LONGEST_PAUSE_S = 2.0
HELD_UP = ("55P03", "40P01")
"""PostgreSQL's codes for a lock that did not come in time, and for a deadlock."""
_NAME = re.compile(rf"{TABLE}_(\d{{8}})")


def statements(
    settings: PipelineDatabase, database: PostgresDatabase, *, keep_days: int
) -> list[str]:
    """The SQL that drops what is older than today and the `keep_days` days before it (UTC)."""
    oldest = datetime.now(UTC).date() - timedelta(days=keep_days)
    rows = sites.run_sql(settings, database, PARTITIONS, (settings.schema, TABLE))
    names = [str(row[0]) for row in rows]
    home = quoted(settings.schema)
    drops = [
        f"drop table if exists {home}.{quoted(name)}"
        for name in names
        if (day := day_of(name)) is not None and day < oldest
    ]
    rest = (
        f"delete from {home}.{quoted(ddl.DEFAULT)}"  # noqa: S608 - all names are quoted
        f" where amm_checked_at < {literal(f'{oldest} 00:00:00+00')}"
    )
    return [*drops, rest]


def day_of(partition: str) -> date | None:
    """The day whose metrics a partition holds; None for the default one."""
    match = _NAME.fullmatch(partition)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def drop_old(settings: PipelineDatabase, database: PostgresDatabase, *, keep_days: int) -> int:
    """Run the statements; how many partitions went."""
    deadline = Deadline.after(LIMIT_S, "time for retention")
    with _alone(settings, database, deadline):
        todo = statements(settings, database, keep_days=keep_days)
        for statement in todo:
            # Each by itself: a drop locks the whole table, for as long as its transaction lasts.
            _run(settings, database, statement, deadline)
        return len(todo) - 1


@contextmanager
def _alone(
    settings: PipelineDatabase, database: PostgresDatabase, deadline: Deadline
) -> Iterator[None]:
    """Be the only retention of this schema. Its lock goes with the connection at the latest."""
    key = zlib.crc32(f"vdkprobe retention {settings.schema}".encode())

    def ours() -> bool:
        rows = sites.run_sql(settings, database, "select pg_try_advisory_lock(?)", (key,))
        return bool(rows[0][0])

    try:
        wait_until(
            "the other retention's end",
            ours,
            done=bool,
            deadline=deadline,
            longest_pause_s=LONGEST_PAUSE_S,
        )
    except WaitFailure as exc:
        raise ProbeError(
            f"Another retention of the schema {settings.schema} is under way, for more than"
            f" {LIMIT_S:g} s.",
            checked=settings.place,
            to_try="try again when it is done; pg_locks tells who holds the advisory lock",
        ) from exc
    try:
        yield
    finally:
        with suppress(SqlError, Finding):
            database.run("select pg_advisory_unlock(?)", (key,), deadline=Deadline.after(1))


def _run(
    settings: PipelineDatabase, database: PostgresDatabase, statement: str, deadline: Deadline
) -> None:
    """Run it as soon as nobody holds it up."""

    def held_up() -> str:
        try:
            database.run(f"set local lock_timeout = '{LOCK_WAIT}'; {statement}", deadline=deadline)
        except SqlError as exc:
            if exc.code in HELD_UP or exc.timed_out:
                return str(exc)
            raise sites.finding(settings, exc) from exc
        return ""

    try:
        wait_until(
            statement,
            held_up,
            done=lambda said: not said,
            deadline=deadline,
            describe=lambda said: said or "done",
            longest_pause_s=LONGEST_PAUSE_S,
        )
    except WaitFailure as exc:
        raise ProbeError(
            f"Old metrics can't be dropped: something holds that up for more than {LIMIT_S:g} s.",
            seen=exc.seen,
            checked=f"{statement} at {settings.place}",
            to_try="run it again, what went is gone; pg_stat_activity tells who reads the table",
        ) from exc
