"""What the transcript does not show of executions: retention, ids, delays, the end of a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pytest_vdkprobe.sandbox import executions
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.sandbox.conftest import Client, until


def test_starts_within_one_second_share_an_id_and_differ_by_op_id(
    client: Client, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    monkeypatch.setattr(executions, "now", lambda: moment)
    client.deploy(job)
    start = f"{job}/deployments/x/executions"
    seen = []
    for op_id in ("one", "two"):
        answer = client.call("POST", start, json={}, headers={"X-OPID": op_id})
        assert answer.headers["X-OPID"] == op_id
        seen.append(answer.headers["Location"].rpartition("/")[2])
        assert client.ended(f"{job}/executions/{seen[-1]}")["op_id"] == op_id
    assert seen == [f"{job}-{int(moment.timestamp())}"] * 2
    assert len(client.get(f"{job}/executions")) == 1


def test_an_execution_can_stay_submitted_for_a_while(job: str) -> None:
    with Sandbox(start_delay_s=1.5) as sandbox:
        client = Client(sandbox)
        client.deploy(job)
        execution = client.start(job)
        body = client.get(execution)
        assert (body["status"], body["message"]) == ("submitted", None)
        assert body["deployment"]["job_version"] is None
        assert client.ended(execution)["deployment"]["job_version"] is not None


def test_old_executions_are_dropped_by_number_and_by_age(
    job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [datetime(2026, 11, 23, tzinfo=UTC)]
    monkeypatch.setattr(executions, "now", lambda: clock[0])
    with Sandbox(executions_kept=3) as sandbox:
        client = Client(sandbox)
        client.deploy(job)
        for _ in range(5):
            clock[0] += timedelta(seconds=1)
            client.run(job)
        assert len(client.get(f"{job}/executions")) == 3
        clock[0] += timedelta(days=15)
        client.run(job)
        assert len(client.get(f"{job}/executions")) == 1


def test_the_executions_of_a_deleted_job_are_gone_for_its_successor(
    client: Client, job: str
) -> None:
    client.deploy(job)
    execution = client.start(job)
    client.ended(execution)
    assert client.call("DELETE", job).status_code == 200
    assert client.call("GET", execution).status_code == 404
    client.create(job)
    assert client.get(f"{job}/executions") == []


def test_stopping_the_sandbox_ends_a_hanging_job(job: str) -> None:
    with Sandbox() as sandbox:
        client = Client(sandbox)
        client.deploy(job, a="import time\ndef run(job_input):\n    time.sleep(600)\n")
        client.running(client.start(job))


def test_an_executor_that_cannot_start_a_job_is_a_platform_error(
    client: Client, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr("pytest_vdkprobe.sandbox.instant.InstantExecutor.start", refuse)
    client.deploy(job)
    body = client.run(job)
    assert body["status"] == "platform_error"
    assert "no more processes" in body["message"]


def test_an_execution_is_listed_by_several_statuses_at_once(client: Client, job: str) -> None:
    client.deploy(job)
    client.run(job)
    path = f"{job}/executions?execution_status"
    assert client.get(f"{path}=submitted&execution_status=running") == []
    assert len(client.get(f"{path}=running,succeeded")) == 1
    until("one", lambda: len(client.get(f"{path}=succeeded")), 1)
