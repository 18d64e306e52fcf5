from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from pytest_vdkprobe.control.auth import BearerToken
from pytest_vdkprobe.control.errors import NotAControlService, ServiceFailure
from pytest_vdkprobe.control.models import (
    DataJob,
    DataJobConfig,
    DataJobDeployment,
    DataJobSchedule,
    ExecutionStatus,
    OauthCredentials,
)
from pytest_vdkprobe.errors import PlatformFailure, ProbeError
from pytest_vdkprobe.secrets import Secret
from pytest_vdkprobe.waiting import Deadline
from tests.unit.control.conftest import MakeClient
from tests.unit.control.fake import EXPLAINED, Asked, Fake, Line, Reply, Script, info, steps

Serve = Callable[[Script], Fake]
JOBS = "/data-jobs/for-team/blue/jobs"
JOB = f"{JOBS}/probe-job"
NOT_FOUND = Reply(404)
JOB_DOCUMENT = {
    "job_name": "probe-job",
    "description": "ours",
    "config": {
        "db_default_type": None,
        "contacts": {"notified_on_job_deploy": ["a@example.org"]},
        "schedule": {"schedule_cron": None},
        "generate_keytab": True,
        "enable_execution_notifications": True,
        "notification_delay_period_minutes": 240,
    },
    "team": "blue",
    "new_in_some_version": [1],
}
EXECUTION = {
    "id": "probe-job-1795325187",
    "job_name": "probe-job",
    "status": "running",
    "type": "manual",
    "start_time": "2026-11-22T05:26:27.501135Z",
    "end_time": None,
    "started_by": "manual/lab/null",
    "logs_url": "",
    "message": "Running",
    "op_id": "7f3a90c2-09-1",
    "deployment": {"vdk_version": None, "job_version": "e46a", "enabled": True, "mode": "release"},
}
LIVE = {"job_version": "e46a", "python_version": "3.11", "enabled": True, "id": None}


class Router:
    """Answers by method and path; a list is answered one after the other, the last one stays."""

    def __init__(self, **routes: Any) -> None:
        self.routes: dict[tuple[str, str], list[Any]] = {}
        self.on("GET", "/data-jobs/for-team/blue/info", info())

    def on(self, method: str, path: str, *replies: Any) -> Router:
        self.routes[method, path] = list(replies)
        return self

    def __call__(self, asked: Asked, line: Line) -> Reply | None:
        replies = self.routes.get((asked.method, urlsplit(asked.path).path), [Reply(599)])
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if callable(reply):
            answered: Reply | None = reply(asked, line)
            return answered
        assert isinstance(reply, Reply)
        return reply


def reset(asked: Asked, line: Line) -> None:
    line.reset()


def calls(fake: Fake, method: str) -> list[Asked]:
    return [asked for asked in fake.asked if asked.method == method]


# Jobs


def test_a_job_is_created_with_what_was_given_and_nothing_else(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(Router().on("POST", JOBS, Reply(201, headers={"Location": JOB})))
    client = connect(fake)
    client.op_id = "7f3a90c2-03"
    config = DataJobConfig(schedule=DataJobSchedule(schedule_cron="0 3 * * *"))
    client.create_job(DataJob(job_name="probe-job", team="blue", description="d", config=config))
    (post,) = calls(fake, "POST")
    assert parse_qs(urlsplit(post.path).query) == {"name": ["probe-job"]}
    assert json.loads(post.body) == {
        "job_name": "probe-job",
        "team": "blue",
        "description": "d",
        "config": {"schedule": {"schedule_cron": "0 3 * * *"}},
    }
    assert post.headers["x-opid"] == "7f3a90c2-03"
    assert post.headers["content-type"] == "application/json"


def test_a_job_reads_back_with_nulls_and_unknown_fields(serve: Serve, connect: MakeClient) -> None:
    job = connect(serve(Router().on("GET", JOB, Reply(body=JOB_DOCUMENT)))).read_job("probe-job")
    assert job is not None
    assert job.config is not None
    assert job.config.notification_delay_period_minutes == 240
    assert job.to_dict()["config"]["contacts"] == {"notified_on_job_deploy": ["a@example.org"]}


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("read_job", (), None),
        ("delete_job", (), False),
        ("keytab", (), None),
        ("deployments", (), None),
        ("undeploy", (), False),
        ("download_sources", (), None),
        ("execution", ("probe-job-1",), None),
        ("executions", (), []),
        ("change_team", ("green",), False),
    ],
)
def test_404_is_an_answer_and_no_failure(
    serve: Serve, connect: MakeClient, method: str, arguments: tuple[str, ...], expected: object
) -> None:
    def script(asked: Asked, line: Line) -> Reply:
        return info() if asked.path.endswith("/info") else NOT_FOUND

    client = connect(serve(script))
    assert getattr(client, method)("probe-job", *arguments) == expected


