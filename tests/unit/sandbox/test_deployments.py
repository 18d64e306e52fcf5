"""How a version goes live, beyond what the transcript shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.sandbox.executor import BuildError
from pytest_vdkprobe.sandbox.instant import InstantExecutor
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.sandbox.conftest import NOTHING, Client, until


class Picky(InstantExecutor):
    """Can't build what has requirements."""

    def prepare(self, sources: Path) -> None:
        if (sources / "broken.py").exists():
            raise BuildError("no such requirement")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(executor=Picky()) as sandbox:
        yield sandbox
        assert sandbox.bugs == []


def gauge(client: Client, job: str) -> str:
    lines = client.call("GET", "/data-jobs/debug/prometheus").text.splitlines()
    start = f'taurus_deployment_status_gauge{{dataJob="{job}"'
    return next(line.rpartition(" ")[2] for line in lines if line.startswith(start))


def test_a_failing_build_keeps_the_old_version_and_shows_in_the_gauge_only(
    client: Client, job: str
) -> None:
    good = client.deploy(job)
    bad = client.upload(job, a=NOTHING, broken="x")
    answer = client.call("POST", f"{job}/deployments", json={"job_version": bad})
    assert answer.status_code == 202
    until("user error", lambda: gauge(client, job), "3.0")
    assert client.live(job)["job_version"] == good


def test_a_version_that_was_never_uploaded_does_not_appear(client: Client, job: str) -> None:
    client.create(job)
    assert client.call("POST", f"{job}/deployments", json={"job_version": "0" * 40}).ok
    until("platform error", lambda: gauge(client, job), "1.0")
    assert client.live(job) is None


def test_another_python_resets_the_vdk_version(client: Client, job: str) -> None:
    client.deploy(job)
    client.call("POST", f"{job}/deployments", json={"vdk_version": "0.3.1"})
    until("vdk", lambda: client.live(job)["vdk_version"], "0.3.1")
    client.call("POST", f"{job}/deployments", json={"python_version": "3.9"})
    until("python", lambda: client.live(job)["python_version"], "3.9")
    assert client.live(job)["vdk_version"] == "release"


def test_a_redeploy_without_enabled_keeps_the_job_disabled(client: Client, job: str) -> None:
    client.deploy(job)
    client.call("PATCH", f"{job}/deployments/x", json={"enabled": False})
    client.deploy(job, a="def run(job_input):\n    print('new')\n")
    assert client.live(job)["enabled"] is False


def test_restoring_a_content_is_a_new_version_and_the_same_content_is_not(
    client: Client, job: str
) -> None:
    client.create(job)
    first, again = client.upload(job), client.upload(job)
    second = client.upload(job, a="X = 2\n")
    assert first == again != second
    assert client.upload(job) not in {first, second}


def test_a_new_version_is_invisible_until_its_build_is_over(job: str) -> None:
    with Sandbox(deploy_delay_s=1.5) as sandbox:
        client = Client(sandbox)
        old = client.deploy(job)
        new = client.upload(job, a="X = 2\n")
        client.call("POST", f"{job}/deployments", json={"job_version": new})
        assert client.live(job)["job_version"] == old
        until("new", lambda: client.live(job)["job_version"], new)


def test_a_job_that_is_deleted_while_it_is_built_stays_deleted(job: str) -> None:
    with Sandbox(deploy_delay_s=0.1) as sandbox:
        client = Client(sandbox)
        client.create(job)
        version = client.upload(job)
        client.call("POST", f"{job}/deployments", json={"job_version": version})
        client.call("DELETE", job)
        client.create(job)
        other = f"{job}-2"
        client.deploy(other)
        assert client.live(job) is None


def test_enable_can_be_eventual(job: str) -> None:
    with Sandbox(enable_delay_s=1.5) as sandbox:
        client = Client(sandbox)
        client.deploy(job)
        client.call("PATCH", f"{job}/deployments/x", json={"enabled": False})
        assert client.live(job)["enabled"] is True
        until("disabled", lambda: client.live(job)["enabled"], wanted=False)


def test_a_deployment_read_from_the_database_has_no_nulls(job: str) -> None:
    with Sandbox(deployments_from="DB") as sandbox:
        client = Client(sandbox)
        client.create(job, "0 3 * * *")
        client.deploy(job)
        live = client.live(job)
        assert live["id"] == job
        assert live["schedule"] == {"schedule_cron": "0 3 * * *"}
        assert live["resources"]["memory_limit"] == 1000
        assert live["contacts"]["notified_on_job_deploy"] == []
