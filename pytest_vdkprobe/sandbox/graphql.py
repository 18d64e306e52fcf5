"""The job list: a GraphQL query in a URL, answered in a shape of the service's own.

The real service filters by `filter` alone (the team in the path means nothing), writes enums in
upper case, leaves totals at 0 unless they are asked for, and hands out the page itself instead of
`data.jobs`. Errors are 400 with the words of its Java library's structures.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.sandbox import wire
from pytest_vdkprobe.sandbox.executor import JSONObject
from pytest_vdkprobe.sandbox.faults import Faults
from pytest_vdkprobe.sandbox.job_filters import (
    PROPERTIES,
    duration_s,
    found_in,
    last_ended,
    sortable,
)
from pytest_vdkprobe.sandbox.query_errors import (
    FilterError,
    QueryError,
    query_error,
    syntax_error,
)
from pytest_vdkprobe.sandbox.schedule import next_run_epoch_s
from pytest_vdkprobe.sandbox.state import Deployment, Execution, Job, State, now, stamp

if TYPE_CHECKING:
    from graphql import DocumentNode, GraphQLResolveInfo, GraphQLSchema

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


@lru_cache(maxsize=1)
def _schema() -> GraphQLSchema:
    from graphql import build_schema  # noqa: PLC0415 - graphql-core takes 100 ms to import

    return build_schema(SCHEMA)


@lru_cache(maxsize=64)
def _document(query: str) -> tuple[DocumentNode | None, tuple[JSONObject, ...]]:
    """The query parsed and checked, or its errors; clients send few queries, again and again."""
    from graphql import GraphQLSyntaxError, parse, validate  # noqa: PLC0415 - see above

    try:
        document = parse(query)
    except GraphQLSyntaxError as exc:
        return None, (syntax_error(exc, query),)
    errors = validate(_schema(), document)
    return (None if errors else document), tuple(query_error(error) for error in errors)


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
        from graphql import execute_sync  # noqa: PLC0415 - takes 100 ms, see `load`

        document, errors = _document(query or DEFAULT_QUERY)
        if document is None:
            return 400, wire.GraphQLAnswer(errors=list(errors), data=None)
        with self._state.lock:
            result = execute_sync(
                _schema(),
                document,
                root_value={"jobs": self._jobs, "executions": self._executions},
                variable_values=variables,
                operation_name=operation,
            )
        if result.errors:
            errors = tuple(query_error(error) for error in result.errors)
            return 400, wire.GraphQLAnswer(errors=list(errors), data=None)
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
                raise FilterError(f"A filter by {prop} is not valid or not supported")
            if pattern is not None:
                jobs = [job for job in jobs if PROPERTIES[prop].matches(job, pattern)]
        for predicate in [one for one in predicates if one.get("sort")][-1:]:
            key = PROPERTIES[predicate["property"]].key
            jobs.sort(key=lambda job: sortable(key(job)), reverse=predicate["sort"] == "DESC")
        if search:
            asked = _selected(info)
            jobs = [job for job in jobs if found_in(job, search.lower(), asked)]
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
    last = last_ended(job)
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
            "lastExecutionDuration": duration_s(last),
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
        found.sort(key=lambda one: sortable(one[name]), reverse=order.get("direction") == "DESC")
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
