"""Old metrics dropped: whole partitions at once, be it ten rows or millions."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.sql import literal, quoted
from pytest_vdkprobe.pipeline import ddl, sites
from pytest_vdkprobe.pipeline.rows import TABLE

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.postgres import PostgresDatabase
    from pytest_vdkprobe.pipeline.settings import PipelineDatabase

PARTITIONS = (
    "select child.relname from pg_inherits"
    " join pg_class child on child.oid = inhrelid join pg_class parent on parent.oid = inhparent"
    " join pg_namespace home on home.oid = parent.relnamespace"
    " where home.nspname = ? and parent.relname = ? order by child.relname"
)
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
        f"drop table {home}.{quoted(name)}"
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
    todo = statements(settings, database, keep_days=keep_days)
    for statement in todo:
        # Each by itself: a drop locks the whole table, for as long as its transaction lasts.
        sites.run_sql(settings, database, statement)
    return len(todo) - 1
