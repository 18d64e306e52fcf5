"""A check that can't fail proves nothing: each planted fault must be seen, at its step.

The step named here is the first that can know. A fault that the platform gets wrong is a `fail`;
nothing of the run may be left behind, whatever was planted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.heartbeats import configuration, heartbeat, leftovers, sandbox

SEEN_AT = {
    "create-lost": "read",
    "read-other-job": "read",
    "list-empty": "list",
    "list-foreign": "list",
    "list-null": "list",
    "list-omits-job": "list",
    "properties-dropped": "properties",
    "properties-stale": "properties",
    "secrets-dropped": "secrets",
    "upload-new-version": "upload",
    "deploy-never": "deploy",
    "deploy-wrong-version": "deploy",
    "deploy-wrong-python": "deploy",
    "cluster-down": "deploy",
    "start-lost": "run",
    "start-refused": "run",
    "op-id-lost": "run",
    "run-stuck-submitted": "run",
    "run-stuck-running": "run",
    "run-cancelled": "run",
    "success-as-user-error": "run",
    "success-as-platform-error": "run",
    "logs-empty": "log",
    "logs-foreign": "log",
    "run-vanished": "log",
    "arguments-dropped": "log",
    "start-not-exclusive": "refuse",
    "cancel-ignored": "cancel",
    "cancel-as-success": "cancel",
    "failure-as-success": "fail",
    "user-error-as-platform-error": "fail",
    "upload-lost": "redeploy",
    "deploy-old-code": "redeploy",
    "update-dropped": "schedule",
    "schedule-never": "schedule",
    "enable-ineffective": "schedule",
    "schedule-fails": "schedule",
    "disable-dropped": "disable",
    "disable-ineffective": "disable",
    "enable-dropped": "enable",
    "undeploy-ignored": "undeploy",
    "delete-stays-listed": "delete",
}
PYTHON = 'python_version = "3.11"'
WITH_PYTHON = {"deploy-wrong-python": PYTHON}
"""A version that nobody asked for can't be wrong."""


@pytest.mark.parametrize("fault", sorted(SEEN_AT))
def test_fault_is_seen_at_its_step(fault: str, tmp_path: Path) -> None:
    with sandbox() as platform:
        platform.plant(fault)
        path = configuration(platform, tmp_path, job=WITH_PYTHON.get(fault, ""))
        heard = heartbeat(path)
        assert heard.first_bad == (SEEN_AT[fault], "fail"), heard.output
        assert heard.exit_code == 1
        finding = heard.steps[SEEN_AT[fault]]["finding"]
        assert finding["what"]
        assert finding["what"] in heard.output
        platform.faults.clear()
        if fault == "delete-stays-listed":
            return  # the lie is about what the sandbox lists for good
        heartbeat(path, "-k", "reach")  # the next run sweeps what a lie has kept from cleanup
        assert leftovers(platform, tmp_path) == []


def test_delete_that_is_ignored_is_seen_and_the_lease_stays(tmp_path: Path) -> None:
    with sandbox() as platform:
        platform.plant("delete-ignored")
        heard = heartbeat(configuration(platform, tmp_path))
        assert heard.first_bad == ("delete", "fail"), heard.output
        assert len(leftovers(platform, tmp_path)) == 2


TRANSPORT: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"name": "status", "status": 500, "path": "/info"}, ("reach", "fail")),
    ({"name": "status", "status": 500, "path": "/keytab"}, ("keytab", "fail")),
    ({"name": "status", "status": 500, "path": "/logs"}, ("log", "fail")),
    ({"name": "status", "status": 404, "path": "/logs"}, ("log", "fail")),
    ({"name": "status", "status": 500, "path": "/sources"}, ("upload", "fail")),
    ({"name": "hang", "path": "/properties"}, ("properties", "fail")),
    ({"name": "reset", "path": "/keytab"}, ("keytab", "fail")),
    ({"name": "wrong-body", "path": "/deployments$", "method": "GET"}, ("deploy", "fail")),
    ({"name": "empty-body", "path": "/info"}, ("reach", "error")),
    ({"name": "not-json", "path": "/info"}, ("reach", "error")),
    ({"name": "status", "status": 401, "path": "/info"}, ("reach", "error")),
]


@pytest.mark.parametrize(("fault", "expected"), TRANSPORT, ids=lambda part: str(part)[:60])
def test_transport_fault_is_seen_at_its_step(
    fault: dict[str, Any], expected: tuple[str, str], tmp_path: Path
) -> None:
    with sandbox() as platform:
        platform.plant(**fault)
        heard = heartbeat(configuration(platform, tmp_path), "--vdk-quick")
        assert heard.first_bad == expected, heard.output


def test_slow_and_unavailable_calls_are_no_failure(tmp_path: Path) -> None:
    with sandbox(seed=7) as platform:
        platform.plant("status", share=0.05)
        platform.plant("status", share=0.02, when="after")
        platform.plant("slow", share=0.05, delay_s=0.05)
        heard = heartbeat(configuration(platform, tmp_path, run="step_timeout_s = 30"))
        assert heard.exit_code == 0, heard.output
        platform.faults.clear()
        assert leftovers(platform, tmp_path) == []
