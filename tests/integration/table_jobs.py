"""The tables' scenario as its user runs it, on a sandbox whose jobs may be made to do wrong.

Jobs run with the real vdk; a planted step stands between the job's own and bends what they call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import requests

from pytest_vdkprobe.connections.sql import Row
from pytest_vdkprobe.sandbox.executor import JobRun, RunningJob
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.sandbox.vdk_executor import VdkExecutor
from pytest_vdkprobe.tables.settings import PLACES
from pytest_vdkprobe.tables.workplace import open_database
from pytest_vdkprobe.waiting import Deadline
from tests.integration.children import Ended, run_pytest
from tests.integration.shared_engines import SharedEngines

PLANTED_STEP = "05_planted.py"


class Planting:
    """The real executor, with a step put beside those of every job."""

    def __init__(self, step: str) -> None:
        self._real = VdkExecutor()
        self._step = step

    def prepare(self, sources: Path) -> None:
        """Add the step, then make the job runnable."""
        (sources / PLANTED_STEP).write_text(self._step)
        self._real.prepare(sources)

    def start(self, run: JobRun) -> RunningJob:
        """As the real one."""
        return self._real.start(run)

    def close(self) -> None:
        """As the real one."""
        self._real.close()


class Tables:
    """A configuration of [[tables]] in a folder, and what lies in the databases."""

    def __init__(self, engines: SharedEngines, folder: Path) -> None:
        self.engines = engines
        self.folder = folder

    def place(self, kind: str) -> dict[str, object]:
        """The `database` of an entry, in this worker's own schema."""
        if kind == "trino":
            at = self.engines.trino
            where = {"catalog": "memory", "schema": self.engines.schema}
        else:
            at = self.engines.postgres
            where = {"database": self.engines.database}
        return {"kind": kind, "host": at.host, "port": at.port, "user": at.user, **where}

    def run(
        self, kind: str, *options: str, platform: Sandbox | None = None, **keys: object
    ) -> Ended:
        """The scenario, by a job of `platform`'s or by the probe itself."""
        return run_pytest(self.write(kind, platform=platform, **keys), *OPTIONS, *options)

    def write(self, kind: str, *, platform: Sandbox | None = None, **keys: object) -> Path:
        """The configuration's file."""
        lines = [
            "[run]",
            f'lease_folder = "{self.folder / "leases"}"',
            f'report_folder = "{self.folder / "failures"}"',
        ]
        entry: dict[str, object] = {"name": kind, "database": self.place(kind), **keys}
        if platform is not None:
            control = platform.configuration()["control"]
            assert isinstance(control, dict)
            lines += ["[control]", *(f"{key} = {toml(value)}" for key, value in control.items())]
            entry["vdk"] = {"ingestion_payload_aggregator_timeout_seconds": 1}
        lines += ["[[tables]]", *(f"{key} = {toml(value)}" for key, value in entry.items())]
        path = self.folder / "platform.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def sql(self, statement: str, kind: str = "postgres") -> list[Row]:
        """What a statement gives, in this worker's database or schema."""
        settings = msgspec.convert(self.place(kind), PLACES[kind])
        database = open_database(settings, base_dir=None)
        try:
            return list(database.run(statement, deadline=Deadline.after(30)))
        finally:
            database.close()

    def found(self) -> list[str]:
        """The tables and views of probes that are there, in both databases."""
        like = (
            "select table_name from {}information_schema.tables where table_name like '%vdkprobe_%'"
        )
        there = list(self.sql(like.format("")))
        if "trino" in vars(self.engines):
            schema = f" and table_schema = '{self.engines.schema}'"
            there += self.sql(like.format("memory.") + schema, kind="trino")
        return sorted(str(row[0]) for row in there)

    def statuses(self, platform: Sandbox) -> list[str]:
        """Of each execution of the jobs that are there."""
        query = "{jobs(pageNumber:1,pageSize:9){content{deployments{executions{status}}}}}"
        found = requests.get(
            f"{platform.url}/data-jobs/for-team/{platform.team}/jobs",
            params={"query": query},
            timeout=10,
        ).json()["data"]["content"]
        return [
            execution["status"].lower()
            for job in found
            for deployment in job["deployments"] or []
            for execution in deployment["executions"]
        ]

    def leases(self) -> list[str]:
        """Those that are left."""
        return sorted(path.name for path in self.folder.glob("leases/*.json*"))


OPTIONS = ("--vdk-scenarios=tables",)


@contextmanager
def platform(step: str = "") -> Iterator[Sandbox]:
    """A sandbox that runs jobs truly, each with this step before its own."""
    executor = Planting(step or "")
    with Sandbox(executor=executor) as sandbox:
        yield sandbox


def toml(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml(part)}" for key, part in value.items()) + " }"
    return json.dumps(value)
