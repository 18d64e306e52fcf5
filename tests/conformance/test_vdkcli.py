"""The official command line works against the sandbox, command by command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.sandbox.sources import write_zip
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.conformance.conftest import Client

TEAM = "a-team"
JOB = "cli-job"
HERE = ("-n", JOB, "-t", TEAM)
STEP = """
def run(job_input):
    print("marker of", job_input.get_name(), job_input.get_arguments())
    properties = job_input.get_all_properties()
    properties["ran"] = "yes"
    job_input.set_all_properties(properties)
    hang = job_input.get_arguments().get("hang")
    if hang:
        import time
        time.sleep(600)
"""
CONFIG = "[owner]\nteam = a-team\n\n[job]\nschedule_cron = 0 5 * * *\n"


def sources_of(client: Client) -> Path:
    """The job's folder."""
    folder = client.work / JOB
    folder.mkdir()
    (folder / "10_step.py").write_text(STEP)
    (folder / "config.ini").write_text(CONFIG)
    return folder


def execute(client: Client, *words: str) -> str:
    """Start an execution; its id."""
    return str(client.json("execute", "--start", *HERE, *words)["execution_id"])


def status(client: Client, execution: str) -> str:
    """The status of one execution."""
    [found] = client.json("execute", "--show", "--execution-id", execution, *HERE)
    return str(found["status"])


def wait_for(client: Client, execution: str, *statuses: str) -> None:
    """Until the execution has one of these statuses."""
    wait_until(
        f"the execution to be {' or '.join(statuses)}",
        lambda: status(client, execution),
        done=lambda seen: seen in statuses,
        deadline=Deadline.after(30),
    )


@pytest.fixture
def client(client_of: Callable[[Sandbox], Client]) -> Iterator[Client]:
    """A client of an open sandbox of this test's own."""
    with Sandbox(executor="instant", secrets=True, keytab="bytes") as sandbox:
        yield client_of(sandbox)
        assert sandbox.bugs == []


@pytest.fixture
def deployed(client: Client) -> str:
    """The version of a deployed job; brought there by plain calls, each a second quicker."""
    url = f"{client.sandbox.url}/data-jobs/for-team/{TEAM}/jobs"
    body = {
        "job_name": JOB,
        "description": "",
        "config": {"schedule": {"schedule_cron": "0 5 * * *"}},
        "team": TEAM,
    }
    files = {path.name: path.read_bytes() for path in sources_of(client).iterdir()}
    with requests.Session() as session:
        session.trust_env = False
        assert session.post(url, json=body).status_code == 201
        kind = {"Content-Type": "application/octet-stream"}
        zipped = write_zip(JOB, files)
        answer = session.post(f"{url}/{JOB}/sources", data=zipped, headers=kind)
        version = str(answer.json()["version_sha"])
        session.post(f"{url}/{JOB}/deployments", json={"job_version": version})
        wait_until(
            "the deployment",
            lambda: session.get(f"{url}/{JOB}/deployments").json(),
            done=bool,
            deadline=Deadline.after(20),
        )
    return version


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_login_opens_a_sandbox_that_wants_one(
    tls: bool, client_of: Callable[[Sandbox], Client]
) -> None:
    with Sandbox(executor="instant", auth=True, tls=tls) as sandbox:
        client = client_of(sandbox)
        refused = client.call("list", "-t", TEAM)
        assert refused.returncode == 2
        client.login()
        assert client.json("list", "-t", TEAM) == []
        client.vdkcli("logout")
        assert client.call("list", "-t", TEAM).returncode == 2


def test_create_makes_a_local_sample_and_downloads_the_keytab(client: Client) -> None:
    client.vdkcli("create", *HERE, "-p", str(client.work))
    assert (client.work / JOB / "config.ini").is_file()
    assert len((client.work / f"{JOB}.keytab").read_bytes()) > 0
    again = client.call("create", *HERE, "--cloud")
    assert again.returncode == 0
    assert "exists" in again.stdout + again.stderr


