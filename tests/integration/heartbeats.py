"""A heartbeat as its user runs it, against a sandbox of the test's own, and what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vdkprobe.sandbox.server import Sandbox

MINUTE_S = 0.5
"""A cron minute of these sandboxes."""
IMPATIENT = "step_timeout_s = 4\ncleanup_timeout_s = 4"
"""Limits for what never comes; all the rest must come in that time, too."""
STEPS = (
    *("reach", "info", "create", "read", "list", "keytab", "properties", "secrets", "upload"),
    *("deploy", "run", "log", "proof", "refuse", "cancel", "fail", "redeploy", "rollback"),
    *("schedule", "disable", "enable", "undeploy", "delete"),
)
"""Of a whole heartbeat, in their order."""


def impatient_from(step: str) -> str:
    """Limits for what never comes in that step, or later; those before may take their time."""
    before = STEPS[: STEPS.index(step)] if step else STEPS
    return f"{IMPATIENT}\nlimits = {{ {', '.join(f'{one} = 30' for one in before)} }}"


@dataclass(frozen=True)
class Heard:
    """What a heartbeat printed, and its report."""

    exit_code: int
    output: str
    report: dict[str, Any]

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """The first journey's steps by name."""
        return {step["step"]: step for step in self.report["journeys"][0]["steps"]}

    @property
    def verdicts(self) -> dict[str, str]:
        """Verdict by step."""
        return {name: step["verdict"] for name, step in self.steps.items()}

    @property
    def first_bad(self) -> tuple[str, str]:
        """The first step that did not pass, and its verdict."""
        for name, verdict in self.verdicts.items():
            if verdict not in ("pass", "skipped"):
                return name, verdict
        return "", "pass"


def sandbox(**knobs: Any) -> Sandbox:
    """A sandbox that answers at once, with a short cron minute."""
    return Sandbox(**{"executor": "instant", "tick_s": MINUTE_S, "secrets": True, **knobs})


def configuration(sandbox: Sandbox, folder: Path, *, run: str = "", job: str = "") -> Path:
    """A native configuration that leads to the sandbox, with limits that suit a test."""
    control = sandbox.configuration()["control"]
    assert isinstance(control, dict)
    lines = ["[control]", f"cron_minute_s = {sandbox.tick_s}"]
    lines += [f"{key} = {_toml(value)}" for key, value in control.items()]
    lines += ["[run]", run or "step_timeout_s = 30\ncleanup_timeout_s = 20"]
    lines += [f'lease_folder = "{folder / "leases"}"', f'report_folder = "{folder / "failures"}"']
    lines += ["[[jobs]]", 'name = "hello-platform"', job]
    path = folder / "platform.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def heartbeat(configuration: Path, *options: str, env: dict[str, str] | None = None) -> Heard:
    """Run the shipped heartbeat in a process of its own."""
    folder = configuration.parent
    report = folder / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", f"--vdk-config={configuration}"),
            *("--vdk-scenarios=heartbeat", f"--vdk-report={report}", "-p", "no:cacheprovider"),
            *options,
        ],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = done.stdout + done.stderr
    assert report.exists(), output
    return Heard(done.returncode, output, json.loads(report.read_text()))


def leftovers(sandbox: Sandbox, folder: Path) -> list[str]:
    """Jobs on the platform and leases on disk; both must be gone after any run."""
    import requests

    jobs = requests.get(
        f"{sandbox.url}/data-jobs/for-team/sandbox/jobs",
        params={"query": "{jobs(pageNumber:1,pageSize:100){content{jobName}}}"},
        headers={"Authorization": f"Bearer {sandbox.tokens.issue('leftovers')}"},
        timeout=10,
    ).json()["data"]["content"]
    leases = sorted((folder / "leases").glob("*.json")) if (folder / "leases").exists() else []
    return [job["jobName"] for job in jobs] + [path.name for path in leases]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    return json.dumps(value)
