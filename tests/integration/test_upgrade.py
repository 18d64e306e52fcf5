"""A platform before and after an upgrade: each loss planted between is told, by its name."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline
from tests.integration.heartbeats import configuration, sandbox
from tests.integration.shared_engines import SharedEngines

PASSWORD = "hunter2-of-the-lake"


@dataclass
class Platform:
    """A sandbox with two jobs on it, edited as somebody would who does not know of us."""

    sandbox: Sandbox
    folder: Path

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """One call of the Control Service's API."""
        answer = requests.request(
            method,
            f"{self.sandbox.url}/data-jobs/for-team/{self.sandbox.team}/jobs{path}",
            headers={"Authorization": f"Bearer {self.sandbox.tokens.issue('somebody')}"},
            timeout=10,
            **options,
        )
        assert answer.status_code < 300, answer.text
        return answer

    def create(self, name: str, cron: str = "0 3 * * *") -> None:
        """A scheduled job with a property and a secret."""
        job = {"job_name": name, "team": self.sandbox.team, "description": "nightly"}
        self.call("POST", "", json={**job, "config": {"schedule": {"schedule_cron": cron}}})
        self.properties(name, {"cursor": "2026-11-28", "db_password": PASSWORD})
        self.call("PUT", f"/{name}/deployments/TODO/secrets", json={"token": PASSWORD})

    def properties(self, name: str, document: dict[str, str]) -> None:
        """Replace a job's properties."""
        self.call("PUT", f"/{name}/deployments/TODO/properties", json=document)

    def run(self, *options: str, extra: str = "") -> tuple[int, str, dict[str, str]]:
        """Exit code, output and verdicts of an upgrade scenario."""
        path = configuration(self.sandbox, self.folder)
        path.write_text(path.read_text() + extra)
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", f"--vdk-config={path}", "-p", "no:cacheprovider"),
                *("--vdk-scenarios=upgrade", f"--vdk-report={report}", *options),
            ],
            cwd=self.folder,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        verdicts = {}
        if report.exists():
            journeys = json.loads(report.read_text())["journeys"]
            verdicts = {s["step"]: s["verdict"] for j in journeys for s in j["steps"]}
        return done.returncode, done.stdout + done.stderr, verdicts


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Two jobs, a snapshot of which is in before.json."""
    with sandbox() as service:
        platform = Platform(service, tmp_path)
        platform.create("nightly-copy")
        platform.create("hourly-load", "0 * * * *")
        yield platform


def snapshot(platform: Platform, extra: str = "") -> dict[str, Any]:
    """Take it, and what is in the file."""
    code, output, verdicts = platform.run("--vdk-before=before.json", extra=extra)
    assert code == 0, output
    assert verdicts["keep"] == "pass"
    return dict(json.loads((platform.folder / "before.json").read_text()))


def test_nothing_has_changed_where_nothing_was(platform: Platform) -> None:
    taken = snapshot(platform)
    assert taken["aspects"]["schedules"]["nightly-copy"] == "0 3 * * *"
    path = platform.folder / "before.json"
    assert PASSWORD not in path.read_text(), "a value of a property or secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    code, output, verdicts = platform.run("--vdk-after=before.json")
    assert code == 0, output
    assert {step for step, verdict in verdicts.items() if verdict != "pass"} == {"keep"}
    code, output, _ = platform.run("--vdk-before=before.json")
    assert code == 4
    assert "There is a snapshot already" in output
    assert "--vdk-after=before.json" in output


def test_each_loss_is_told_where_it_happened(platform: Platform) -> None:
    snapshot(platform)
    platform.call("DELETE", "/hourly-load")
    platform.create("from-a-colleague")
    platform.properties("nightly-copy", {"db_password": "another one"})
    job = platform.call("GET", "/nightly-copy").json()
    job["config"]["schedule"]["schedule_cron"] = "0 4 * * *"
    platform.call("PUT", "/nightly-copy", json=job)
    code, output, verdicts = platform.run("--vdk-after=before.json")
    assert code == 1, output
    failed = {step for step, verdict in verdicts.items() if verdict == "fail"}
    assert failed == {"jobs", "schedules", "properties"}, output
    assert "lost: jobs.hourly-load is gone" in output
    assert "unexpected: schedules.nightly-copy was 0 3 * * *, is 0 4 * * *" in output
    assert "lost: properties.nightly-copy.cursor is gone (was a value)" in output
    assert 'expect_changed = ["schedules.nightly-copy"]' in output
    assert PASSWORD not in output
    # What was gone with its job, and what came, is nothing to act on.
    assert "hourly-load.cursor" not in output
    assert "from-a-colleague" not in output.split("To try")[1]


def test_what_is_expected_is_told_and_passes(platform: Platform) -> None:
    snapshot(platform)
    platform.call("DELETE", "/hourly-load")
    allowed = '[upgrade]\nexpect_lost = ["jobs.hourly-*"]\n'
    code, output, verdicts = platform.run("--vdk-after=before.json", "-v", extra=allowed)
    assert code == 0, output
    assert verdicts["jobs"] == "pass"
    assert "expected: jobs.hourly-load is gone" in " ".join(output.split())


def test_a_table_that_lost_rows_or_a_column(platform: Platform, engines: SharedEngines) -> None:
    address = engines.postgres
    where = {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "database": engines.database,
    }
    database = PostgresDatabase(PostgresConnection(**where))  # type: ignore[arg-type]

    def sql(*statements: str) -> None:
        for statement in statements:
            database.run(statement, deadline=Deadline.after(30.0))

    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in where.items())
    section = (
        f'[[upgrade.databases]]\nkind = "postgres"\nname = "lake"\nschemas = ["Up grade"]\n{keys}\n'
    )
    section = section.replace('"Up grade"', "'\"Up grade\"'")
    try:
        sql(
            'drop schema if exists "Up grade" cascade',
            'create schema "Up grade"',
            'create table "Up grade".orders (id bigint, note text)',
            'create table "Up grade".events (id bigint)',
            'insert into "Up grade".orders select g from generate_series(1, 100) g',
            'insert into "Up grade".events select g from generate_series(1, 10) g',
        )
        taken = snapshot(platform, section)
        assert taken["aspects"]["tables"]['lake."Up grade".orders.rows'] == 100
        sql(
            'delete from "Up grade".orders where id > 90',
            'alter table "Up grade".orders drop column note',
            'insert into "Up grade".events values (11)',
        )
        code, output, verdicts = platform.run("--vdk-after=before.json", extra=section)
    finally:
        sql('drop schema if exists "Up grade" cascade')
        database.close()
    assert code == 1, output
    assert {s for s, v in verdicts.items() if v == "fail"} == {"tables"}, output
    assert 'lost: tables.lake."Up grade".orders.rows was 100, is 90' in output
    assert 'lost: tables.lake."Up grade".orders.columns.note is gone (was text)' in output


def test_a_service_that_fails_while_it_is_looked_at_leaves_no_snapshot(platform: Platform) -> None:
    platform.sandbox.plant("status", path="/properties$", status=500)
    code, output, verdicts = platform.run("--vdk-before=before.json")
    assert code == 1, output
    assert (verdicts["look"], verdicts["keep"]) == ("fail", "blocked")
    assert not (platform.folder / "before.json").exists()
