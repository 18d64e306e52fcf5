"""A run that is stopped leaves nothing behind; one that is killed leaves what the next removes.

Each run is stopped while a chosen step is under way: a call of that step hangs, so that there is no
guessing about when.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.integration.heartbeats import configuration, leftovers, sandbox
from tests.integration.running import Running

WORKERS = ("-n2", "--vdk-quick")
RUN = "step_timeout_s = 30\ncleanup_timeout_s = 8\ngrace_s = 15"
"""Longer than any test waits: a step must end by the signal, not by its limit."""

MOMENTS: dict[str, dict[str, Any]] = {
    "create, which has its effect": {"method": "POST", "path": "/jobs$", "when": "after"},
    "create, which has not": {"method": "POST", "path": "/jobs$"},
    "upload": {"method": "POST", "path": "/sources$", "when": "after"},
    "deploy": {"method": "POST", "path": "/deployments$", "when": "after"},
    "run": {"method": "POST", "path": "/executions$", "when": "after"},
    # The third start: the second one hangs in the job, and this is the one to be refused.
    "refuse": {"method": "POST", "path": "/executions$", "skip": 2},
    "schedule": {"method": "PATCH", "path": "/deployments/"},
    "undeploy": {"method": "DELETE", "path": "/deployments/", "when": "after"},
    "delete": {"method": "DELETE", "path": "/jobs/[^/]+$"},
}
STOPS = [signal.SIGTERM, signal.SIGINT]


def stopped_while(
    step: str, platform: Sandbox, folder: Path, *options: str, run: str = RUN
) -> Running:
    """A run of which that step is under way and hangs."""
    platform.plant("hang", times=1, **MOMENTS[step])
    running = Running(configuration(platform, folder, run=run), *options)
    try:
        running.until_hit(platform, "hang")
    except BaseException:
        running.__exit__(None, None, None)
        raise
    return running


@pytest.mark.parametrize("step", MOMENTS)
@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
def test_stopped_run_leaves_nothing(number: signal.Signals, step: str, tmp_path: Path) -> None:
    with sandbox() as platform, stopped_while(step, platform, tmp_path) as running:
        running.signal(number)
        assert running.end() == pytest.ExitCode.INTERRUPTED, running.output
        assert leftovers(platform, tmp_path) == [], running.output
