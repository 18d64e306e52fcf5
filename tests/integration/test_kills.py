"""A run that is stopped leaves nothing behind; one that is killed leaves what the next removes.

Each run is stopped while a chosen step is under way: a call of that step hangs, so that there is no
guessing about when.
"""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import requests

from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import pause
from tests.integration.children import OBEYS_PERMISSIONS, run_pytest
from tests.integration.heartbeats import configuration, heartbeat, leftovers, sandbox
from tests.integration.running import Running

GRACE_S = 60
RUN = f"step_timeout_s = 200\ncleanup_timeout_s = 30\ngrace_s = {GRACE_S}"
"""Longer than any test waits: a step must end by the signal, not by its limit."""

MOMENTS: dict[str, dict[str, Any]] = {
    "create": {"method": "POST", "path": "/jobs$", "when": "after"},
    "upload": {"method": "POST", "path": "/sources$", "when": "after"},
    "deploy": {"method": "POST", "path": "/deployments$", "when": "after"},
    "run": {"method": "POST", "path": "/executions$", "when": "after"},
    # The third start: the second one hangs in the job, and this is the one to be refused.
    "refuse": {"method": "POST", "path": "/executions$", "skip": 1},
    "schedule": {"method": "PUT", "path": "/jobs/[^/]+$", "when": "after"},
    "undeploy": {"method": "DELETE", "path": "/deployments/", "when": "after"},
    "delete": {"method": "DELETE", "path": "/jobs/[^/]+$"},
}
"""The call that hangs in each of these steps, of those that asking for it runs."""
KILLED = ["create", "deploy", "refuse", "schedule"]


def step_id(step: str) -> str:
    """How to ask for that step, and what it needs, on the command line."""
    return f"heartbeat[hello-platform]::{step}"


def stopped_while(step: str, platform: Sandbox, folder: Path, *options: str) -> Running:
    """A run of which that step is under way, and hangs."""
    platform.plant("hang", times=1, **MOMENTS[step])
    running = Running(configuration(platform, folder, run=RUN), step_id(step), *options)
    try:
        running.until_hit(platform, "hang")
        if step == "create":
            # It is hit before it has its effect.
            running.until("the job", lambda: len(leftovers(platform, folder)) == 2)
    except BaseException:
        running.__exit__(None, None, None)
        raise
    return running


