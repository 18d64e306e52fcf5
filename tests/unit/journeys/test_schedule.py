"""A schedule that was enabled again: which of its runs is judged."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from pytest_vdkprobe.control.models import DataJobExecution
from pytest_vdkprobe.journeys.schedule import Schedule
from pytest_vdkprobe.waiting import Deadline

JOB = "probe-job"


class Service:
    """A Control Service that lists one more scheduled run with each look, of these statuses."""

    def __init__(self, *statuses: str) -> None:
        self.settings = SimpleNamespace(cron_minute_s=1.0)
        self._statuses = statuses
        self._looks = 0

    def executions(self, name: str) -> list[DataJobExecution]:
        shown = self._statuses[: self._looks]
        self._looks += 1
        rows: list[dict[str, Any]] = [
            {"id": f"{name}-{at}", "type": "scheduled", "status": status}
            for at, status in enumerate(shown)
        ]
        return [DataJobExecution(**row) for row in rows]

    def properties(self, name: str) -> dict[str, str]:
        return {"vdkprobe_proof": json.dumps({"run_id": "7f3a90c2", "nonce": "scheduled"})}


def test_a_skipped_run_is_passed_over_for_the_next() -> None:
    job: Any = SimpleNamespace(
        name=JOB,
        client=Service("skipped", "succeeded"),
        run=SimpleNamespace(run_id="7f3a90c2"),
        set_enabled=lambda enabled, *, deadline: None,
    )
    assert Schedule(job).enable(deadline=Deadline.after(60)).startswith(f"{JOB}-1 fired after")
