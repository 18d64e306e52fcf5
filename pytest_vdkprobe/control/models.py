"""What the Control Service says and is told, as typed structures.

The service leaves out or nulls almost everything at some time, so nearly all fields are optional
and unknown ones are ignored; a field that is there must have its type. The names are the API's own
(`control_service` OpenAPI document, components/schemas). What is None is left out when sent, as the
official client does.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

AwareDatetime = Annotated[datetime, msgspec.Meta(tz=True)]


class Document(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What all of them can do."""

    def to_dict(self) -> dict[str, Any]:
        """As plain dictionaries and lists, without what is None."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


class ExecutionStatus(StrEnum):
    """Where an execution stands (API: DataJobExecution.status)."""

    SUBMITTED = "submitted"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    USER_ERROR = "user_error"
    PLATFORM_ERROR = "platform_error"


class ExecutionType(StrEnum):
    """Who started it: somebody, or the schedule (API: DataJobExecution.type)."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"


class DataJobSchedule(Document):
    """A cron expression in UTC; none means that the job runs only when started."""

    schedule_cron: str | None = None


class DataJobContacts(Document):
    """Who gets which mail."""

    notified_on_job_failure_user_error: list[str] | None = None
    notified_on_job_failure_platform_error: list[str] | None = None
    notified_on_job_success: list[str] | None = None
    notified_on_job_deploy: list[str] | None = None


class DataJobConfig(Document):
    """A job's configuration; what is left out gets the service's default (true, true, 240)."""

    db_default_type: str | None = None
    contacts: DataJobContacts | None = None
    schedule: DataJobSchedule | None = None
    generate_keytab: bool | None = None
    enable_execution_notifications: bool | None = None
    notification_delay_period_minutes: int | None = None


class DataJob(Document):
    """A data job. The service reads `description` and `config` back as null when they were."""

    job_name: str
    description: str | None = None
    config: DataJobConfig | None = None
    team: str | None = None


class DataJobResources(Document):
    """What a deployment may use; processors in cores, memory in MiB."""

    cpu_request: float | None = None
    cpu_limit: float | None = None
    memory_request: int | None = None
    memory_limit: int | None = None


class DataJobDeployment(Document):
    """A deployment as it is asked for, and as an execution remembers it."""

    vdk_version: str | None = None
    job_version: str | None = None
    python_version: str | None = None
    mode: str | None = None
    id: str | None = None
    enabled: bool | None = None
    deployed_by: str | None = None
    deployed_date: str | None = None
    schedule: DataJobSchedule | None = None
    resources: DataJobResources | None = None


class DataJobDeploymentStatus(Document):
    """A deployment as it is. `id`, `contacts`, `schedule` are null when read from Kubernetes."""

    vdk_version: str | None = None
    job_version: str | None = None
    python_version: str | None = None
    mode: str | None = None
    id: str | None = None
    enabled: bool | None = None
    contacts: DataJobContacts | None = None
    schedule: DataJobSchedule | None = None
    resources: DataJobResources | None = None
    last_deployed_date: str | None = None
    last_deployed_by: str | None = None


class DataJobExecution(Document):
    """One run of a job. `op_id` is the X-OPID of the call that started it, and tells it apart."""

    id: str | None = None
    job_name: str | None = None
    status: ExecutionStatus | None = None
    type: ExecutionType | None = None
    start_time: AwareDatetime | None = None
    end_time: AwareDatetime | None = None
    started_by: str | None = None
    logs_url: str | None = None
    message: str | None = None
    op_id: str | None = None
    deployment: DataJobDeployment | None = None


class DataJobExecutionRequest(Document):
    """What starts an execution."""

    started_by: str
    args: dict[str, Any]


class DataJobExecutionLogs(Document):
    """An execution's log; empty when its pod is gone."""

    logs: str | None = None


class DataJobVersion(msgspec.Struct):
    """The version that the service gave to uploaded sources."""

    version_sha: str


class DataJobApiInfo(msgspec.Struct):
    """What the service is, and which Pythons it can deploy."""

    api_version: str
    supported_python_versions: list[str]


class OauthCredentials(msgspec.Struct, rename="camel"):
    """A team's OAuth application."""

    client_id: str
    client_secret: str
    team_name: str | None = None


class OauthTeamClientId(msgspec.Struct, rename="camel"):
    """Which team an OAuth client belongs to."""

    client_id: str
    team_name: str


class ErrorMessage(msgspec.Struct):
    """How the service explains an error. All four or it is not one of its answers."""

    what: str | None
    why: str | None
    consequences: str | None
    countermeasures: str | None


class RowSchedule(Document, rename="camel"):
    """GraphQL: a job's schedule; `next_run_epoch_seconds` is -1 without a valid one."""

    schedule_cron: str | None = None
    next_run_epoch_seconds: int | None = None


class RowConfig(Document, rename="camel"):
    """GraphQL: a job's configuration."""

    team: str | None = None
    description: str | None = None
    schedule: RowSchedule | None = None


class RowDeployment(Document, rename="camel"):
    """GraphQL: a job's deployment. `status` is always null in today's service."""

    id: str | None = None
    enabled: bool | None = None
    status: str | None = None
    job_version: str | None = None
    last_deployed_by: str | None = None
    last_deployed_date: str | None = None


class JobRow(Document, rename="camel"):
    """GraphQL: one job of a list."""

    job_name: str
    config: RowConfig | None = None
    deployments: list[RowDeployment] | None = None


class JobPage(msgspec.Struct, rename="camel"):
    """GraphQL: one page of rows; the totals are 0 unless the query asks for them."""

    content: list[dict[str, Any]]
    total_items: int | None = None
    total_pages: int | None = None


class JobQueryResponse(msgspec.Struct):
    """GraphQL: the service's own wrapping, which is not GraphQL's `data.jobs`."""

    data: JobPage
    errors: list[Any] | None = None
