"""Cron expressions, the clock that can run ahead, and what a tick starts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pytest_vdkprobe.sandbox.schedule import Clock, is_due, is_valid_cron, next_run_epoch_s
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.sandbox.conftest import Client, until

AT_THREE = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
"""A Monday."""


@pytest.mark.parametrize("text", ["* * * * *", "11 23 5 8 1", "*/5 0-6 * * 1-5", "@daily"])
def test_what_kubernetes_takes_is_valid(text: str) -> None:
    assert is_valid_cron(text)


@pytest.mark.parametrize("text", ["not a cron", "* * * *", "* * * * * *", "61 * * * *", "@never"])
def test_what_kubernetes_refuses_is_not(text: str) -> None:
    assert not is_valid_cron(text)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("* * * * *", True),
        ("0 3 * * *", True),
        ("0 3 * * 1", True),
        ("@daily", False),
        ("1 3 * * *", False),
        ("0 3 * * 2", False),
        ("0 0 30 2 *", False),
        ("not a cron", False),
        ("", False),
        (None, False),
    ],
)
def test_an_expression_is_due_in_its_minutes_only(text: str | None, *, due: bool) -> None:
    assert is_due(text, AT_THREE) is due


def test_the_next_run_is_in_utc_and_minus_one_without_a_schedule() -> None:
    assert next_run_epoch_s("30 4 * * *", AT_THREE) == int(AT_THREE.timestamp()) + 90 * 60
    assert next_run_epoch_s(None, AT_THREE) == -1
    assert next_run_epoch_s("not a cron", AT_THREE) == -1
    assert next_run_epoch_s("0 0 30 2 *", AT_THREE) == -1


def test_a_cron_minute_can_last_a_fraction_of_a_second() -> None:
    clock = Clock(tick_s=0.05)
    first = clock.minute()
    assert first == pytest.approx(time.time() / 60, abs=2)
    until("two minutes later", lambda: clock.minute() >= first + 2, wanted=True)
    assert 0 <= clock.until_s(clock.minute() + 1) <= 0.05
    assert clock.until_s(first) == 0


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(tick_s=3600) as sandbox:
        yield sandbox
        assert sandbox.bugs == []


def scheduled(client: Client, job: str, code: str = "pass", cron: str = "0 3 * * *") -> None:
    client.create(job, cron)
    client.deploy(job, a=f"import time\ndef run(job_input):\n    {code}\n")


def executions(client: Client, job: str) -> list[tuple[str, str]]:
    return [(one["type"], one["status"]) for one in client.get(f"{job}/executions")]


def test_a_tick_starts_what_is_due(client: Client, job: str) -> None:
    scheduled(client, job)
    client.sandbox.fire(AT_THREE.replace(hour=4))
    assert executions(client, job) == []
    client.sandbox.fire(AT_THREE)
    execution = client.get(f"{job}/executions")[0]
    body = client.ended(f"{job}/executions/{execution['id']}")
    assert (body["status"], body["type"], body["started_by"]) == ("succeeded", "scheduled", None)
    assert body["id"] == body["op_id"] == f"{job}-{int(AT_THREE.timestamp()) // 60}"


def test_a_disabled_deployment_does_not_fire_and_can_still_be_started(
    client: Client, job: str
) -> None:
    scheduled(client, job)
    patch = f"{job}/deployments/production"
    assert client.call("PATCH", patch, json={"enabled": False}).status_code == 202
    client.sandbox.fire(AT_THREE)
    assert executions(client, job) == []
    assert client.run(job)["status"] == "succeeded"
    client.call("PATCH", patch, json={"enabled": True})
    client.sandbox.fire(AT_THREE)
    assert len(executions(client, job)) == 2


def test_the_schedule_does_not_overlap_itself(client: Client, job: str) -> None:
    scheduled(client, job, "time.sleep(600)")
    client.sandbox.fire(AT_THREE)
    client.sandbox.fire(AT_THREE.replace(day=24))
    assert len(executions(client, job)) == 1


def test_a_scheduled_run_that_meets_a_manual_one_is_skipped(client: Client, job: str) -> None:
    scheduled(client, job, "time.sleep(600)")
    client.running(client.start(job))
    client.sandbox.fire(AT_THREE)
    until("skipped", lambda: ("scheduled", "skipped") in executions(client, job), wanted=True)
    skipped = client.get(f"{job}/executions?execution_status=skipped")[0]
    assert skipped["message"].startswith("Skipping job execution")


def test_a_manual_start_while_the_schedule_runs_is_refused(client: Client, job: str) -> None:
    scheduled(client, job, "time.sleep(600)")
    client.sandbox.fire(AT_THREE)
    assert client.call("POST", f"{job}/deployments/x/executions", json={}).status_code == 409


def test_a_changed_schedule_counts_from_the_next_deployment_on(client: Client, job: str) -> None:
    scheduled(client, job)
    config = {"schedule": {"schedule_cron": "0 4 * * *"}}
    client.call("PUT", job, json={"job_name": job, "config": config})
    client.sandbox.fire(AT_THREE)
    assert len(executions(client, job)) == 1
    client.deploy(job, a="def run(job_input):\n    print('changed')\n")
    client.sandbox.fire(AT_THREE.replace(day=24))
    assert len(executions(client, job)) == 1


def test_the_clock_fires_by_itself(job: str) -> None:
    with Sandbox(tick_s=0.1) as sandbox:
        client = Client(sandbox)
        scheduled(client, job, cron="* * * * *")
        until("three runs", lambda: len(executions(client, job)) >= 3, wanted=True)
        ids = [int(one["id"].rpartition("-")[2]) for one in client.get(f"{job}/executions")]
        assert ids == sorted(set(ids), reverse=True)
