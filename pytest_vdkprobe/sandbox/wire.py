"""The bodies of the Control Service's API, as they travel.

One struct per schema of the service's OpenAPI document, its fields in the order in which the real
service writes them. Nulls are written, unknown fields are ignored, numbers are taken from text:
that is how its JSON library is set up, and clients depend on it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from pytest_vdkprobe.sandbox.executor import JSONObject

Mode = Literal["testing", "release"]
Status = Literal[
    "submitted", "running", "succeeded", "cancelled", "skipped", "user_error", "platform_error"
]
STATUSES: tuple[Status, ...] = (
    "submitted",
    "running",
    "succeeded",
    "cancelled",
    "skipped",
    "user_error",
    "platform_error",
)
UNFINISHED: frozenset[Status] = frozenset({"submitted", "running"})


class Schedule(Struct):
    """`schedule_cron` is evaluated in UTC; null or empty means never."""

    schedule_cron: str | None = None


class Contacts(Struct):
    """Who gets a mail; null reads back as an empty list."""

    notified_on_job_failure_user_error: list[str] | None = None
    notified_on_job_failure_platform_error: list[str] | None = None
    notified_on_job_success: list[str] | None = None
    notified_on_job_deploy: list[str] | None = None


class Config(Struct):
    """What a job is configured with; the defaults are those of a config that is given but empty."""

    db_default_type: str | None = None
    contacts: Contacts | None = None
    schedule: Schedule | None = None
    generate_keytab: bool | None = True
    enable_execution_notifications: bool | None = True
    notification_delay_period_minutes: int | None = 240


class DataJob(Struct):
    """A job as it is created, read and replaced."""

    job_name: str | None = None
    description: str | None = None
    config: Config | None = None
    team: str | None = None


class Resources(Struct):
    """Requests and limits of a deployment's container."""

    cpu_request: float | None = None
    cpu_limit: float | None = None
    memory_request: int | None = None
    memory_limit: int | None = None


class Deployment(Struct):
    """A deployment as it is asked for, and as an execution shows the one that it ran."""

    vdk_version: str | None = None
    job_version: str | None = None
    python_version: str | None = None
    mode: Mode | None = None
    id: str | None = None
    enabled: bool | None = None
    deployed_by: str | None = None
    deployed_date: str | None = None
    schedule: Schedule | None = None
    resources: Resources | None = None


class DeploymentStatus(Struct):
    """A deployment as it is read."""

    vdk_version: str | None = None
    job_version: str | None = None
    python_version: str | None = None
    mode: Mode | None = "release"
    id: str | None = None
    enabled: bool | None = None
    contacts: Contacts | None = None
    schedule: Schedule | None = None
    resources: Resources | None = None
    last_deployed_date: str | None = None
    last_deployed_by: str | None = None


class ExecutionRequest(Struct):
    """What a start may say; `{}` is enough."""

    started_by: str | None = None
    args: JSONObject | None = None


class Execution(Struct):
    """One execution as it is read."""

    id: str
    job_name: str
    status: Status
    type: Literal["manual", "scheduled"]
    start_time: str
    end_time: str | None
    started_by: str | None
    logs_url: str
    message: str | None
    op_id: str
    deployment: Deployment


class Problem(Struct):
    """An error's body: four texts, not the `messages` of the OpenAPI document."""

    what: str
    why: str
    consequences: str
    countermeasures: str


class FrameworkProblem(Struct):
    """An error's body where no route or media type fits: the web framework answers by itself."""

    timestamp: str
    status: int
    error: str
    path: str


class GraphQLPage(Struct):
    """`data` of a query's answer; the totals stay 0 unless the query selects them."""

    content: list[JSONObject] | None = field(default_factory=list)
    totalItems: int = 0  # noqa: N815 - the service's own spelling
    totalPages: int = 0  # noqa: N815


class GraphQLAnswer(Struct):
    """What a query answers: the selected page itself, not wrapped in the root field's name."""

    errors: list[JSONObject]
    data: GraphQLPage | None