@pytest.mark.parametrize(
    "page",
    [
        Reply(404, b"<html>nginx</html>", {"Content-Type": "text/html"}),
        Reply(404, {"timestamp": "2026", "status": 404, "error": "Not Found", "path": "/x"}),
        Reply(404, {"detail": "Not Found"}),
    ],
)
def test_somebody_elses_404_does_not_mean_that_a_job_is_gone(
    serve: Serve, connect: MakeClient, page: Reply
) -> None:
    with pytest.raises(NotAControlService, match="404 Not Found"):
        connect(serve(steps(page))).read_job("probe-job")
    fake = serve(steps(info, page))
    client = connect(fake)
    client.info()
    with pytest.raises(ServiceFailure, match="404 Not Found"):
        client.read_job("probe-job")


def test_an_empty_404_is_believed_only_of_a_control_service(
    serve: Serve, connect: MakeClient
) -> None:
    with pytest.raises(NotAControlService):
        connect(serve(steps(NOT_FOUND))).read_job("probe-job")


def test_a_taken_name_is_told_by_its_status(serve: Serve, connect: MakeClient) -> None:
    client = connect(serve(Router().on("POST", JOBS, Reply(409))))
    with pytest.raises(ServiceFailure) as failure:
        client.create_job(DataJob(job_name="probe-job", description="d"))
    assert failure.value.status == 409
    assert not failure.value.ambiguous


def test_names_are_encoded_and_never_leave_their_place(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(Reply(body=JOB_DOCUMENT)))
    connect(fake, team="my team").read_job("a/b?c#d")
    assert fake.asked[0].path == "/data-jobs/for-team/my%20team/jobs/a%2Fb%3Fc%23d"
    for name in ("", " ", ".", ".."):
        with pytest.raises(ProbeError, match="can't be the name"):
            connect(fake).delete_job(name)


def test_another_team_speaks_through_the_same_client(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(Reply(body=JOB_DOCUMENT)))
    client = connect(fake)
    green = client.for_team("green")
    green.deadline, client.op_id = Deadline.after(5), "7f3a90c2-77"
    green.read_job("probe-job")
    assert fake.asked[0].path == "/data-jobs/for-team/green/jobs/probe-job"
    assert fake.asked[0].headers["x-opid"] == "7f3a90c2-77"
    assert client.deadline is green.deadline
    assert client.counts.calls == 1
    assert client.for_team("blue") is client


# Doubtful commands: read back, then repeat only what had no effect


DOUBTFUL = [Reply(503), Reply(502), Reply(504), reset]


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_a_create_that_had_its_effect_is_not_repeated(
    serve: Serve, connect: MakeClient, doubt: Any
) -> None:
    fake = serve(Router().on("POST", JOBS, doubt).on("GET", JOB, Reply(body=JOB_DOCUMENT)))
    client = connect(fake)
    client.info()
    client.create_job(DataJob(job_name="probe-job", description="ours"))
    assert len(calls(fake, "POST")) == 1


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_a_create_without_effect_is_repeated_and_counted(
    serve: Serve, connect: MakeClient, doubt: Any
) -> None:
    fake = serve(Router().on("POST", JOBS, doubt, Reply(201)).on("GET", JOB, NOT_FOUND))
    client = connect(fake)
    client.info()
    client.create_job(DataJob(job_name="probe-job", description="ours"))
    assert len(calls(fake, "POST")) == 2
    assert client.counts.repeats == 1
    assert [each.status for each in client.exchanges if each.method == "POST"][-1] == 201


