"""Drives every operation of the generated API client against a sandbox; prints what it called.

Not a test itself: it runs in the environment of the official clients, whose pydantic is older than
what the tests may use. The client checks each answer against the API's types and raises if one does
not fit; that is the point. Standard output is JSON: the operations called, and those left out.
"""

from __future__ import annotations

import inspect
import io
import json
import sys
import time
import zipfile
from typing import Any

import taurus_datajob_api as api  # type: ignore[import-not-found,unused-ignore]
from taurus_datajob_api.exceptions import (  # type: ignore[import-not-found,unused-ignore]
    ApiException,
)

TEAM, JOB = "a-team", "generated-job"
HERE: dict[str, Any] = {"team_name": TEAM, "job_name": JOB}
STEP = """
def run(job_input):
    print("ran with", job_input.get_arguments())
    hang = job_input.get_arguments().get("hang")
    if hang:
        import time
        time.sleep(600)
"""
CLASSES = (
    api.DataJobsApi,
    api.DataJobsDeploymentApi,
    api.DataJobsExecutionApi,
    api.DataJobsPropertiesApi,
    api.DataJobsSecretsApi,
    api.DataJobsServiceApi,
    api.DataJobsSourcesApi,
)
LIMIT_S = 30.0
called: set[str] = set()


def main() -> None:
    """Play a job's life through the client."""
    service = Service(sys.argv[1])
    read_service(service)
    create(service)
    properties_and_secrets(service)
    version = upload(service)
    deploy(service, version)
    run(service)
    take_down(service)
    everything = {name for made in service.apis for name in operations(made)}
    print(json.dumps({"called": sorted(called), "left_out": sorted(everything - called)}))


class Service:
    """The client's seven classes as one, keeping account of what was called."""

    def __init__(self, url: str) -> None:
        client = api.ApiClient(api.Configuration(host=url))
        self.apis = [made(client) for made in CLASSES]

    def __call__(self, operation: str, *, refused: int | None = None, **arguments: Any) -> Any:
        """Call an operation; with `refused`, demand that status instead of an answer."""
        [owner] = [made for made in self.apis if operation in operations(made)]
        called.add(operation)
        try:
            answer = getattr(owner, operation)(**arguments)
        except ApiException as exc:
            if exc.status != refused:
                raise
            return None
        if refused:
            raise AssertionError(f"{operation} answered, and {refused} was expected")
        return answer

    def until(self, operation: str, done: Any, **arguments: Any) -> Any:
        """Call it until the answer satisfies `done`."""
        deadline = time.monotonic() + LIMIT_S
        while not done(answer := self(operation, **arguments)):
            if time.monotonic() > deadline:
                raise AssertionError(f"{operation} still answers {answer}")
            time.sleep(0.02)
        return answer


def operations(made: Any) -> set[str]:
    """The operations of one class, without their variants."""
    methods = inspect.getmembers(made, inspect.ismethod)
    names = {name for name, _ in methods if not name.startswith("_")}
    return {name for name in names if not name.endswith("_with_http_info")}


def read_service(service: Service) -> None:
    """Version and pythons."""
    info = service("info", team_name=TEAM)
    require(info.api_version and "3.11" in info.supported_python_versions, info)


def create(service: Service) -> None:
    """A job: created, read, updated, listed, moved to another team and back."""
    config = api.DataJobConfig(schedule=api.DataJobSchedule(schedule_cron="0 5 * * *"))
    job = api.DataJob(job_name=JOB, description="first", config=config, team=TEAM)
    service("data_job_create", team_name=TEAM, data_job=job, name=JOB)
    service("data_job_create", refused=409, team_name=TEAM, data_job=job, name=JOB)
    require(service("data_job_read", **HERE).description == "first", "description")
    service("data_job_read", refused=404, team_name=TEAM, job_name="no-such-job")
    job.description = "second"
    service("data_job_update", **HERE, data_job=job)
    require(service("data_job_read", **HERE).description == "second", "description")
    require(service("data_job_keytab_download", **HERE) is not None, "keytab")
    query = "{ jobs(pageNumber: 1, pageSize: 100) { content { jobName } totalItems } }"
    page = service("jobs_query", team_name=TEAM, query=query)
    require(page.data.content == [{"jobName": JOB}] and page.data.total_items == 1, page)
    service("data_job_team_update", **HERE, new_team="b-team")
    service("data_job_team_update", team_name="b-team", job_name=JOB, new_team=TEAM)


