"""What the service knows: jobs, their deployments and executions, properties and secrets.

Handlers run on the server's loop, builds, runs and the scheduler on threads of their own; all of
them change this state only while they hold its one lock, and none does slow work under it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from pytest_vdkprobe.sandbox import wire
from pytest_vdkprobe.sandbox.errors import no_body
from pytest_vdkprobe.sandbox.executor import JSONObject, RunningJob

DEFAULT_RESOURCES = wire.Resources(
    cpu_request=1.0, cpu_limit=2.0, memory_request=500, memory_limit=1000
)
"""What the real service's default configuration gives a job."""


@dataclass
class Deployment:
    """The one deployment of a job, as the cluster has it."""

    job_version: str
    vdk_version: str
    python_version: str
    enabled: bool
    mode: wire.Mode
    schedule_cron: str | None
    deployed_at: datetime
    deployed_by: str | None

    def as_run(self) -> wire.Deployment:
        """As an execution shows it from `running` on; vdk's own version comes at the end."""
        return wire.Deployment(
            vdk_version="",
            job_version=self.job_version,
            python_version=self.python_version,
            mode="release",
            id="release",
            enabled=True,
            deployed_by=self.deployed_by,
            deployed_date=stamp(self.deployed_at),
            schedule=wire.Schedule(self.schedule_cron),
            resources=DEFAULT_RESOURCES,
        )


@dataclass
class Execution:
    """One execution, with what only the service knows of it."""

    body: wire.Execution
    started_at: datetime
    ended_at: datetime | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    run: RunningJob | None = None
    log_wiped: bool = False
    listed: bool = True

    @classmethod
    def submitted(
        cls,
        job: str,
        execution_id: str,
        *,
        kind: Literal["manual", "scheduled"],
        op_id: str,
        at: datetime,
        started_by: str | None = None,
    ) -> Execution:
        """A new row. What it runs is not shown yet: the cluster has not said."""
        body = wire.Execution(
            id=execution_id,
            job_name=job,
            status="submitted",
            type=kind,
            start_time=stamp(at),
            end_time=None,
            started_by=started_by,
            logs_url="",
            message=None,
            op_id=op_id,
            deployment=wire.Deployment(
                mode="release",
                id="release",
                enabled=True,
                schedule=wire.Schedule(),
                resources=wire.Resources(),
            ),
        )
        return cls(body, started_at=at)

    @property
    def unfinished(self) -> bool:
        """Whether it is submitted or running."""
        return self.body.status in wire.UNFINISHED

    def log(self) -> str:
        """The log as long as there is one: cancelling takes it away with the pod."""
        return "" if self.run is None or self.log_wiped else self.run.log()


@dataclass
class Job:
    """A job's row, its deployment and its executions by id, oldest first."""

    name: str
    team: str
    description: str | None
    config: wire.Config
    keytab: bytes | None = None
    deployment: Deployment | None = None
    build: object = None
    """Token of the build under way; an older build that finds another one here gives up."""
    deployment_status: int = -1
    """The gauge's value: -1 none, 0 success, 1 platform error, 3 user error."""
    executions: dict[str, Execution] = field(default_factory=dict)

    @property
    def cron(self) -> str | None:
        """The configured schedule; the deployment has its own, taken when it was deployed."""
        return self.config.schedule.schedule_cron if self.config.schedule else None

    def body(self) -> wire.DataJob:
        """The job as it is read."""
        return wire.DataJob(
            job_name=self.name, description=self.description, config=self.config, team=self.team
        )

    def unfinished(self) -> list[Execution]:
        """Its executions that are submitted or running."""
        return [execution for execution in self.executions.values() if execution.unfinished]


class State:
    """Everything the service remembers, and the lock around it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jobs: dict[str, Job] = {}
        self.properties: dict[str, JSONObject] = {}
        self.secrets: dict[tuple[str, str], JSONObject] = {}
        self.still_listed: list[Job] = []
        """Deleted jobs that a fault keeps in the list."""

    def job(self, team: str, name: str) -> Job | None:
        """The job if it is this team's: names are unique over all teams, case counts."""
        job = self.jobs.get(name)
        return job if job is not None and job.team == team else None

    def require(self, team: str, name: str) -> Job:
        """The job, or the empty 404."""
        job = self.job(team, name)
        if job is None:
            raise no_body(404)
        return job


def stored_config(config: wire.Config | None) -> wire.Config:
    """A config as it reads back: lists for nulls; a job without one has no keytab and no mails."""
    if config is None:
        config = wire.Config(
            generate_keytab=False,
            enable_execution_notifications=None,
            notification_delay_period_minutes=None,
        )
    contacts = config.contacts or wire.Contacts()
    return wire.Config(
        db_default_type=config.db_default_type,
        contacts=wire.Contacts(
            contacts.notified_on_job_failure_user_error or [],
            contacts.notified_on_job_failure_platform_error or [],
            contacts.notified_on_job_success or [],
            contacts.notified_on_job_deploy or [],
        ),
        schedule=config.schedule or wire.Schedule(),
        generate_keytab=config.generate_keytab,
        enable_execution_notifications=config.enable_execution_notifications,
        notification_delay_period_minutes=config.notification_delay_period_minutes,
    )


def now() -> datetime:
    """The wall clock, aware and in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime, digits: int = 6) -> str:
    """A moment as the service writes it: with 9, 6 or 0 digits of a second, and a Z."""
    seconds = f"{moment:%Y-%m-%dT%H:%M:%S}"
    return f"{seconds}.{moment.microsecond:06d}{'0' * (digits - 6)}Z" if digits else f"{seconds}Z"