def create_job(platform: Sandbox, name: str, description: str) -> None:
    """A job that is not the run's."""
    answer = requests.post(
        f"{platform.url}/data-jobs/for-team/{platform.team}/jobs",
        json={"job_name": name, "team": platform.team, "description": description},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text


# Stopped: it cleans up itself


@pytest.mark.parametrize("step", MOMENTS)
def test_sigterm_leaves_nothing(step: str, tmp_path: Path) -> None:
    with sandbox() as platform, stopped_while(step, platform, tmp_path) as running:
        running.signal(signal.SIGTERM)
        assert running.end(within_s=GRACE_S) == pytest.ExitCode.INTERRUPTED, running.output
        assert "cleanup did not end within" not in running.output
        assert leftovers(platform, tmp_path) == [], running.output


@pytest.mark.parametrize("step", ["create", "refuse", "delete"])
def test_sigint_leaves_nothing(step: str, tmp_path: Path) -> None:
    with sandbox() as platform, stopped_while(step, platform, tmp_path) as running:
        running.signal(signal.SIGINT)
        assert running.end(within_s=GRACE_S) == pytest.ExitCode.INTERRUPTED, running.output
        assert "cleanup did not end within" not in running.output
        assert leftovers(platform, tmp_path) == [], running.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("everybody", [False, True], ids=["controller", "group"])
def test_workers_are_stopped_with_their_controller(
    everybody: bool, number: signal.Signals, tmp_path: Path
) -> None:
    with sandbox() as platform, stopped_while("run", platform, tmp_path, "-n2") as running:
        assert len(running.alive()) == 3
        running.signal_all(number) if everybody else running.signal(number)
        assert running.end(within_s=GRACE_S) == pytest.ExitCode.INTERRUPTED, running.output
        assert "cleanup did not end within" not in running.output
        assert leftovers(platform, tmp_path) == [], running.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_in_the_cleanup_after_a_journey_does_not_lose_the_job(
    number: signal.Signals, tmp_path: Path
) -> None:
    with sandbox() as platform:
        # Once, and for longer than a busy machine takes to send a signal.
        platform.plant("slow", times=1, method="DELETE", path="/jobs/[^/]+$", delay_s=4)
        path = configuration(platform, tmp_path, run=RUN)
        with Running(path, step_id("read")) as running:
            running.until_hit(platform, "slow")
            running.signal(number)
            assert running.end(within_s=GRACE_S) == pytest.ExitCode.INTERRUPTED, running.output
            assert "cleanup did not end within" not in running.output
        assert leftovers(platform, tmp_path) == [], running.output


def test_create_that_takes_effect_after_the_stop_is_found(tmp_path: Path) -> None:
    with sandbox() as platform:
        platform.plant("hang", times=1, method="POST", path="/jobs$")
        path = configuration(platform, tmp_path, run=RUN)
        with Running(path, step_id("create")) as running:
            running.until_hit(platform, "hang")
            (note,) = (tmp_path / "leases").glob("*.json")
            lease = json.loads(note.read_text())
            running.signal(signal.SIGTERM)
            # The service has taken the request, and gets round to it when nobody listens any more.
            pause(1)
            create_job(platform, lease["name"], f"Heartbeat [vdkprobe lease {lease['id']}]")
            assert running.end(within_s=GRACE_S) == pytest.ExitCode.INTERRUPTED, running.output
        assert leftovers(platform, tmp_path) == [], running.output


# Killed: the next one cleans up


@pytest.mark.parametrize(
    ("step", "options"), [*((step, ()) for step in KILLED), ("refuse", ("-n2",))], ids=str
)
def test_next_run_removes_what_a_killed_one_left(
    step: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    with sandbox() as platform:
        with stopped_while(step, platform, tmp_path, *options) as running:
            running.signal_all(signal.SIGKILL)
            running.end()
        assert len(leftovers(platform, tmp_path)) == 2
        heard = heartbeat(configuration(platform, tmp_path), step_id("reach"))
        assert heard.exit_code == 0, heard.output
        assert any("of an earlier run: job hello-" in e for e in heard.steps["reach"]["evidence"])
        assert leftovers(platform, tmp_path) == []


def sweep(configuration: Path) -> tuple[int, str]:
    """Run `--vdk-sweep`."""
    with Running(configuration, "--vdk-sweep") as running:
        return running.end(), running.output


def test_sweep_removes_what_a_killed_run_left_and_nothing_else(tmp_path: Path) -> None:
    with sandbox() as platform:
        with stopped_while("refuse", platform, tmp_path) as running:
            running.signal_all(signal.SIGKILL)
            running.end()
        create_job(platform, "hello-platform-mine", "made by hand")
        create_job(platform, "hello-platform-theirs", "Heartbeat [vdkprobe lease 0123456789abcdef]")
        store = LeaseStore(tmp_path / "leases", run_id="still-alive")
        alive = store.take("job", "hello-platform-alive", where=where(platform))
        create_job(platform, "hello-platform-alive", f"Heartbeat {alive.mark}")
        code, output = sweep(configuration(platform, tmp_path))
        assert code == 0
        assert re.search(r"job hello-platform-\w+-?\w* deleted", output), output
        assert leftovers(platform, tmp_path) == [
            *("hello-platform-alive", "hello-platform-mine", "hello-platform-theirs"),
            alive.path.name,
        ]
        assert "Nothing is left behind" in sweep(configuration(platform, tmp_path))[1]


def test_job_that_took_the_name_of_a_leased_one_survives_the_sweep(tmp_path: Path) -> None:
    with sandbox() as platform:
        with stopped_while("create", platform, tmp_path) as running:
            running.signal_all(signal.SIGKILL)
            running.end()
        name = next(found for found in leftovers(platform, tmp_path) if ".json" not in found)
        jobs = f"{platform.url}/data-jobs/for-team/{platform.team}/jobs"
        requests.delete(f"{jobs}/{name}", timeout=10).raise_for_status()
        create_job(platform, name, "somebody else's")
        assert "not ours, left alone" in sweep(configuration(platform, tmp_path))[1]
        assert leftovers(platform, tmp_path) == [name]


def test_workers_whose_controller_was_killed_clean_up_by_themselves(tmp_path: Path) -> None:
    with sandbox() as platform, stopped_while("run", platform, tmp_path, "-n2") as running:
        running.signal(signal.SIGKILL)
        assert running.end() == -signal.SIGKILL
        assert leftovers(platform, tmp_path) == []


# Trouble while cleaning up


def test_service_that_fails_during_cleanup_is_told_beside_the_first_cause(tmp_path: Path) -> None:
    with sandbox() as platform:
        platform.plant("keytab-lost")
        platform.plant("status", method="DELETE", path="/jobs/[^/]+$")
        path = configuration(platform, tmp_path, run="cleanup_timeout_s = 1")
        heard = heartbeat(path, step_id("keytab"))
        assert heard.first_bad == ("keytab", "fail"), heard.output
        assert heard.exit_code == 1
        (cleanup,) = heard.report["journeys"][0]["cleanup"]
        assert "503" in json.dumps(cleanup)
        assert "503" in heard.output
        assert "could not be removed" in heard.report["sweep"]["problem"]
        assert len(leftovers(platform, tmp_path)) == 2
        code, output = sweep(path)
        assert code == 1
        assert "could not be removed" in output
        platform.faults.clear()
        assert sweep(path)[0] == 0
        assert leftovers(platform, tmp_path) == []


def test_passing_steps_don_t_hide_that_the_cleanup_failed(tmp_path: Path) -> None:
    with sandbox() as platform:
        platform.plant("status", method="DELETE", path="/jobs/[^/]+$")
        path = configuration(platform, tmp_path, run="cleanup_timeout_s = 1")
        heard = heartbeat(path, step_id("read"))
        assert set(heard.verdicts.values()) == {"pass"}
        assert heard.exit_code == 1, heard.output


# The lease store


def test_truncated_lease_is_told_and_left_alone(tmp_path: Path) -> None:
    with sandbox() as platform:
        with stopped_while("create", platform, tmp_path) as running:
            running.signal_all(signal.SIGKILL)
            running.end()
        (lease,) = (tmp_path / "leases").glob("*.json")
        lease.write_bytes(lease.read_bytes()[:40])
        path = configuration(platform, tmp_path)
        code, output = sweep(path)
        assert code == 6, output
        assert lease.name in output
        assert "cut short or not a lease" in output
        heard = heartbeat(path)
        assert heard.first_bad == ("reach", "error"), heard.output
        assert lease.name in heard.output
        assert lease.exists()
        assert len(leftovers(platform, tmp_path)) == 2


@pytest.mark.parametrize("obstacle", ["file", "read-only"])
def test_unusable_lease_folder_is_an_error_and_nothing_is_created(
    obstacle: str, tmp_path: Path
) -> None:
    leases = tmp_path / "leases"
    if obstacle == "file":
        leases.touch()
    else:
        leases.mkdir(mode=0o500)
    with sandbox() as platform:
        path = configuration(platform, tmp_path)
        ended = run_pytest(path, "--vdk-quick", before=OBEYS_PERMISSIONS)
        assert ended.first_bad[1] == "error", ended.output
        assert ended.exit_code == 6
        assert str(leases) in ended.output
        leases.chmod(0o700)
        assert leftovers(platform, tmp_path) == []


# Several at once


def where(platform: Sandbox) -> dict[str, str]:
    """What a lease of a job on that platform says of its place."""
    return {"url": platform.url, "team": platform.team}


def test_two_runs_with_one_lease_store_leave_each_other_alone(tmp_path: Path) -> None:
    with sandbox() as platform, stopped_while("refuse", platform, tmp_path) as first:
        theirs = leftovers(platform, tmp_path)
        assert len(theirs) == 2
        heard = heartbeat(configuration(platform, tmp_path), "--vdk-quick")
        assert heard.exit_code == 0, heard.output
        assert "of an earlier run" not in heard.output
        assert leftovers(platform, tmp_path) == theirs
        first.signal(signal.SIGTERM)
        first.end(within_s=GRACE_S)
        assert leftovers(platform, tmp_path) == []
