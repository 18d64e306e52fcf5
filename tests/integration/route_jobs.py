"""Routes whose records a data job sends, run with the real vdk; the job may be made to do wrong.

What goes wrong is a step of its own in a copy of our job's directory, run before the one that
sends: it bends what that one calls. So these tests also try `job.path`.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import requests  # noqa: F401 - loaded before a test's own warnings count as errors

from pytest_vdkprobe.accounting.account import Account
from pytest_vdkprobe.accounting.profiles import PROFILES
from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.jobs import template
from pytest_vdkprobe.journeys.route_job import RouteJob
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.routes.problems import find_problems
from pytest_vdkprobe.routes.route import Route
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline
from tests.integration.shared_engines import SharedEngines

RECORDS = 20
LIMIT_S = 90.0
QUICKLY = {
    "ingestion_payload_aggregator_timeout_seconds": 1,
    # vdk-postgres opens a connection for each thread that comes at once, and commits on the last.
    "ingester_number_of_worker_threads": 1,
}
BEND = """
import datetime


def run(job_input):
    send_object = job_input.send_object_for_ingestion
    send_rows = job_input.send_tabular_data_for_ingestion

    def bend(found):
{bend}
    def one(found, **place):
        for each in bend(dict(found)):
            send_object(each, **place)

    def rows(values, names, **place):
        for row in values:
            one(dict(zip(names, row)), **place)

    job_input.send_object_for_ingestion = one
    job_input.send_tabular_data_for_ingestion = rows
"""
"""A step that has each record pass through `bend`, which gives back what is really sent."""


class Sent(NamedTuple):
    """What came of a passage by a job."""

    account: Account | None
    finding: Finding | None
    told: dict[str, Any]
    """The account as the report has it."""
    removed: list[str]


class Ends:
    """The ends of routes in this worker's share of the engines, each with a place of its own."""

    def __init__(self, platform: Sandbox, engines: SharedEngines, folder: Path) -> None:
        self.platform = platform
        self.engines = engines
        self.folder = folder
        self.name = f"t_{secrets.token_hex(5)}"

    def postgres(self) -> dict[str, Any]:
        """A table in PostgreSQL."""
        at = self.engines.postgres
        where = {"host": at.host, "port": at.port, "user": at.user}
        database = {"database": self.engines.database, "table": self.name}
        return {"kind": "postgres", **where, **database, "create": True}

    def trino(self) -> dict[str, Any]:
        """A table in Trino."""
        at = self.engines.trino
        where = {"host": at.host, "port": at.port, "user": at.user}
        table = f"memory.{self.engines.schema}.{self.name}"
        return {"kind": "trino", **where, "table": table, "create": True}

    def kafka(self) -> dict[str, Any]:
        """A topic in Kafka."""
        topic = self.engines.topic_prefix + self.name
        return {"kind": "kafka", "servers": [self.engines.kafka.endpoint], "topic": topic}

    def http(self) -> dict[str, Any]:
        """The sandbox's endpoint, which lands records in PostgreSQL."""
        url = f"{self.platform.url}/sandbox/ingest/postgres/{self.engines.database}"
        return {"kind": "http", "url": url, "table": self.name}

    def file(self) -> dict[str, Any]:
        """A file; the job's is another one."""
        return {"kind": "file", "path": str(self.folder / f"{self.name}.json")}


def own_job(folder: Path, bend: str) -> Path:
    """A copy of our job's directory with a step before its own; `bend` is Python, indented by 4."""
    made = folder / "own-job"
    shutil.copytree(Path(template.__file__).parent / "templates" / template.INGESTION, made)
    (made / "05_planted.py").write_text(BEND.replace("{bend}", bend))
    (made / "config.ini").write_text(
        "[owner]\nteam = sandbox\n[vdk]\n"
        + "".join(f"{name} = {value}\n" for name, value in QUICKLY.items())
    )
    return made


def send(
    ends: Ends,
    target: Mapping[str, Any],
    reader: Mapping[str, Any],
    *,
    profile: str = "typed",
    bend: str | None = None,
    limit_s: float = LIMIT_S,
    within_s: float = LIMIT_S,
    cleanup_s: float = 30.0,
    **job: Any,
) -> Sent:
    """Send RECORDS records by a job, and account for them; everything is removed then.

    `cleanup_s` is also the time that the job may need to be live.
    """
    job = {"profiles": [profile], **job}
    job |= {"vdk": QUICKLY} if bend is None else {"path": str(own_job(ends.folder, bend))}
    route: dict[str, Any] = {"name": "Route 1", "target": dict(target), "reader": dict(reader)}
    route |= {"ways": ["job"], "job": job, "records": RECORDS}
    route |= {"late_s": 1.0, "within_s": within_s, "quiet_s": 0.3}
    tables = {**ends.platform.configuration(), "routes": [route]}
    tables["run"] = {"lease_folder": str(ends.folder / "leases"), "cleanup_timeout_s": cleanup_s}
    configuration = from_tables("platform.toml", tables, environ={})
    assert find_problems(configuration) == []
    run = Run(secrets.token_hex(4), configuration, report_folder=ends.folder)
    told: list[dict[str, Any]] = []
    with (
        run.open_control() as client,
        Route(
            configuration,
            "Route 1",
            run_id=run.run_id,
            leases=run.leases,
            folder=ends.folder,
            deadline=lambda: Deadline.after(limit_s, "the test's time"),
            tell=told.append,
        ) as opened,
    ):
        by = RouteJob(client, run, opened)
        opened.needs(by)
        account, finding = None, None
        try:
            by.prepare()
            account = opened.reconcile(opened.send(PROFILES[profile], by=by))
            account.require()
        except Finding as found:
            finding = found
        removed = opened.remove()
        # A last look at what came of it has left a moment's.
        client.deadline = Deadline.after(LIMIT_S)
        assert list(client.list_jobs(ends.platform.team)) == []
        assert run.leases.all() == []
    return Sent(account, finding, told[-1] if told else {}, removed)
