"""Taking a snapshot: the jobs of a team as the Control Service tells them, the tables as SQL does.

Only what an upgrade has to preserve is looked at; who deployed last and when is not, and neither is
what a probe of ours has created for the moment.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.connections.sql import Name, SqlError, literal
from pytest_vdkprobe.connections.trino import TrinoDatabase
from pytest_vdkprobe.control.errors import ServiceFailure
from pytest_vdkprobe.errors import NoEvidence, PlatformFailure
from pytest_vdkprobe.leases import clean_url, marked_leases
from pytest_vdkprobe.upgrade.settings import PostgresSchemas, TrinoSchemas, UpgradeSettings
from pytest_vdkprobe.upgrade.snapshot import Snapshot

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.sql import Database
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.waiting import Deadline

FORGOTTEN = ("id", "last_deployed_date", "last_deployed_by", "contacts", "schedule")
"""Of a deployment: who did it and when is nothing to preserve, the rest stands elsewhere."""

VERSION = {
    "PostgreSQL": "select current_setting('server_version')",
    "Trino": "select version()",
}
COLUMNS = """
select t.table_name, c.column_name, c.data_type
from {catalog}information_schema.tables t
join {catalog}information_schema.columns c
    on c.table_schema = t.table_schema and c.table_name = t.table_name
where t.table_schema = {schema} and t.table_type = 'BASE TABLE'
order by 1, c.ordinal_position
"""
"""The same in PostgreSQL and Trino (ISO/IEC 9075-11, information schema)."""


def look(
    snapshot: Snapshot,
    client: ControlClient,
    settings: UpgradeSettings,
    *,
    base_dir: Path,
    deadline: Callable[[], Deadline],
) -> None:
    """Fill the snapshot with all that is configured to be looked at.

    Raises what the platform did wrong: half a snapshot would tell of losses that are none.
    """
    info = client.info()
    snapshot.where["control"] = f"{clean_url(client.settings.url)}, team {client.team}"
    snapshot.add("versions", "control-service", info.api_version)
    snapshot.add("versions", "python", ", ".join(info.supported_python_versions))
    names = sorted({row.job_name for row in client.list_jobs(client.team) if _of(row, client.team)})
    for name in names:
        if not settings.ignores(f"jobs.{name}"):
            _look_at_job(snapshot, client, name)
    for index, place in enumerate(settings.databases):
        key = f"upgrade.databases.{index}"
        database: PostgresDatabase | TrinoDatabase
        if isinstance(place, PostgresSchemas):
            database = PostgresDatabase(place, base_dir=base_dir, key=key)
        else:
            database = TrinoDatabase(place, base_dir=base_dir, key=key)
        try:
            _look_at_database(snapshot, place, database, settings, deadline)
        finally:
            database.close()


def _of(row: Any, team: str) -> bool:
    """Whether a row of the list is of the team: the filter is a pattern, and matches more."""
    return row.config is None or row.config.team in (None, team)


def _look_at_job(snapshot: Snapshot, client: ControlClient, name: str) -> None:
    job = client.read_job(name)
    if job is None or marked_leases(job.description or ""):
        return
    fields = job.to_dict()
    config = fields.get("config") or {}
    schedule = (config.pop("schedule", None) or {}).get("schedule_cron")
    snapshot.add("jobs", f"{name}.team", job.team or client.team)
    snapshot.add("jobs", f"{name}.description", job.description)
    snapshot.add("jobs", f"{name}.config", config)
    snapshot.add("schedules", name, schedule or None)
    for deployment in client.deployments(name) or []:
        for field, value in deployment.to_dict().items():
            if field not in FORGOTTEN:
                snapshot.add("deployments", f"{name}.{field}", value)
        if deployment.schedule is not None:
            snapshot.add("schedules", f"{name}.deployed", deployment.schedule.schedule_cron or None)
    for key, value in client.properties(name).items():
        snapshot.add_hidden("properties", f"{name}.{key}", value)
    if client.settings.secrets_enabled:
        for key, value in _secrets(client, name).items():
            snapshot.add_hidden("secrets", f"{name}.{key}", value)


def _secrets(client: ControlClient, name: str) -> dict[str, Any]:
    try:
        return client.secrets(name)
    except ServiceFailure as failure:
        if failure.status == 404:  # a job that never had any
            return {}
        raise


def _look_at_database(
    snapshot: Snapshot,
    place: PostgresSchemas | TrinoSchemas,
    database: Database,
    settings: UpgradeSettings,
    deadline: Callable[[], Deadline],
) -> None:
    def run(sql: str) -> list[Any]:
        try:
            return list(database.run(sql, deadline=deadline()))
        except SqlError as exc:
            raise _unusable(place, database, sql, exc) from exc

    snapshot.where[place.name] = f"{database.engine.name} at {database.place}"
    ((version,),) = run(VERSION[database.engine.name])
    snapshot.add("versions", place.name, f"{database.engine.name} {version}")
    for schema in place.schemas:
        catalog, parts = "", Name.of(schema, key="schemas").parts
        if isinstance(place, TrinoSchemas):
            parts = parts if len(parts) > 1 else (place.catalog or "", *parts)
            catalog = f"{Name(parts[:1]).sql}."
        tables: dict[str, str] = {}
        for table, column, kind in run(COLUMNS.format(catalog=catalog, schema=literal(parts[-1]))):
            name = f"{place.name}.{schema}.{table}"
            if not settings.ignores(f"tables.{name}"):
                tables[table] = name
                snapshot.add("tables", f"{name}.columns.{column}", kind)
        for table, name in tables.items():
            ((rows,),) = run(f"select count(*) from {Name((*parts, table)).sql}")  # noqa: S608 - quoted
            snapshot.add("tables", f"{name}.rows", rows)


def _unusable(
    place: PostgresSchemas | TrinoSchemas, database: Database, sql: str, exc: SqlError
) -> PlatformFailure | NoEvidence:
    kind = NoEvidence if exc.timed_out else PlatformFailure
    return kind(
        f"{database.engine.name} did not answer what tables {place.name} has.",
        seen=str(exc),
        expected="an answer within the step's limit" if exc.timed_out else "an answer",
        checked=f"{' '.join(sql.split())[:200]} on {database.place}",
        to_try="give the step more time: run.limits, { look = 900 }"
        if exc.timed_out
        else "try the statement by hand; the user needs to read these schemas",
    )
