"""The metrics of one endpoint's tasks: ours, and under their own names those of the seeds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_vdkprobe.endpoints.task import State

if TYPE_CHECKING:
    from pytest_vdkprobe.endpoints.task import Task
    from pytest_vdkprobe.metrics.recorder import Counter, Recorder

AGES = ("tasks", "requests")
"""What the dataplatform-probe called them, in its two ages that had them."""


class TaskMetrics:
    """All series of one endpoint; they are there, at zero, from the start."""

    def __init__(self, recorder: Recorder, *, check: str, app_id: str, sla_s: float) -> None:
        recorder.declare_tasks(check, sla_s=sla_s)

        def counters(what: str) -> list[Counter]:
            ours = recorder.counter(f"vdkprobe_tasks_{what}_total", check=check)
            theirs = [recorder.counter(f"probe_{age}_{what}", app_id=app_id) for age in AGES]
            return [ours, *theirs]

        self._created = counters("created")
        self._succeeded = counters("succeeded")
        self._failed = counters("failed")
        self._dismissed = recorder.counter("vdkprobe_tasks_dismissed_total", check=check)
        self._tracked = recorder.gauge("vdkprobe_tasks_tracked", check=check)
        self._oldest = recorder.gauge("vdkprobe_oldest_task_seconds", check=check)
        self._oldest.set(0)  # what an earlier process left under way is so no more
        self._last_success = recorder.gauge(
            "vdkprobe_tasks_last_success_timestamp_seconds", check=check
        )
        self._missed = recorder.counter("vdkprobe_tasks_missed_slots_total", check=check)
        self._missed_before = self._missed.value
        self._took = recorder.histogram("vdkprobe_task_duration_seconds", sla_s=sla_s, check=check)
        self._last = [recorder.gauge(f"probe_{age[:-1]}_duration", app_id=app_id) for age in AGES]

    def created(self) -> None:
        """A task was made."""
        for counter in self._created:
            counter.inc()

    def ended(self, task: Task) -> None:
        """A task is over."""
        good = task.state is State.SUCCEEDED
        for counter in self._succeeded if good else self._failed:
            counter.inc()
        if task.dismissed:
            self._dismissed.inc()
        took_s = task.duration_s or 0.0
        self._took.observe(took_s)
        if good:
            for gauge in self._last:
                gauge.set(took_s)
            self._last_success.set(time.time())

    def stand(self, *, tracked: int, oldest: float, missed: int) -> None:
        """How many are in the backlog, since when the oldest is under way, what was missed."""
        self._tracked.set(tracked)
        self._oldest.set(oldest)
        self._missed.at_least(self._missed_before + missed)