def test_what_is_deployed_is_shown_as_deployed(client: Client) -> None:
    client.vdkcli("create", *HERE, "--cloud")
    folder = str(sources_of(client))
    version = client.json("deploy", *HERE, "-p", folder, "-r", "for a test")["job_version"]
    wait_until(
        "the version to be live",
        lambda: [one["job_version"] for one in client.json("deploy", "--show", *HERE)],
        done=lambda live: live == [version],
        deadline=Deadline.after(30),
    )
    shown = client.json("show", *HERE)
    assert shown["deployments"][0]["job_version"] == version
    assert shown["config"]["schedule"] == {"schedule_cron": "0 5 * * *"}


@pytest.mark.usefixtures("deployed")
def test_a_deployed_job_is_listed_in_every_detail(client: Client) -> None:
    [row] = client.json("list", "-t", TEAM)
    assert row["job_name"] == JOB
    assert row["job_team"] == TEAM
    assert row["status"] == "ENABLED"
    [row] = client.json("list", "--all", "-mmm")
    assert row["schedule_cron"] == "0 5 * * *"
    assert "3.11" in client.vdkcli("info", "-t", TEAM)


@pytest.mark.usefixtures("deployed")
def test_an_execution_is_started_followed_and_read(client: Client) -> None:
    execution = execute(client, "--arguments", json.dumps({"answer": 42}))
    wait_for(client, execution, "succeeded")
    assert [one["id"] for one in client.json("execute", "--list", *HERE)] == [execution]
    log = client.vdkcli("execute", "--logs", "--execution-id", execution, *HERE)
    assert f"marker of {JOB} {{'answer': 42}}" in log
    assert client.json("properties", "--list", *HERE) == {"ran": "yes"}
    [shown] = client.json("show", *HERE)["executions"]
    assert shown["type"] == "manual"


@pytest.mark.usefixtures("deployed")
def test_a_running_execution_is_exclusive_and_can_be_cancelled(client: Client) -> None:
    execution = execute(client, "--arguments", '{"hang": true}')
    wait_for(client, execution, "running")
    second = client.call("execute", "--start", *HERE)
    assert second.returncode == 2
    client.vdkcli("execute", "--cancel", "-i", execution, *HERE)
    wait_for(client, execution, "cancelled")


def test_properties_and_secrets_are_set_read_and_deleted(client: Client) -> None:
    client.vdkcli("create", *HERE, "--cloud")
    for kind in ("properties", "secrets"):
        client.vdkcli(kind, *HERE, "--set", "key", "value", "--set", "other", "thing")
        assert client.json(kind, *HERE, "--list") == {"key": "value", "other": "thing"}
        assert client.json(kind, *HERE, "--get", "key") == {"key": "value"}
        client.vdkcli(kind, *HERE, "--delete", "key")
        assert client.json(kind, *HERE, "--list") == {"other": "thing"}


def test_secrets_without_a_vault_are_refused(client_of: Callable[[Sandbox], Client]) -> None:
    with Sandbox(executor="instant") as sandbox:
        client = client_of(sandbox)
        client.vdkcli("create", *HERE, "--cloud")
        done = client.call("secrets", *HERE, "--list")
    assert done.returncode == 2
    assert "what" in done.stderr.lower()


@pytest.mark.usefixtures("deployed")
def test_a_job_is_disabled_enabled_and_undeployed(client: Client) -> None:

    def listed() -> str:
        return str(client.json("list", "-t", TEAM)[0]["status"])

    for option, expected in (
        ("--disable", "DISABLED"),
        ("--enable", "ENABLED"),
        ("--remove", "NOT_DEPLOYED"),
    ):
        client.vdkcli("deploy", option, *HERE)
        wait_until(expected, listed, done=expected.__eq__, deadline=Deadline.after(20))


@pytest.mark.usefixtures("deployed")
def test_the_sources_are_downloaded_as_they_were_deployed(client: Client) -> None:
    elsewhere = client.work / "elsewhere"
    elsewhere.mkdir()
    client.vdkcli("download-job", *HERE, "-p", str(elsewhere))
    assert (elsewhere / JOB / "10_step.py").read_text() == STEP


@pytest.mark.usefixtures("deployed")
def test_a_deleted_job_is_gone(client: Client) -> None:
    client.vdkcli("delete", *HERE, "--yes")
    assert client.json("list", "-t", TEAM) == []
    for words in (("show", *HERE), ("delete", *HERE, "--yes"), ("execute", "--start", *HERE)):
        done = client.call(*words)
        assert done.returncode == 2, words
