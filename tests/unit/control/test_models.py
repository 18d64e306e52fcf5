from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.control.models import (
    DataJob,
    DataJobApiInfo,
    DataJobConfig,
    DataJobContacts,
    DataJobDeployment,
    DataJobDeploymentStatus,
    DataJobExecution,
    DataJobExecutionLogs,
    DataJobSchedule,
    DataJobVersion,
    ErrorMessage,
    JobQueryResponse,
)

RECORDED = Path(__file__).parents[2] / "data" / "control_service_transcript.jsonl"
STEPS: list[dict[str, Any]] = [json.loads(line) for line in RECORDED.read_text().splitlines()]


def kind_of(step: dict[str, Any]) -> Any:
    """The model of a recorded answer, by its path and status."""
    parts = step["path"].split("/")[1:]
    if step["status"] >= 400:
        explained = isinstance(step["body"], dict) and "what" in step["body"]
        return ErrorMessage if explained else None
    if parts[-1] == "info":
        return DataJobApiInfo
    by_last = {"sources": DataJobVersion, "logs": DataJobExecutionLogs, "jobs": JobQueryResponse}
    if parts[-1] in by_last and isinstance(step["body"], dict):
        return by_last[parts[-1]]
    if parts[-1] == "executions":
        return list[DataJobExecution]
    if parts[-1] == "deployments":
        return list[DataJobDeploymentStatus]
    if parts[-2] == "executions":
        return DataJobExecution
    if parts[-2] == "deployments":
        return DataJobDeploymentStatus
    return DataJob if parts[-2] == "jobs" else None


ANSWERS = [
    (step["step"], kind_of(step), step["body"])
    for step in STEPS
    if step.get("method") and isinstance(step.get("body"), dict | list) and kind_of(step)
]


def without_nulls(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: without_nulls(value) for key, value in document.items() if value is not None}
    return [without_nulls(each) for each in document] if isinstance(document, list) else document


@pytest.mark.parametrize(("step", "kind", "body"), ANSWERS)
def test_what_the_real_service_answered_is_understood(step: str, kind: Any, body: Any) -> None:
    found = msgspec.convert(body, kind)
    kinds = (DataJob, DataJobExecution, DataJobDeploymentStatus)
    if isinstance(found, DataJob | DataJobDeploymentStatus):
        assert found.to_dict() == without_nulls(body)
    elif isinstance(found, list) and found and isinstance(found[0], kinds):
        assert set(found[0].to_dict()) == set(without_nulls(body[0]))


def test_enough_of_the_record_was_looked_at() -> None:
    assert len({str(kind) for _, kind, _ in ANSWERS}) >= 9
    assert len(ANSWERS) > 80


def test_what_is_none_is_left_out_and_what_is_empty_or_false_is_sent() -> None:
    job = DataJob(
        job_name="a-job",
        config=DataJobConfig(
            schedule=DataJobSchedule(schedule_cron=""),
            contacts=DataJobContacts(notified_on_job_deploy=[]),
            generate_keytab=False,
        ),
    )
    assert job.to_dict() == {
        "job_name": "a-job",
        "config": {
            "schedule": {"schedule_cron": ""},
            "contacts": {"notified_on_job_deploy": []},
            "generate_keytab": False,
        },
    }
    assert DataJobDeployment(enabled=False).to_dict() == {"enabled": False}


def test_deployments_are_understood_from_either_store() -> None:
    cluster = {"job_version": "e46a", "id": None, "contacts": None, "schedule": None}
    database = {
        "job_version": "e46a",
        "id": "a-job",
        "contacts": {"notified_on_job_deploy": ["a@example.org"]},
        "schedule": {"schedule_cron": "0 3 * * *"},
        "resources": {"cpu_request": 1, "memory_limit": 1000},
    }
    first, second = msgspec.convert([cluster, database], list[DataJobDeploymentStatus])
    assert (first.id, second.id) == (None, "a-job")
    assert second.resources is not None
    assert second.resources.cpu_request == 1.0