def properties_and_secrets(service: Service) -> None:
    """Documents of any JSON; credentials need a vault's other half, which is refused."""
    document = {"text": "a", "number": 1, "list": [1, None], "nested": {"yes": True}}
    for kind in ("properties", "secrets"):
        here = {**HERE, "deployment_id": "TODO"}
        service(f"data_job_{kind}_update", **here, request_body=document)
        require(service(f"data_job_{kind}_read", **here) == document, kind)
    credentials = api.OauthCredentials(client_id="id", client_secret="secret")
    service("oauth_credentials_put", refused=501, team_name=TEAM, oauth_credentials=credentials)
    service("oauth_credentials_get", refused=501, team_name=TEAM)
    service("client_id_get", refused=501, team_name=TEAM)
    service("get_team_ids_for_client_ids", refused=501, request_body=["id"])


def upload(service: Service) -> str:
    """Sources; the same content has the same version, and comes back."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{JOB}/10_step.py", STEP)
    data = buffer.getvalue()
    first = service("sources_upload", **HERE, body=data, reason="test").version_sha
    require(service("sources_upload", **HERE, body=data).version_sha == first, first)
    with zipfile.ZipFile(io.BytesIO(service("data_job_sources_download", **HERE))) as archive:
        require(archive.read(f"{JOB}/10_step.py").decode() == STEP, archive.namelist())
    return str(first)


def deploy(service: Service, version: str) -> None:
    """Deployed, read, disabled and enabled."""
    here = {**HERE, "deployment_id": "production"}
    wanted = api.DataJobDeployment(job_version=version)
    service("deployment_update", **HERE, data_job_deployment=wanted, send_notification=False)
    service.until("deployment_list", bool, **HERE)
    for enabled in (False, True):
        change = api.DataJobDeployment(enabled=enabled)
        service("deployment_patch", **here, data_job_deployment=change)
        service.until("deployment_read", lambda live, on=enabled: live.enabled is on, **here)
    require(service("deployment_read", **here).job_version == version, version)


def run(service: Service) -> None:
    """Started, followed, read; started again, refused while it runs, cancelled."""
    here = {**HERE, "deployment_id": "production"}
    request = api.DataJobExecutionRequest(started_by="test", args={"n": 7})
    service("data_job_execution_start", **here, data_job_execution_request=request)
    [first] = service("data_job_execution_list", **HERE)
    ended = service.until(
        "data_job_execution_read",
        lambda seen: seen.status == "succeeded",
        **HERE,
        execution_id=first.id,
    )
    require(ended.type == "manual" and ended.end_time is not None, ended)
    logs = service("data_job_logs_download", **HERE, execution_id=first.id).logs
    require("ran with {'n': 7}" in logs, logs)
    time.sleep(1.05)  # an execution's id is its second: a new start would take the first one's row
    hanging = api.DataJobExecutionRequest(started_by="test", args={"hang": True})
    service("data_job_execution_start", **here, data_job_execution_request=hanging)
    listing = "data_job_deployment_execution_list"
    [second] = service.until(
        listing, lambda rows: len(rows) == 1, **here, execution_status=["running"]
    )
    service("data_job_execution_start", refused=409, **here, data_job_execution_request=request)
    service("data_job_execution_cancel", **HERE, execution_id=second.id)
    service.until(
        "data_job_execution_read",
        lambda seen: seen.status == "cancelled",
        **HERE,
        execution_id=second.id,
    )


def take_down(service: Service) -> None:
    """Undeployed, its sources removed, deleted, gone."""
    service("deployment_delete", **HERE, deployment_id="production")
    service.until("deployment_list", lambda rows: not rows, **HERE)
    service("sources_delete", **HERE, reason="test")
    service("data_job_delete", **HERE)
    service("data_job_delete", refused=404, **HERE)


def require(truth: object, seen: object) -> None:
    """An assertion that also holds under -O."""
    if not truth:
        raise AssertionError(f"not as expected: {seen}")


if __name__ == "__main__":
    main()
