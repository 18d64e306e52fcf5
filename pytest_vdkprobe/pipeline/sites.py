"""The websites of one producer: read from the database, shared out by rank, told when unusable.

Rank over the active websites, and not their ids, decides whose a website is: so gaps lose nobody,
and with as many producers as `producers` says, each website belongs to exactly one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.connections.sql import SqlError
from pytest_vdkprobe.errors import (
    BusyError,
    ConfigError,
    LoginError,
    ProbeError,
    TransportError,
)
from pytest_vdkprobe.pipeline.settings import SHORTEST_INTERVAL_S
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.pipeline.settings import PipelineDatabase, PipelineSettings

TABLE = "availability_monitor_config"
READ_LIMIT_S = 30.0
MISSING = ("42P01", "42703", "3F000")
"""PostgreSQL's codes for a table, a column and a schema that are not there."""
FORBIDDEN = "42501"
BUSY = ("53", "57P")
"""Classes of PostgreSQL's codes (appendix A) for what takes nobody in just now."""
PASSING = (*BUSY, "08", "25006", "40", "55", "57", "58")
"""And for all that passes: connection, a standby that can't be written, rollback, locks, operator,
system."""

_log = logging.getLogger(__name__)


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One website to check."""

    id: int
    url: str
    pattern: str | None
    interval_s: float


def objection(site: Site) -> str | None:
    """Why the website can't be checked; None when it can."""
    try:
        parts = urlsplit(site.url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as exc:
        return f"{site.url!r} is no URL: {exc}"
    if not usable or re.search(r"[\s\x00-\x1f]", site.url):
        return f"{site.url!r} is no URL of the form http://HOST or https://HOST"
    if not SHORTEST_INTERVAL_S <= site.interval_s < float("inf"):
        return f"its interval of {site.interval_s:g} s is shorter than {SHORTEST_INTERVAL_S:g} s"
    if site.pattern is not None:
        try:
            re.compile(site.pattern)
        except (re.error, OverflowError, RecursionError) as exc:
            return f"its regular expression {site.pattern!r} can't be used: {exc}"
    return None


def producers_for(active: int, per_producer: int) -> int:
    """How many producers an orchestrator must run."""
    return -(-active // per_producer)


def needed_producers(settings: PipelineSettings, *, base_dir: Path) -> int:
    """How many the active websites need now; the database is asked."""
    database = PostgresDatabase(settings.database, base_dir=base_dir, key="pipeline.database")
    try:
        return producers_for(count_active(settings.database, database), settings.sites_per_producer)
    finally:
        database.close()


def shards_of(job: object, jobs: object, needed: int) -> range:
    """The shards of one of several jobs, each of which checks the websites once and ends.

    `job` is its number, from 1 to `jobs`. Raises ConfigError. Whatever the number of shards is,
    each belongs to exactly one job.
    """
    try:
        number, count = int(str(job)), int(str(jobs))
    except ValueError:
        number = count = 0
    if not 1 <= number <= count:
        raise ConfigError(
            "A job's number is from 1 to the number of jobs that share the shards.",
            key="producer",
            value=f"{job} of {jobs}",
            to_try="set the properties or arguments producers (how many jobs) and producer",
        )
    return range(number, needed + 1, count)


class Sites:
    """The part of the websites that belongs to the producer of a one-based number."""

    def __init__(self, settings: PipelineSettings, database: PostgresDatabase, number: int) -> None:
        self.usable: Mapping[int, Site] = {}
        self._settings = settings
        self._database = database
        self._number = number
        self._told: dict[int, Site] = {}
        """The unusable ones as they were when that was said."""
        self._mine: set[int] = set()

    def require_number(self) -> None:
        """Raise ConfigError for a number that no website falls to."""
        per = self._settings.sites_per_producer
        active = count_active(self._settings.database, self._database)
        needed = producers_for(active, per)
        if not 1 <= self._number <= needed:
            ids = f"ids 1 to {needed}" if needed else "no producer, as no website is active"
            raise ConfigError(
                f"No website falls to the producer {self._number}.",
                key="ID",
                value=self._number,
                expected=f"{ids}: {active} active websites, {per} for each producer",
                to_try="`vdkprobe pipeline producers CONFIG` says how many to run",
            )

    def refresh(self) -> None:
        """Read them again. Raises what `run_sql` raises."""
        per = self._settings.sites_per_producer
        first = (self._number - 1) * per
        rows = run_sql(
            self._settings.database,
            self._database,
            "with active as (select amc_id, amc_url_with_schema, amc_regexp, amc_interval_s,"  # noqa: S608 - the table is quoted
            " row_number() over (order by amc_id) - 1 as place"
            f" from {self._settings.database.table(TABLE)} where amc_active)"
            " select amc_id, amc_url_with_schema, amc_regexp, amc_interval_s,"
            " place >= ? and place < ? from active"
            " where place >= ? and place < ? or amc_id = any(?)",
            (first, first + per, first, first + per, sorted(self._mine)),
        )
        # One that another producer takes over is kept once more: that one may not know it yet.
        self._mine = {int(str(row[0])) for row in rows if row[4]}
        self._take([self._site(row) for row in rows])

    def _site(self, row: tuple[object, ...]) -> Site:
        number, url, pattern, interval_s, _ = row
        return Site(
            id=int(str(number)),
            url=str(url or ""),
            pattern=str(pattern) if pattern else None,
            interval_s=self._settings.check_every_s
            if interval_s is None
            else float(str(interval_s)),
        )

    def _take(self, sites: list[Site]) -> None:
        usable: dict[int, Site] = {}
        unusable: dict[int, Site] = {}
        for site in sites:
            why = objection(site)
            if why is None:
                usable[site.id] = site
                continue
            unusable[site.id] = site
            if self._told.get(site.id) != site:
                _log.error("website %d will not be monitored: %s", site.id, why)
        for number in self._told:
            if number in usable:
                _log.info("website %d can be monitored now", number)
        self._told = unusable
        self.usable = usable


def count_active(settings: PipelineDatabase, database: PostgresDatabase) -> int:
    """How many websites are to be checked."""
    rows = run_sql(
        settings,
        database,
        f"select count(*) from {settings.table(TABLE)} where amc_active",  # noqa: S608 - quoted
    )
    return int(str(rows[0][0]))


def run_sql(
    settings: PipelineDatabase,
    database: PostgresDatabase,
    sql: str,
    parameters: tuple[object, ...] = (),
) -> list[tuple[object, ...]]:
    """The rows of a statement. Raises a ProbeError that says what to do, whatever went wrong."""
    try:
        rows = database.run(
            sql, parameters, deadline=Deadline.after(READ_LIMIT_S, "time for the database")
        )
    except SqlError as exc:
        raise finding(settings, exc) from exc
    return [tuple(row) for row in rows]


def finding(settings: PipelineDatabase, exc: SqlError) -> ProbeError:
    """What a failed statement on the pipeline's tables means to whoever runs it."""
    checked = f"schema {settings.schema} at {settings.place}"
    if exc.code in MISSING:
        return ConfigError(
            f"The pipeline's tables are not there, or have another shape: {exc.said}.",
            key="pipeline.database.schema",
            value=settings.schema,
            to_try="`vdkprobe pipeline configure-database CONFIG` makes them what they must be",
        )
    if exc.code == FORBIDDEN:
        return LoginError(
            f"The user {settings.user} may not do this: {exc.said}.",
            checked=checked,
            to_try="`vdkprobe pipeline configure-database CONFIG` grants a role what it needs",
        )
    if exc.code.startswith(BUSY):
        return BusyError(f"The database takes nobody in just now: {exc}.", checked=checked)
    if exc.gone or exc.timed_out or exc.code.startswith(PASSING):
        return TransportError(f"The database does not answer: {exc}.", checked=checked)
    return ProbeError(f"The database can't be used: {exc}.", checked=checked)
