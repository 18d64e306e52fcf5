"""What jobs can be filtered, sorted and searched by in the list, and how a pattern matches each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import asdict

from pytest_vdkprobe.sandbox import wire
from pytest_vdkprobe.sandbox.schedule import next_run_epoch_s
from pytest_vdkprobe.sandbox.state import Execution, Job, now


class Property:
    """A property that jobs can be filtered and sorted by: its value, and how patterns match it."""

    def __init__(
        self,
        key: Callable[[Job], object],
        match: Callable[[str, str], bool] = lambda value, pattern: pattern in value,
    ) -> None:
        self.key = key
        self._match = match

    def matches(self, job: Job, pattern: str) -> bool:
        """Whether the job's value fits `pattern`; case never counts."""
        value = self.key(job)
        return value is not None and self._match(str(value).lower(), pattern.lower())


def _same(value: str, pattern: str) -> bool:
    return value == pattern


def _with_wildcards(value: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value) is not None


def _team(value: str, pattern: str) -> bool:
    """Equal, or the service's regular expression, in which `%` stands for anything."""
    try:
        return value == pattern or re.fullmatch(pattern.replace("%", ".*"), value) is not None
    except re.error:
        return False


def _enabled(value: str, pattern: str) -> bool:
    return value == pattern or (value, pattern) in {
        ("true", "enabled"),
        ("false", "disabled"),
        ("none", "not_deployed"),
    }


PROPERTIES = {
    "jobName": Property(lambda job: job.name, _with_wildcards),
    "config.team": Property(lambda job: job.team, _team),
    "config.description": Property(lambda job: job.description),
    "config.sourceUrl": Property(lambda job: job.name),
    "config.schedule.scheduleCron": Property(lambda job: job.cron),
    "config.schedule.nextRunEpochSeconds": Property(
        lambda job: next_run_epoch_s(job.cron, now()), _same
    ),
    "config.contacts.present": Property(
        lambda job: any(asdict(job.config.contacts or wire.Contacts()).values()), _same
    ),
    "deployments.enabled": Property(
        lambda job: str(job.deployment.enabled if job.deployment else None), _enabled
    ),
    "deployments.jobPythonVersion": Property(
        lambda job: job.deployment.python_version if job.deployment else None, _same
    ),
    "deployments.lastExecutionStatus": Property(
        lambda job: one.body.status if (one := last_ended(job)) else None, _same
    ),
    "deployments.lastExecutionTime": Property(
        lambda job: one.body.end_time if (one := last_ended(job)) else None
    ),
    "deployments.lastExecutionDuration": Property(lambda job: duration_s(last_ended(job)), _same),
}


def last_ended(job: Job) -> Execution | None:
    """The execution that ended last."""
    ended = [one for one in job.executions.values() if one.body.end_time]
    return max(ended, key=lambda one: one.body.end_time or "", default=None)


def duration_s(execution: Execution | None) -> int | None:
    if execution is None or execution.ended_at is None:
        return None
    return round((execution.ended_at - execution.started_at).total_seconds())


def sortable(value: object) -> tuple[bool, Any]:
    """A sort key that takes None: it comes last."""
    return value is None, value if isinstance(value, int) else str(value)


def found_in(job: Job, text: str, asked: frozenset[str]) -> bool:
    """Whether a field that the query selects contains `text`."""
    values: Mapping[str, str | None] = {
        "jobName": job.name,
        "team": job.team,
        "description": job.description,
        "scheduleCron": job.cron,
    }
    return any(text in (value or "").lower() for name, value in values.items() if name in asked)