def test_a_strangers_job_is_not_taken_for_the_doubtful_one(
    serve: Serve, connect: MakeClient
) -> None:
    stranger = {**JOB_DOCUMENT, "description": "a stranger's"}
    fake = serve(
        Router().on("POST", JOBS, Reply(503), Reply(409)).on("GET", JOB, Reply(body=stranger))
    )
    with pytest.raises(ServiceFailure) as failure:
        connect(fake).create_job(DataJob(job_name="probe-job", description="ours"))
    assert failure.value.status == 409


def test_an_effect_that_came_late_is_seen_when_the_repeat_is_refused(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(
        Router()
        .on("POST", JOBS, Reply(503), Reply(409))
        .on("GET", JOB, NOT_FOUND, Reply(body=JOB_DOCUMENT))
    )
    connect(fake).create_job(DataJob(job_name="probe-job", description="ours"))
    assert len(calls(fake, "POST")) == 2


def test_repeating_a_doubtful_command_is_bounded(serve: Serve, connect: MakeClient) -> None:
    fake = serve(Router().on("POST", JOBS, Reply(503, EXPLAINED)).on("GET", JOB, NOT_FOUND))
    client = connect(fake, retries=2)
    with pytest.raises(ServiceFailure, match="503 Service Unavailable") as failure:
        client.create_job(DataJob(job_name="probe-job", description="ours"))
    assert failure.value.ambiguous
    assert len(calls(fake, "POST")) == 3
    assert "It broke. A cause. None." in str(failure.value)
    assert failure.value.to_try == "Wait."


def test_the_first_cause_stays_when_reading_back_fails_too(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(Router().on("POST", JOBS, Reply(503)).on("GET", JOB, Reply(500)))
    with pytest.raises(ServiceFailure, match=r"POST .* answered 503") as failure:
        connect(fake).create_job(DataJob(job_name="probe-job", description="ours"))
    assert isinstance(failure.value.__cause__, ServiceFailure)
    assert failure.value.__cause__.status == 500


def test_a_command_that_a_login_page_answers_is_not_done(serve: Serve, connect: MakeClient) -> None:
    page = Reply(200, b"\n<!DOCTYPE html><title>Sign in</title>", {"Content-Type": "text/html"})
    client = connect(
        serve(lambda asked, line: info(asked, line) if "/info" in asked.path else page)
    )
    client.info()
    for call in (
        lambda: client.put_properties("probe-job", {}),
        lambda: client.undeploy("probe-job"),
        lambda: client.keytab("probe-job"),
    ):
        with pytest.raises(ServiceFailure, match="something else than was asked for"):
            call()


def test_a_bug_of_the_service_is_no_doubt_and_is_not_repeated(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(Router().on("POST", JOBS, Reply(500)))
    with pytest.raises(ServiceFailure) as failure:
        connect(fake).create_job(DataJob(job_name="probe-job", description="ours"))
    assert not failure.value.ambiguous
    assert len(calls(fake, "POST")) == 1


def test_a_doubtful_upload_is_repeated_since_content_is_its_version(
    serve: Serve, connect: MakeClient
) -> None:
    version = Reply(body={"version_sha": "b258"})
    fake = serve(Router().on("POST", f"{JOB}/sources", Reply(503), version))
    client = connect(fake)
    assert client.upload_sources("probe-job", b"PK\x03\x04", reason="run 1 & 2") == "b258"
    post = calls(fake, "POST")[1]
    assert post.body == b"PK\x03\x04"
    assert post.headers["content-type"] == "application/octet-stream"
    assert parse_qs(urlsplit(post.path).query) == {"reason": ["run 1 & 2"]}


STARTED = Reply(202, headers={"Location": f"http://x{JOB}/executions/probe-job-1795325187"})
START = f"{JOB}/deployments/production/executions"


def start(client: Any) -> str:
    execution_id: str = client.start_execution(
        "probe-job", args={"k": "v"}, started_by="manual/test", op_id="7f3a90c2-09-1"
    )
    return execution_id


def test_a_start_returns_the_id_from_its_location(serve: Serve, connect: MakeClient) -> None:
    fake = serve(Router().on("POST", START, STARTED))
    assert start(connect(fake)) == "probe-job-1795325187"
    (post,) = calls(fake, "POST")
    assert json.loads(post.body) == {"started_by": "manual/test", "args": {"k": "v"}}
    assert post.headers["x-opid"] == "7f3a90c2-09-1"


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_a_doubtful_start_is_found_by_its_op_id(
    serve: Serve, connect: MakeClient, doubt: Any
) -> None:
    others = {**EXECUTION, "id": "probe-job-1", "op_id": "another"}
    fake = serve(
        Router()
        .on("POST", START, doubt)
        .on("GET", f"{JOB}/executions", Reply(body=[others, EXECUTION]))
    )
    client = connect(fake)
    client.info()
    assert start(client) == "probe-job-1795325187"
    assert len(calls(fake, "POST")) == 1


def test_a_start_without_effect_is_repeated_under_the_same_op_id(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(
        Router()
        .on("POST", START, Reply(503), STARTED)
        .on("GET", f"{JOB}/executions", Reply(body=[]))
    )
    assert start(connect(fake)) == "probe-job-1795325187"
    assert {each.headers["x-opid"] for each in calls(fake, "POST")} == {"7f3a90c2-09-1"}


def test_a_start_without_an_op_id_of_its_own_does_not_find_an_older_execution(
    serve: Serve, connect: MakeClient
) -> None:
    older = {**EXECUTION, "id": "probe-job-older", "op_id": "7f3a90c2"}
    newer = {**EXECUTION, "op_id": "7f3a90c2"}
    fake = serve(
        Router()
        .on("POST", START, Reply(503))
        .on("GET", f"{JOB}/executions", Reply(body=[older]), Reply(body=[older, newer]))
    )
    found = connect(fake).start_execution("probe-job", args={}, started_by="manual/test")
    assert found == "probe-job-1795325187"


@pytest.mark.parametrize("location", [None, "", "/", "http://[x/executions/1", "a/\x1b"])
def test_a_start_that_names_no_execution_is_a_failure(
    serve: Serve, connect: MakeClient, location: str | None
) -> None:
    headers = {} if location is None else {"Location": location}
    client = connect(serve(Router().on("POST", START, Reply(202, headers=headers))))
    client.info()
    with pytest.raises(ServiceFailure, match="something else than was asked for"):
        start(client)


def test_a_doubtful_deploy_is_repeated_unless_a_newer_deployment_shows_it(
    serve: Serve, connect: MakeClient
) -> None:
    wanted = DataJobDeployment(job_version="e46a", enabled=True)
    path = f"{JOB}/deployments"
    old = Reply(body=[{**LIVE, "last_deployed_date": "2026-11-22T05:26:21.638294318Z"}])
    new = Reply(body=[{**LIVE, "last_deployed_date": "2026-11-22T05:26:25.429497103Z"}])

    same = serve(Router().on("POST", path, Reply(503), Reply(202)).on("GET", path, old))
    connect(same).deploy("probe-job", wanted)
    assert len(calls(same, "POST")) == 2

    done = serve(Router().on("POST", path, Reply(503)).on("GET", path, old, new))
    connect(done).deploy("probe-job", wanted)
    assert len(calls(done, "POST")) == 1


def test_a_doubtful_patch_is_repeated_unless_the_deployment_shows_it(
    serve: Serve, connect: MakeClient
) -> None:
    patch, read = f"{JOB}/deployments/production", f"{JOB}/deployments"
    live, disabled = Reply(body=[LIVE]), Reply(body=[{**LIVE, "enabled": False}])

    missed = serve(Router().on("PATCH", patch, Reply(503), Reply(202)).on("GET", read, live))
    connect(missed).patch_deployment("probe-job", enabled=False)
    assert [json.loads(each.body) for each in calls(missed, "PATCH")] == [{"enabled": False}] * 2

    done = serve(Router().on("PATCH", patch, Reply(503)).on("GET", read, disabled))
    connect(done).patch_deployment("probe-job", enabled=False)
    assert len(calls(done, "PATCH")) == 1


def test_a_delete_whose_answer_was_lost_is_a_delete(serve: Serve, connect: MakeClient) -> None:
    client = connect(serve(Router().on("DELETE", JOB, reset, NOT_FOUND)))
    client.info()
    assert client.delete_job("probe-job") is True
    assert client.delete_job("probe-job") is False


def test_a_cancel_whose_answer_was_lost_is_a_cancel(serve: Serve, connect: MakeClient) -> None:
    path = f"{JOB}/executions/probe-job-1795325187"
    cancelled = Reply(body={**EXECUTION, "status": "cancelled"})
    router = Router().on("DELETE", path, reset, Reply(400, EXPLAINED)).on("GET", path, cancelled)
    client = connect(serve(router))
    client.info()
    client.cancel_execution("probe-job", "probe-job-1795325187")
    with pytest.raises(ServiceFailure, match="400 Bad Request"):
        client.cancel_execution("probe-job", "probe-job-1795325187")


def test_a_doubtful_change_of_team_is_looked_up_where_it_leads(
    serve: Serve, connect: MakeClient
) -> None:
    there = "/data-jobs/for-team/green/jobs/probe-job"
    router = (
        Router().on("PUT", f"{JOB}/team/green", reset).on("GET", there, Reply(body=JOB_DOCUMENT))
    )
    client = connect(serve(router))
    client.info()
    assert client.change_team("probe-job", "green") is True


def test_a_wait_in_doubt_ends_at_the_deadline(serve: Serve, connect: MakeClient) -> None:
    fake = serve(Router().on("POST", JOBS, Reply(503)).on("GET", JOB, NOT_FOUND))
    client = connect(fake, retries=20, within_s=0.3)
    started = time.monotonic()
    with pytest.raises(PlatformFailure):
        client.create_job(DataJob(job_name="probe-job", description="ours"))
    assert time.monotonic() - started < 10


# Executions, logs, documents


def test_an_execution_is_read_with_its_types(serve: Serve, connect: MakeClient) -> None:
    path = f"{JOB}/executions/probe-job-1795325187"
    done = {**EXECUTION, "status": "user_error", "end_time": "2026-11-22T05:26:33Z"}
    found = connect(serve(Router().on("GET", path, Reply(body=done)))).execution(
        "probe-job", "probe-job-1795325187"
    )
    assert found is not None
    assert found.status is ExecutionStatus.USER_ERROR
    assert str(found.status) == "user_error"
    assert found.end_time is not None
    assert found.end_time.utcoffset() is not None


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"status": "exploded"}, r"\$\.status"),
        ({"end_time": "yesterday"}, r"\$\.end_time"),
        ({"start_time": "2026-11-22T05:26:27"}, r"\$\.start_time"),
        ({"deployment": {"enabled": "yes"}}, r"\$\.deployment\.enabled"),
        ({"op_id": 7}, r"\$\.op_id"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(
    serve: Serve, connect: MakeClient, change: dict[str, Any], where: str
) -> None:
    path = f"{JOB}/executions/probe-job-1"
    client = connect(serve(Router().on("GET", path, Reply(body={**EXECUTION, **change}))))
    client.info()
    with pytest.raises(ServiceFailure, match=where) as failure:
        client.execution("probe-job", "probe-job-1")
    assert failure.value.status == 200


def test_executions_are_asked_for_by_status(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(Reply(body=[EXECUTION])))
    client = connect(fake)
    assert len(client.executions("probe-job", statuses=("submitted", "running"))) == 1
    query = urlsplit(fake.asked[0].path).query
    assert query == "execution_status=submitted&execution_status=running"
    client.executions("probe-job", deployment_id="release")
    assert fake.asked[1].path == f"{JOB}/deployments/release/executions"


def test_a_log_without_a_pod_is_empty(serve: Serve, connect: MakeClient) -> None:
    path = f"{JOB}/executions/probe-job-1/logs"
    router = Router().on(
        "GET", path, Reply(body={"logs": "snow \u2603"}), Reply(body={"logs": None})
    )
    client = connect(serve(router))
    assert client.logs("probe-job", "probe-job-1") == "snow \u2603"
    assert client.logs("probe-job", "probe-job-1", tail_lines=3) == ""


def test_properties_are_whole_documents(serve: Serve, connect: MakeClient) -> None:
    path = f"{JOB}/deployments/TODO/properties"
    document = {"a": 1, "b": {"c": [1, 2.5, None, True]}, "quote": '"\\'}
    router = Router().on("PUT", path, Reply(204)).on("GET", path, Reply(body=document))
    fake = serve(router)
    client = connect(fake)
    client.put_properties("probe-job", document)
    assert json.loads(fake.asked[0].body) == document
    assert client.properties("probe-job") == document


def test_secrets_leave_no_trace_in_the_exchanges(serve: Serve, connect: MakeClient) -> None:
    path = f"{JOB}/deployments/TODO/secrets"
    document = {"password": "canary-stored"}
    router = Router().on("PUT", path, Reply(202)).on("GET", path, Reply(body=document), Reply(400))
    client = connect(serve(router))
    client.put_secrets("probe-job", document)
    assert client.secrets("probe-job") == document
    assert "canary" not in repr(client.exchanges)


def test_a_platform_without_a_secrets_store_says_so(serve: Serve, connect: MakeClient) -> None:
    path = f"{JOB}/deployments/TODO/secrets"
    client = connect(serve(Router().on("GET", path, Reply(501, EXPLAINED))))
    with pytest.raises(ServiceFailure, match="501 Not Implemented") as failure:
        client.secrets("probe-job")
    assert failure.value.status == 501
    assert "It broke." in str(failure.value)


def test_keytab_bytes_are_returned_and_not_kept(serve: Serve, connect: MakeClient) -> None:
    router = Router().on("GET", f"{JOB}/keytab", Reply(body=b"\x05\x02canary"), Reply(body=b""))
    client = connect(serve(router))
    assert client.keytab("probe-job") == b"\x05\x02canary"
    assert client.keytab("probe-job") == b""
    assert "canary" not in repr(client.exchanges)


def test_oauth_clients_are_managed(serve: Serve, connect: MakeClient) -> None:
    path = "/data-jobs/teams/blue/oauth-credentials"
    stored = {"teamName": "blue", "clientId": "id-1", "clientSecret": "canary-oauth"}
    owner = {"teamName": "blue", "clientId": "id-1"}
    router = (
        Router()
        .on("PUT", path, Reply(202))
        .on("GET", path, Reply(body=stored))
        .on("GET", f"{path}/client-id", Reply(body=owner))
        .on("POST", "/data-jobs/oauth-credentials/client-ids", Reply(body=[owner]))
    )
    fake = serve(router)
    client = connect(fake)
    client.put_oauth_credentials(OauthCredentials("id-1", "canary-oauth"))
    assert json.loads(fake.asked[0].body) == {"clientId": "id-1", "clientSecret": "canary-oauth"}
    found = client.oauth_credentials()
    assert found is not None
    assert (found.client_id, found.team_name) == ("id-1", "blue")
    owned = client.oauth_client_id()
    assert owned is not None
    assert client.teams_of_clients(["id-1"]) == [owned]
    assert "canary" not in repr(client.exchanges)


def test_health_and_metrics_are_read(serve: Serve, connect: MakeClient) -> None:
    router = (
        Router()
        .on("GET", "/data-jobs/debug/health", Reply(body={"status": "UP"}))
        .on("GET", "/data-jobs/debug/prometheus", Reply(body=b"taurus_datajob_info 1.0\n"))
    )
    client = connect(serve(router))
    assert client.health() == {"status": "UP"}
    assert client.prometheus() == "taurus_datajob_info 1.0\n"


def test_the_frontend_is_a_page_and_gets_no_login(serve: Serve, connect: MakeClient) -> None:
    page = Reply(body=b"<!doctype html>\n<html>jobs</html>")
    front = serve(steps(page, Reply(body={"not": "a page"}), Reply(404)))
    client = connect(front, frontend_url=f"{front.url}/ui", auth=BearerToken(Secret("t" * 9, "t")))
    assert "jobs" in (client.frontend() or "")
    assert front.asked[0].path == "/ui"
    assert "authorization" not in front.asked[0].headers
    for _ in range(2):
        with pytest.raises(ServiceFailure, match="does not show a page"):
            client.frontend()
    assert connect(front).frontend() is None


# The list


def page(*names: str, **more: Any) -> Reply:
    rows = [
        {"jobName": name, "config": {"team": "blue"}, "deployments": None, **more} for name in names
    ]
    return Reply(body={"errors": [], "data": {"content": rows, "totalItems": 0, "totalPages": 0}})


def test_the_list_is_read_page_by_page(serve: Serve, connect: MakeClient) -> None:
    first = page(*(f"job-{number:03}" for number in range(100)))
    fake = serve(steps(first, page("job-100")))
    rows = list(connect(fake).list_jobs('bl"ue'))
    assert [rows[0].job_name, rows[-1].job_name, len(rows)] == ["job-000", "job-100", 101]
    query = parse_qs(urlsplit(fake.asked[1].path).query)["query"][0]
    assert "pageNumber: 2, pageSize: 100" in query
    assert '{ property: "config.team", pattern: "bl\\"ue", sort: ASC }' in query


def test_all_teams_or_one_name_can_be_listed(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(page()))
    assert list(connect(fake).list_jobs(name="probe-job")) == []
    query = unquote(fake.asked[0].path)
    assert '{ property: "config.team", sort: ASC }' in query
    assert '{ property: "jobName", pattern: "probe-job", sort: ASC }' in query


def test_a_list_that_gives_the_same_page_for_ever_ends(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(page(*(f"job-{number}" for number in range(100)))))
    with pytest.raises(ServiceFailure, match="does not end"):
        list(connect(fake).list_jobs("blue"))
    assert len(fake.asked) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Reply(body={"errors": [], "data": {"content": None}}), r"\$\.data\.content"),
        (Reply(body={"data": {"jobs": {"content": []}}}), "content"),
        (Reply(body={"errors": [{"message": "oops"}], "data": {"content": []}}), "oops"),
        (Reply(400, {"errors": [{"message": "no such field"}], "data": None}), "no such field"),
        (page("x", config={"team": 7}), r"\$\.config\.team"),
    ],
)
def test_a_list_that_is_not_as_the_api_says_is_named(
    serve: Serve, connect: MakeClient, answer: Reply, said: str
) -> None:
    client = connect(serve(steps(info, answer)))
    client.info()
    with pytest.raises(ServiceFailure) as failure:
        list(client.list_jobs("blue"))
    assert said.replace("\\", "") in str(failure.value)


def test_variables_of_a_query_are_sent_as_json(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(page("a-job")))
    found = connect(fake).jobs_query("query Q($n: Int) { jobs }", {"n": 1}, operation_name="Q")
    query = parse_qs(urlsplit(fake.asked[0].path).query)
    assert (query["variables"], query["operation_name"]) == (['{"n": 1}'], ["Q"])
    assert found.content[0]["jobName"] == "a-job"


# Counting


def test_a_mark_starts_counting_anew(serve: Serve, connect: MakeClient) -> None:
    client = connect(serve(steps(info)))
    client.info()
    client.mark()
    assert (client.counts.calls, client.exchanges) == (0, [])
    client.info()
    (exchange,) = client.exchanges
    assert (exchange.method, exchange.status, exchange.op_id) == ("GET", 200, "7f3a90c2")
    assert exchange.elapsed_s > 0
