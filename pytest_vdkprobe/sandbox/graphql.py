"""The job list: a GraphQL query in a URL, answered in a shape of the service's own.

The real service filters by `filter` alone (the team in the path means nothing), writes enums in
upper case, leaves totals at 0 unless they are asked for, and hands out the page itself instead of
`data.jobs`. Errors are 400 with the words of its Java library's structures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from pytest_vdkprobe.sandbox import wire
from pytest_vdkprobe.sandbox.executor import JSONObject
from pytest_vdkprobe.sandbox.faults import Faults
from pytest_vdkprobe.sandbox.schedule import next_run_epoch_s
from pytest_vdkprobe.sandbox.state import Deployment, Execution, Job, State, now, stamp

if TYPE_CHECKING:
    from graphql import GraphQLResolveInfo, GraphQLSchema

DEFAULT_QUERY = """{ jobs(pageNumber: 1, pageSize: 1000) {
  content { jobName config { team description schedule { scheduleCron } } } totalItems totalPages
} }"""
"""What a call without `query` gets."""

SCHEMA = """
scalar DateTime
type Query {
  jobs(pageNumber: Int = 0, pageSize: Int = 20, filter: [Predicate], search: String): DataJobPage
  executions(pageNumber: Int = 1, pageSize: Int = 20, filter: DataJobExecutionFilter,
             order: DataJobExecutionOrder): DataJobExecutionPage
}
input Predicate { property: String pattern: String sort: Direction }
enum Direction { ASC DESC }
input DataJobExecutionOrder { property: String direction: Direction }
input DataJobExecutionFilter {
  startTimeGte: DateTime startTimeLte: DateTime endTimeGte: DateTime endTimeLte: DateTime
  statusIn: [DataJobExecutionStatus] jobNameIn: [String] teamNameIn: [String]
}
type DataJobPage { content: [DataJob] totalItems: Int totalPages: Int }
type DataJobExecutionPage { content: [DataJobExecution] totalItems: Int totalPages: Int }
type DataJob { jobName: String config: DataJobConfig deployments: [DataJobDeployment] }
type DataJobConfig {
  team: String description: String schedule: DataJobSchedule contacts: DataJobContacts
  generateKeytab: Boolean sourceUrl: String logsUrl: String
}
type DataJobSchedule { scheduleCron: String nextRunEpochSeconds: Int }
type DataJobContacts {
  notifiedOnJobFailureUserError: [String] notifiedOnJobFailurePlatformError: [String]
  notifiedOnJobSuccess: [String] notifiedOnJobDeploy: [String]
}
type DataJobResources {
  cpuRequest: Float cpuLimit: Float memoryRequest: Int memoryLimit: Int
}
type DataJobDeployment {
  id: String enabled: Boolean status: DataJobDeploymentStatus jobVersion: String
  vdkVersion: String jobPythonVersion: String mode: String schedule: DataJobSchedule
  contacts: DataJobContacts resources: DataJobResources
  lastDeployedDate: String lastDeployedBy: String
  lastExecutionStatus: DataJobExecutionStatus lastExecutionTime: String
  lastExecutionDuration: Int successfulExecutions: Int failedExecutions: Int
  executions(pageNumber: Int = 1, pageSize: Int = 20, filter: DataJobExecutionFilter,
             order: DataJobExecutionOrder): [DataJobExecution]
}
type DataJobExecution {
  id: String type: DataJobExecutionType jobName: String status: DataJobExecutionStatus
  startTime: String endTime: String startedBy: String message: String opId: String
  logsUrl: String deployment: DataJobDeployment
}
enum DataJobDeploymentStatus { NONE SUCCESS PLATFORM_ERROR USER_ERROR }
enum DataJobExecutionStatus {
  SUBMITTED RUNNING SUCCEEDED CANCELLED SKIPPED USER_ERROR PLATFORM_ERROR
}
enum DataJobExecutionType { MANUAL SCHEDULED }
"""


class QueryError(ValueError):
    """The query asks for something that the service refuses while it fetches."""


@lru_cache(maxsize=1)
def _schema() -> GraphQLSchema:
    from graphql import build_schema  # noqa: PLC0415 - graphql-core takes 100 ms to import

    return build_schema(SCHEMA)


def load() -> None:
    """Pay for the library and the schema now, not in the first query."""
    _schema()


class Listing:
    """Answers queries over the state."""

    def __init__(self, state: State, faults: Faults, folder: Path) -> None:
        self._state = state
        self._faults = faults
        self._folder = folder

    def answer(
        self, query: str | None, operation: str | None, variables: JSONObject | None
    ) -> tuple[int, wire.GraphQLAnswer]:
        """Status and body for a query."""
        from graphql import ExecutionResult, GraphQLSyntaxError, graphql_sync  # noqa: PLC0415

        roots = {"jobs": self._jobs, "executions": self._executions}
        with self._state.lock:
            result: ExecutionResult = graphql_sync(
                _schema(),
                query or DEFAULT_QUERY,
                root_value=roots,
                variable_values=variables,
                operation_name=operation,
            )
        if result.errors:
            errors = [
                _syntax_error(error, query or "")
                if isinstance(error, GraphQLSyntaxError)
                else _error(error)
                for error in result.errors
            ]
            return 400, wire.GraphQLAnswer(errors=errors, data=None)
        page = next(iter((result.data or {}).values()), None) or {}
        if self._faults.lies("list-null"):
            page["content"] = None
        return 200, wire.GraphQLAnswer(
            errors=[],
            data=wire.GraphQLPage(
                page.get("content"), page.get("totalItems") or 0, page.get("totalPages") or 0
            ),
        )

    def _jobs(
        self,
        info: GraphQLResolveInfo[None],
        pageNumber: int | None = 0,  # noqa: N803 - the service's own spelling
        pageSize: int | None = 20,  # noqa: N803
        filter: list[JSONObject | None] | None = None,  # noqa: A002
        search: str | None = None,
    ) -> JSONObject:
        jobs = sorted(self._listed(), key=lambda job: job.name)
        predicates = [predicate for predicate in filter or [] if predicate]
        for predicate in predicates:
            prop, pattern = predicate.get("property"), predicate.get("pattern")
            if prop not in PROPERTIES or (pattern is None and predicate.get("sort") is None):
                raise QueryError(f"A filter by {prop} is not valid or not supported")
            if pattern is not None:
                jobs = [job for job in jobs if PROPERTIES[prop].matches(job, pattern)]
        for predicate in [one for one in predicates if one.get("sort")][-1:]:
            key = PROPERTIES[predicate["property"]].key
            jobs.sort(key=lambda job: _sortable(key(job)), reverse=predicate["sort"] == "DESC")
        if search:
            asked = _selected(info)
            jobs = [job for job in jobs if _found(job, search.lower(), asked)]
        return _page([self._job(job) for job in jobs], pageNumber, pageSize)

    def _listed(self) -> Iterable[Job]:
        """All jobs, or what a fault makes of them."""
        if self._faults.lies("list-empty"):
            return []
        if self._faults.lies("list-foreign"):
            return [Job("another-teams-job", "another-team", None, wire.Config())]
        jobs = [*self._state.jobs.values(), *self._state.still_listed]
        return [job for job in jobs if not self._faults.lies("list-omits-job", job.name)]

    def _executions(
        self,
        _info: GraphQLResolveInfo[None],
        pageNumber: int | None = 1,  # noqa: N803
        pageSize: int | None = 20,  # noqa: N803
        filter: JSONObject | None = None,  # noqa: A002
        order: JSONObject | None = None,
    ) -> JSONObject:
        every = [
            (job, one)
            for job in self._state.jobs.values()
            for one in job.executions.values()
            if one.listed
        ]
        return _page(_chosen(every, filter, order), pageNumber, pageSize)

    def _job(self, job: Job) -> JSONObject:
        contacts = job.config.contacts or wire.Contacts()
        return {
            "jobName": job.name,
            "config": {
                "team": job.team,
                "description": job.description,
                "schedule": {
                    "scheduleCron": job.cron,
                    "nextRunEpochSeconds": lambda _info: next_run_epoch_s(job.cron, now()),
                },
                "contacts": {
                    "notifiedOnJobFailureUserError": contacts.notified_on_job_failure_user_error,
                    "notifiedOnJobFailurePlatformError": (
                        contacts.notified_on_job_failure_platform_error
                    ),
                    "notifiedOnJobSuccess": contacts.notified_on_job_success,
                    "notifiedOnJobDeploy": contacts.notified_on_job_deploy,
                },
                "generateKeytab": job.config.generate_keytab,
                "sourceUrl": (self._folder / job.name).as_uri(),
                "logsUrl": None,
            },
            "deployments": _deployments(job, job.deployment) if job.deployment else None,
        }


def _deployments(job: Job, live: Deployment) -> list[JSONObject]:
    last = _last(job)
    statuses = [one.body.status for one in job.executions.values()]

    def executions(
        _info: GraphQLResolveInfo[None],
        pageNumber: int | None = 1,  # noqa: N803
        pageSize: int | None = 20,  # noqa: N803
        filter: JSONObject | None = None,  # noqa: A002
        order: JSONObject | None = None,
    ) -> object:
        every = [(job, one) for one in job.executions.values() if one.listed]
        return _page(_chosen(every, filter, order), pageNumber, pageSize)["content"]

    return [
        {
            "id": job.name,
            "enabled": live.enabled,
            "status": None,
            "jobVersion": live.job_version,
            "vdkVersion": live.vdk_version,
            "jobPythonVersion": live.python_version,
            "mode": live.mode,
            "schedule": {"scheduleCron": None},
            "lastDeployedDate": stamp(live.deployed_at, 9),
            "lastDeployedBy": live.deployed_by,
            "lastExecutionStatus": last.body.status.upper() if last else None,
            "lastExecutionTime": last.body.end_time if last else None,
            "lastExecutionDuration": _duration_s(last),
            "successfulExecutions": statuses.count("succeeded"),
            "failedExecutions": statuses.count("user_error") + statuses.count("platform_error"),
            "executions": executions,
        }
    ]


def _execution(execution: Execution) -> JSONObject:
    body = execution.body
    ran = body.deployment
    return {
        "id": body.id,
        "type": body.type.upper(),
        "jobName": body.job_name,
        "status": body.status.upper(),
        "startTime": body.start_time,
        "endTime": body.end_time,
        "startedBy": body.started_by,
        "message": body.message,
        "opId": body.op_id,
        "logsUrl": body.logs_url,
        "deployment": {
            "id": ran.id,
            "enabled": ran.enabled,
            "jobVersion": ran.job_version,
            "vdkVersion": ran.vdk_version,
            "jobPythonVersion": ran.python_version,
            "mode": ran.mode,
            "lastDeployedDate": ran.deployed_date,
            "lastDeployedBy": ran.deployed_by,
        },
    }


def _chosen(
    executions: list[tuple[Job, Execution]],
    filter: JSONObject | None,  # noqa: A002
    order: JSONObject | None,
) -> list[JSONObject]:
    """The executions that a filter leaves, in the order asked for, as GraphQL shows them."""
    wanted: JSONObject = filter or {}

    def fits(job: Job, execution: Execution) -> bool:
        body = execution.body
        start, end = body.start_time, body.end_time or ""
        return all(
            (
                not wanted.get("jobNameIn") or job.name in wanted["jobNameIn"],
                not wanted.get("teamNameIn") or job.team in wanted["teamNameIn"],
                not wanted.get("statusIn") or body.status.upper() in wanted["statusIn"],
                start >= (wanted.get("startTimeGte") or ""),
                start <= (wanted.get("startTimeLte") or "~"),
                not wanted.get("endTimeGte") or end >= wanted["endTimeGte"],
                not wanted.get("endTimeLte") or (end and end <= wanted["endTimeLte"]),
            )
        )

    found = [_execution(one) for job, one in executions if fits(job, one)]
    if order and order.get("property"):
        name = order["property"]
        if found and name not in found[0]:
            raise QueryError(f"An order by {name} is not supported")
        found.sort(key=lambda one: _sortable(one[name]), reverse=order.get("direction") == "DESC")
    return found


def _page(rows: list[JSONObject], number: int | None, size: int | None) -> JSONObject:
    if number is None or number < 1:
        raise QueryError("Page cannot be less than 1")
    if size is None or size < 1:
        raise QueryError("Page size cannot be less than 1")
    return {
        "content": rows[(number - 1) * size : number * size],
        "totalItems": len(rows),
        "totalPages": -(-len(rows) // size),
    }


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
        lambda job: one.body.status if (one := _last(job)) else None, _same
    ),
    "deployments.lastExecutionTime": Property(
        lambda job: one.body.end_time if (one := _last(job)) else None
    ),
    "deployments.lastExecutionDuration": Property(lambda job: _duration_s(_last(job)), _same),
}


def _last(job: Job) -> Execution | None:
    """The execution that ended last."""
    ended = [one for one in job.executions.values() if one.body.end_time]
    return max(ended, key=lambda one: one.body.end_time or "", default=None)


def _duration_s(execution: Execution | None) -> int | None:
    if execution is None or execution.ended_at is None:
        return None
    return round((execution.ended_at - execution.started_at).total_seconds())


def _sortable(value: object) -> tuple[bool, Any]:
    """A sort key that takes None: it comes last."""
    return value is None, value if isinstance(value, int) else str(value)


def _selected(info: GraphQLResolveInfo[None]) -> frozenset[str]:
    """The names of all fields that the query selects below `jobs`."""
    names: set[str] = set()

    def collect(nodes: Iterable[Any]) -> None:
        for node in nodes:
            chosen = node.selection_set.selections if getattr(node, "selection_set", None) else ()
            names.update(one.name.value for one in chosen if hasattr(one, "name"))
            collect(chosen)

    collect(info.field_nodes)
    return frozenset(names)


def _found(job: Job, text: str, asked: frozenset[str]) -> bool:
    """Whether a field that the query selects contains `text`."""
    values: Mapping[str, str | None] = {
        "jobName": job.name,
        "team": job.team,
        "description": job.description,
        "scheduleCron": job.cron,
    }
    return any(text in (value or "").lower() for name, value in values.items() if name in asked)


def _locations(error: Any) -> list[JSONObject]:
    return [
        {"line": one.line, "column": one.column, "sourceName": None}
        for one in error.locations or []
    ]


def _syntax_error(error: Any, query: str) -> JSONObject:
    return {
        "message": f"Invalid Syntax : {error.message}",
        "sourcePreview": f"{query}\n",
        "offendingToken": "<EOF>",
        "locations": _locations(error),
        "errorType": "InvalidSyntax",
        "path": None,
        "extensions": None,
    }


def _error(error: Any) -> JSONObject:
    if error.path is None:
        fields = re.findall(r"'(\w+)'", error.message)
        return {
            "message": f"Validation error of type FieldUndefined: {error.message}",
            "locations": _locations(error),
            "description": error.message,
            "validationErrorType": "FieldUndefined",
            "queryPath": fields[:1],
            "extensions": None,
            "errorType": "ValidationError",
            "path": None,
        }
    exception: JSONObject = {
        "cause": None,
        "stackTrace": [],
        "message": error.message,
        "suppressed": [],
        "localizedMessage": error.message,
    }
    if error.message.startswith("A filter"):
        exception |= {
            "path": None,
            "locations": None,
            "extensions": None,
            "errorType": "DataFetchingException",
        }
    return {
        "message": f"Exception while fetching data (/{error.path[0]}) : {error.message}",
        "path": list(error.path),
        "exception": exception,
        "locations": _locations(error),
        "extensions": None,
        "errorType": "DataFetchingException",
    }
