"""The client against the sandbox's Control Service: each operation, and each way of failing."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from pytest_vdkprobe.control.auth import ClientCredentials, make_auth
from pytest_vdkprobe.control.client import ControlClient
from pytest_vdkprobe.control.errors import ServiceFailure
from pytest_vdkprobe.control.models import (
    DataJob,
    DataJobConfig,
    DataJobDeployment,
    DataJobDeploymentStatus,
    DataJobExecution,
    DataJobSchedule,
)
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.errors import LoginError, TransportError
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.secrets import Secret
from pytest_vdkprobe.waiting import Deadline, wait_until

JOB = "client-test-job"
STEP = """
import time

def run(job_input):
    print("marker of the log")
    arguments = job_input.get_arguments()
    job_input.set_all_properties({"answer": arguments.get("answer")})
    time.sleep(arguments.get("sleep_s", 0))
"""


def sources(revision: int = 1) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("job/10_step.py", STEP + f"# revision {revision}\n")
    return packed.getvalue()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(executor="instant", secrets=True, keytab="bytes") as running:
        yield running


def connect(sandbox: Sandbox, within_s: float = 20.0, **more: object) -> ControlClient:
    tables = {**sandbox.configuration()["control"], **more}  # type: ignore[dict-item]
    settings = msgspec.convert(tables, ControlSettings)
    client = ControlClient(settings, make_auth(settings.auth), op_id_prefix="7f3a90c2")
    client.deadline = Deadline.after(within_s, "the test's limit")
    return client


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[ControlClient]:
    with connect(sandbox) as connected:
        yield connected


def deploy(client: ControlClient, *, revision: int = 1) -> str:
    if client.read_job(JOB) is None:
        client.create_job(DataJob(job_name=JOB, description="ours", config=DataJobConfig()))
    version = client.upload_sources(JOB, sources(revision), reason="test")
    client.deploy(JOB, DataJobDeployment(job_version=version, enabled=True))
    wait_until("deployment", lambda: live(client), done=bool, deadline=Deadline.after(10))
    return version


def live(client: ControlClient) -> DataJobDeploymentStatus | None:
    found = client.deployments(JOB)
    return found[0] if found else None


def start(client: ControlClient, op_id: str = "7f3a90c2-1", **args: object) -> str:
    return client.start_execution(JOB, args=args, started_by="manual/test", op_id=op_id)


def follow(client: ControlClient, execution_id: str, *statuses: str) -> DataJobExecution:
    found = wait_until(
        f"execution {execution_id}",
        lambda: client.execution(JOB, execution_id),
        done=lambda seen: seen is not None and str(seen.status) in statuses,
        deadline=Deadline.after(10),
    ).value
    assert found is not None
    return found


def test_a_jobs_life_from_creation_to_deletion(client: ControlClient) -> None:
    assert client.info().supported_python_versions
    schedule = DataJobSchedule(schedule_cron="0 3 1 1 *")
    job = DataJob(job_name=JOB, description="ours", config=DataJobConfig(schedule=schedule))
    client.create_job(job)
    with pytest.raises(ServiceFailure) as taken:
        client.create_job(job)
    assert taken.value.status == 409
    found = client.read_job(JOB)
    assert found is not None
    assert (found.description, found.team) == ("ours", "sandbox")
    assert [row.job_name for row in client.list_jobs("sandbox")] == [JOB]
    assert client.keytab(JOB)
    found.description = "changed"
    client.update_job(found)
    changed = client.read_job(JOB)
    assert changed is not None
    assert changed.description == "changed"
    assert client.change_team(JOB, "green")
    assert client.read_job(JOB) is None
    assert client.for_team("green").delete_job(JOB)
    assert not client.for_team("green").delete_job(JOB)
    assert list(client.list_jobs()) == []


def test_sources_and_deployments(client: ControlClient) -> None:
    version = deploy(client)
    assert client.upload_sources(JOB, sources(), reason="again") == version
    assert client.download_sources(JOB)
    shown = live(client)
    assert shown is not None
    assert (shown.job_version, shown.enabled) == (version, True)
    assert client.deployment(JOB) == shown
    client.patch_deployment(JOB, enabled=False)
    disabled = live(client)
    assert disabled is not None
    assert disabled.enabled is False
    assert client.undeploy(JOB)
    assert client.deployments(JOB) == []
    assert client.delete_sources(JOB, reason="bye")


def test_an_execution_from_start_to_log(client: ControlClient) -> None:
    deploy(client)
    execution_id = start(client, answer=42)
    done = follow(client, execution_id, "succeeded", "user_error", "platform_error")
    assert (str(done.status), done.op_id) == ("succeeded", "7f3a90c2-1")
    assert done.end_time is not None
    assert "marker of the log" in client.logs(JOB, execution_id)
    assert client.properties(JOB) == {"answer": 42}
    assert execution_id in [each.id for each in client.executions(JOB, statuses=("succeeded",))]
    assert client.executions(JOB, statuses=("running",)) == []


def test_a_second_start_is_refused_and_the_first_can_be_cancelled(client: ControlClient) -> None:
    deploy(client)
    execution_id = start(client, sleep_s=30)
    follow(client, execution_id, "running")
    with pytest.raises(ServiceFailure) as refused:
        start(client, "7f3a90c2-2")
    assert refused.value.status == 409
    client.cancel_execution(JOB, execution_id)
    assert str(follow(client, execution_id, "cancelled").status) == "cancelled"
    with pytest.raises(ServiceFailure) as ended:
        client.cancel_execution(JOB, execution_id)
    assert ended.value.status == 400


def test_documents_and_health(client: ControlClient) -> None:
    client.create_job(DataJob(job_name=JOB, description="ours", config=DataJobConfig()))
    client.put_properties(JOB, {"a": {"b": [1, None]}})
    assert client.properties(JOB) == {"a": {"b": [1, None]}}
    client.put_secrets(JOB, {"password": "canary-secret"})
    assert client.secrets(JOB) == {"password": "canary-secret"}
    assert "canary" not in repr(client.exchanges)
    assert client.health()["status"] == "UP"
    assert "taurus_datajob_info" in client.prometheus()


def test_what_the_platform_does_not_offer_is_a_status_of_its_own() -> None:
    with Sandbox(executor="instant") as bare, connect(bare) as client:
        client.create_job(DataJob(job_name=JOB, description="ours", config=DataJobConfig()))
        with pytest.raises(ServiceFailure) as secrets:
            client.secrets(JOB)
        with pytest.raises(ServiceFailure) as oauth:
            client.oauth_credentials()
        assert secrets.value.status == oauth.value.status == 501
        assert client.keytab(JOB) == b""


def test_logging_in_with_every_grant_over_tls(tmp_path: Path) -> None:
    with Sandbox(executor="instant", auth=True, tls=True) as guarded:
        with connect(guarded) as client:
            assert client.info().api_version
        with connect(guarded, auth={"kind": "none"}) as client, pytest.raises(LoginError):
            client.info()
        settings = client.settings
        tokens = guarded.tokens
        login = ClientCredentials(
            guarded.token_url, tokens.client_id, Secret(tokens.client_secret, "test")
        )
        with ControlClient(settings, login, op_id_prefix="7f3a90c2") as client:
            assert client.info().api_version
        wrong = ClientCredentials(guarded.token_url, tokens.client_id, Secret("wrong", "test"))
        with (
            ControlClient(settings, wrong, op_id_prefix="7f3a90c2") as client,
            pytest.raises(LoginError, match="refused the login"),
        ):
            client.info()
        with (
            connect(guarded, ca_file=None) as client,
            pytest.raises(TransportError, match="not trusted"),
        ):
            client.info()


def test_a_token_that_is_revoked_in_the_middle_is_renewed() -> None:
    with Sandbox(executor="instant", auth=True) as guarded, connect(guarded) as client:
        client.info()
        guarded.tokens.revoke()
        client.create_job(DataJob(job_name=JOB, description="ours", config=DataJobConfig()))
        assert client.counts.repeats == 1


COMMANDS: dict[str, tuple[str, str, Callable[[ControlClient], object]]] = {
    "create": ("POST", "/jobs$", deploy),
    "upload": ("POST", "/sources$", deploy),
    "deploy": ("POST", "/deployments$", deploy),
    "update": ("PUT", f"/{JOB}$", lambda client: client.update_job(DataJob(job_name=JOB))),
    "patch": ("PATCH", "/production$", lambda client: client.patch_deployment(JOB, enabled=False)),
    "start": ("POST", "/executions$", start),
    "undeploy": ("DELETE", "/production$", lambda client: client.undeploy(JOB)),
    "delete": ("DELETE", f"/{JOB}$", lambda client: client.delete_job(JOB)),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", ["status", "reset"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_in_doubt_takes_effect_once(
    sandbox: Sandbox, client: ControlClient, command: str, fault: str, when: str
) -> None:
    method, path, act = COMMANDS[command]
    client.info()
    if command not in {"create", "upload", "deploy"}:
        deploy(client)
    sandbox.plant(fault, method=method, path=path, when=when, times=1)
    assert act(client) is not False
    assert sandbox.faults.planted() == {fault: 1}
    if command == "delete":
        assert client.read_job(JOB) is None
    elif command == "start":
        assert len(client.executions(JOB)) == 1
    elif command == "patch":
        disabled = live(client)
        assert disabled is not None
        assert disabled.enabled is False
    assert sandbox.bugs == []


def test_one_call_in_twenty_refused_or_slow_does_not_show(
    sandbox: Sandbox, client: ControlClient
) -> None:
    # Not the properties: the job in the sandbox writes those, and it does not ask twice.
    ours = "/(jobs|sources|deployments|executions|production)$|/executions/[^/]+$|/jobs/[^/]+$"
    sandbox.plant("status", share=0.05, path=ours)
    sandbox.plant("slow", share=0.05, delay_s=0.02, path=ours)
    for number in range(3):
        deploy(client, revision=number)
        follow(client, start(client, f"7f3a90c2-{number}"), "succeeded")
        client.undeploy(JOB)
        client.delete_job(JOB)
    assert client.read_job(JOB) is None


def test_a_hang_ends_at_the_deadline_and_says_where(
    sandbox: Sandbox, client: ControlClient
) -> None:
    client.info()
    sandbox.plant("hang", method="GET", path="/executions$", delay_s=30)
    client.deadline = Deadline.after(0.6, "limit of step run")
    with pytest.raises(ServiceFailure, match=r"limit of step run|no answer came in time"):
        client.executions(JOB)


def test_an_interrupted_body_is_asked_for_again(sandbox: Sandbox, client: ControlClient) -> None:
    client.info()
    sandbox.plant("cut", times=1)
    assert client.info().api_version
    assert client.counts.retries == 1


def test_two_threads_may_share_a_client(client: ControlClient) -> None:
    versions: list[str] = []

    def ask() -> None:
        versions.extend(client.info().api_version for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(versions) == 80
