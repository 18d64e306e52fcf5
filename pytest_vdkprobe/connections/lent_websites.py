"""Websites that a run lends to a pipeline which others run: told by their URLs, taken back whole.

A lease is taken before the first is added, and its id is in each one's URL; so they and the rows of
their checks can be told from everybody else's by whoever removes them, now or after a kill. They
are deactivated first, and stay until no row of them comes any more: a row that came after its
website was gone would be nobody's.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.sql import Row, SqlError, quoted
from pytest_vdkprobe.connections.tables import NOWHERE, finding
from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.postgres import PostgresDatabase
    from pytest_vdkprobe.leases import Lease, LeaseStore

KIND = "websites"
REFRESH = "refresh_s"
EVERY = "check_every_s"
"""In a lease's `where`: after which time producers know that websites are gone; how often they
check each."""
LIMIT_S = 60.0
SETTLE_S = 2.0
"""A check's way to its row, beside its interval, where all is well."""
LONGEST_POLL_S = 0.5
WEBSITES = "availability_monitor_config"
METRICS = "availability_monitor_metrics"
GONE = (*NOWHERE, "42P01")
"""PostgreSQL's codes for a table that is not there; so nothing of ours is in it."""


class LentWebsites:
    """All websites of one lease in one schema."""

    def __init__(
        self,
        database: PostgresDatabase,
        schema: str,
        *,
        token: str,
        refresh_s: float,
        check_every_s: float,
    ) -> None:
        self.path = f"vdkprobe-{token}"
        """What is in each one's URL, between slashes."""
        self.schema = schema
        self._database = database
        self.quiet_s = refresh_s + check_every_s + SETTLE_S
        """So long after they were let go no row of them comes any more, where all is well."""
        self._settle_s = check_every_s + SETTLE_S
        home = quoted(schema)
        self._websites, self._metrics = f"{home}.{WEBSITES}", f"{home}.{METRICS}"
        self._let_go_at: float | None = None

    @classmethod
    def of(cls, lease: Lease, database: PostgresDatabase) -> LentWebsites:
        """Those that a lease names."""
        return cls(
            database,
            lease.name,
            token=lease.id,
            refresh_s=float(lease.where[REFRESH]),
            check_every_s=float(lease.where[EVERY]),
        )

    def let_go(self) -> None:
        """Deactivate them, so that producers check them no more. May be called again."""
        self._run(
            f"update {self._websites} set amc_active = false"  # noqa: S608 - quoted
            " where amc_url_with_schema like ? and amc_active returning 1",
            self._like,
        )
        if self._let_go_at is None:
            self._let_go_at = time.monotonic()

    @property
    def let_go_for_s(self) -> float:
        """How long ago that was."""
        return 0.0 if self._let_go_at is None else time.monotonic() - self._let_go_at

    def remove(self, deadline: Deadline) -> str:
        """Take them back with every row of their checks, and see both gone; what was done.

        Raises WaitFailure when their rows go on coming, and then they stay, deactivated.
        """
        ids = self._ids()
        if not ids:
            return f"{KIND} in {self.schema}: none was there"
        self.let_go()
        wait_until(
            "no row of the websites any more",
            lambda: self._last_row_s(ids),
            done=lambda last_s: last_s >= self._settle_s and self.let_go_for_s >= self.quiet_s,
            deadline=deadline,
            describe=lambda last_s: f"the last {last_s:.1f} s ago",
            longest_pause_s=LONGEST_POLL_S,
            checked=f"schema {self.schema} at {self._database.place}",
            to_try="do producers read their list of websites, as pipeline.refresh_s says?",
        )
        ((rows, sites),) = self._run(
            f"with rows as (delete from {self._metrics} where amm_site = any(?) returning 1),"  # noqa: S608 - quoted
            f" sites as (delete from {self._websites} where amc_id = any(?) returning 1)"
            " select (select count(*) from rows), (select count(*) from sites)",
            ids,
            ids,
        )
        ((left,),) = self._run(
            f"select (select count(*) from {self._metrics} where amm_site = any(?))"  # noqa: S608 - quoted
            f" + (select count(*) from {self._websites} where amc_id = any(?))",
            ids,
            ids,
        )
        if left:
            raise PlatformFailure(
                f"{left} rows of the probe's own websites are still there.",
                expected="what is deleted is gone",
                checked=f"schema {self.schema} at {self._database.place}",
            )
        return f"{sites} {KIND} and {rows} rows of theirs in {self.schema} are gone"

    @property
    def _like(self) -> str:
        return f"%/{self.path}/%"

    def _ids(self) -> list[int]:
        sql = f"select amc_id from {self._websites} where amc_url_with_schema like ?"  # noqa: S608 - quoted
        return [int(row[0]) for row in self._run(sql, self._like, unless=GONE)]

    def _last_row_s(self, ids: list[int]) -> float:
        """How long ago the last row of them came, by the database's own clock."""
        ((age_s,),) = self._run(
            "select extract(epoch from clock_timestamp()"  # noqa: S608 - quoted
            " - coalesce(max(amm_stored_at), 'epoch'))::float8"
            f" from {self._metrics} where amm_site = any(?)",
            ids,
        )
        return float(age_s)

    def _run(self, sql: str, *parameters: object, unless: Collection[str] = ()) -> list[Row]:
        """The rows of a statement; none after an error of the codes in `unless`."""
        try:
            deadline = Deadline.after(LIMIT_S, "the time for a statement")
            return self._database.run(sql, parameters, deadline=deadline)
        except SqlError as exc:
            if exc.code in unless:
                return []
            what = f"The websites lent to {self.schema} can't be taken back"
            raise finding(what, exc, self._database, key="database") from exc


def lease_for(
    leases: LeaseStore, place: str, schema: str, *, refresh_s: float, check_every_s: float
) -> Lease:
    """The lease of websites that are about to be added."""
    where = {"postgresql": place, REFRESH: str(refresh_s), EVERY: str(check_every_s)}
    return leases.take(KIND, schema, where=where)
