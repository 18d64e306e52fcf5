"""The pipeline's tables as the probe sees them: websites put in, rows read back; schema removed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.connections.sql import Row, SqlError, literal, quoted
from pytest_vdkprobe.connections.tables import drop_schema, finding
from pytest_vdkprobe.errors import ConfigError, LoginError, PlatformFailure, TransportError
from pytest_vdkprobe.pipelines.account import Id, Seen
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import Lease

LIMIT_S = 60.0
NEEDED = {
    "availability_monitor_config": ("select", "insert", "update", "delete"),
    "availability_monitor_metrics": ("select", "delete"),
}
"""The tables of a running pipeline, and the rights to lend websites to it and take them back."""


class Tables:
    """One schema of a pipeline."""

    def __init__(
        self, database: PostgresDatabase, schema: str, *, only: Collection[int] | None = None
    ) -> None:
        self.schema = schema
        self._database = database
        self._home = quoted(schema)
        self._only = only
        """The websites whose rows are read, where others have theirs in the same table."""
        self.trouble: str | None = None
        """Why the rows could not be read when last looked for; None when they could."""

    def reach(self) -> None:
        """Raise a ProbeError unless the database answers and lets us create a schema."""
        sql = "select has_database_privilege(current_database(), 'create')"
        if not self._run(sql, what="The database can't be asked anything")[0][0]:
            settings = self._database.settings
            raise LoginError(
                f"The user {settings.user} may not create a schema in {settings.place}.",
                to_try=f"grant create on database {settings.database}, or name another user",
            )

    def require_lendable(self) -> None:
        """Raise a ProbeError unless the tables are there and let us lend websites to them."""
        settings, place = self._database.settings, f"{self.schema} at {self._database.place}"
        names = [f"{self._home}.{name}" for name in NEEDED]
        rows = self._run(
            "select name, to_regclass(name) is not null from unnest(?) as name",
            names,
            what="The database can't be asked anything",
        )
        missing = [str(name) for name, there in rows if not there]
        if missing:
            raise ConfigError(
                f"The running pipeline's tables are not there: {', '.join(missing)}.",
                key="pipeline.database.schema",
                value=self.schema,
                to_try="name the schema that its producers and consumers use, in [pipeline]",
            )
        wanted = [(name, right) for name, rights in NEEDED.items() for right in rights]
        rows = self._run(
            "select place, right_ from unnest(?, ?) as wanted (place, right_)"
            " where not has_table_privilege(place, right_)",
            [f"{self._home}.{name}" for name, _ in wanted],
            [right for _, right in wanted],
            what="The rights can't be looked at",
        )
        if rows:
            grants = "; ".join(
                f"grant {right} on {name} to {settings.user}" for name, right in rows
            )
            raise LoginError(
                f"The user {settings.user} may not lend websites to the schema {place}.",
                to_try=f"{grants}; or name another user: pipelines.database",
            )

    def active(self) -> int:
        """How many websites are checked."""
        sql = f"select count(*) from {self._home}.availability_monitor_config where amc_active"  # noqa: S608 - quoted
        return int(self._run(sql, what="The websites can't be counted")[0][0])

    def create(self, lease: Lease | None) -> None:
        """Make the schema, empty, and say whose it is."""
        mark = literal(lease.mark if lease else "")
        self._run(
            f"create schema {self._home}; comment on schema {self._home} is {mark}; select 1",
            what=f"The schema {self.schema} can't be created",
        )

    def remove(self, lease: Lease | None) -> bool:
        """Drop the schema and all in it, if it is the lease's; False if it is not."""
        return drop_schema(self._database, self.schema, lease=lease)

    def add_site(self, url: str, pattern: str | None, *, interval_s: float | None = None) -> int:
        """One more website; its number."""
        rows = self._run(
            f"insert into {self._home}.availability_monitor_config"  # noqa: S608 - quoted
            " (amc_url_with_schema, amc_regexp, amc_interval_s) values (?, ?, ?) returning amc_id",
            url,
            pattern,
            interval_s,
            what="No website can be added",
        )
        return int(rows[0][0])

    def clear_sites(self) -> None:
        """Take all websites out."""
        self._run(
            f"delete from {self._home}.availability_monitor_config returning 1",  # noqa: S608 - quoted
            what="The websites can't be taken out",
        )

    def rows(self, *, since_us: int = 0) -> list[Seen] | None:
        """Every row from a moment on; None, and `trouble`, while the database does not answer."""
        self.trouble = None
        try:
            found = self._database.run(
                "select amm_site, (extract(epoch from amm_checked_at) * 1000000)::bigint,"  # noqa: S608 - quoted
                " amd_response_code, amm_regexp_found, amm_error,"
                " (extract(epoch from amm_stored_at) * 1000000)::bigint, amd_response_time"
                f" from {self._home}.availability_monitor_metrics"
                " where amm_checked_at >= timestamptz 'epoch' + ? * interval '1 microsecond'"
                " and (? or amm_site = any(?::bigint[]))",
                (since_us, self._only is None, sorted(self._only or ())),
                deadline=Deadline.after(LIMIT_S, "the time to read rows"),
            )
        except TransportError as exc:
            self.trouble = exc.what
            return None
        except SqlError as exc:
            if exc.gone:
                self.trouble = str(exc)
                return None
            raise finding("The rows can't be read", exc, self._database, key="database") from exc
        return [
            Seen(Id(int(site), int(slot)), code, match, error, int(stored), took_s)
            for site, slot, code, match, error, stored, took_s in found
        ]

    def require_answer(self) -> None:
        """Raise PlatformFailure if the database did not answer the last look."""
        if self.trouble is not None:
            raise PlatformFailure(
                f"PostgreSQL at {self._database.place} stopped answering, so what became of the"
                " checks can't be told.",
                seen=self.trouble,
                expected="a database that answers, or is back after a restart",
                checked=f"schema {self.schema}",
                to_try="see whether the server runs, and its log",
            )

    def _run(self, sql: str, *parameters: object, what: str) -> list[Row]:
        try:
            deadline = Deadline.after(LIMIT_S, "the time for a statement")
            return self._database.run(sql, parameters, deadline=deadline)
        except SqlError as exc:
            raise finding(what, exc, self._database, key="database") from exc
