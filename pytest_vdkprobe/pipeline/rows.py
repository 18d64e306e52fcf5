"""Checks as rows: a batch in one statement, that changes nothing when it comes again.

The batch goes as one array for each column, which is several times quicker than a list of values
for each row; the key of website and moment makes a second delivery of a check no second row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.sql import quoted

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

    from pytest_vdkprobe.pipeline.message import Check

TABLE = "availability_monitor_metrics"
PARTITION = "ensure_metrics_partition"
"""The function that makes a day's partition; consumers may call it, and may create nothing else."""


class Rows:
    """Writes batches into one schema; remembers the days that have a partition."""

    def __init__(self, schema: str) -> None:
        # The driver takes a percent sign for a parameter, even in a name.
        name = quoted(schema).replace("%", "%%")
        self._days: set[int] = set()
        self._ensure = f"select {name}.{quoted(PARTITION)}(%s::date)"
        self._insert = (
            f"insert into {name}.{quoted(TABLE)}"  # noqa: S608 - all names are quoted
            " (amm_site, amm_checked_at, amm_unix_timestamp, amd_response_code,"
            " amd_response_time, amm_regexp_found, amm_error)"
            " select site, timestamptz 'epoch' + us * interval '1 microsecond', us / 1e6, code,"
            " took, found, error from unnest(%s::bigint[], %s::bigint[], %s::smallint[],"
            " %s::double precision[], %s::boolean[], %s::text[])"
            " as new (site, us, code, took, found, error) on conflict do nothing"
        )

    def write(self, connection: Connection, checks: Sequence[Check]) -> int:
        """Write them in one transaction; how many of them were new."""
        with connection.cursor() as cursor:
            for day in {int(check.unix_timestamp) // 86400 for check in checks} - self._days:
                # By itself: making a partition locks the table.
                with connection:
                    cursor.execute(self._ensure, (_date(day),))
                self._days.add(day)
            with connection:
                cursor.execute(self._insert, _columns(checks))
            return cursor.rowcount


def _columns(checks: Sequence[Check]) -> tuple[object, ...]:
    """An array for each column; as texts, which need no look at each value by the driver."""
    errors = [check.error for check in checks]
    return (
        _array([str(check.site) for check in checks]),
        _array([str(check.slot_us) for check in checks]),
        _array([str(check.returned_code or "NULL") for check in checks]),
        _array([repr(check.response_time) for check in checks]),
        _array([_BOOLEANS[check.regexp] for check in checks]),
        errors if any(errors) else _array(["NULL"] * len(errors)),
    )


_BOOLEANS = {None: "NULL", True: "t", False: "f"}


def _array(items: list[str]) -> str:
    return "{" + ",".join(items) + "}"


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * 86400, UTC).date()
