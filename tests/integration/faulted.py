"""A heartbeat on a platform that is wrong on purpose, and what is left behind after it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import requests

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.integration.fault_table import Planted
from tests.integration.heartbeats import (
    Heard,
    configuration,
    heartbeat,
    impatient_from,
    leftovers,
    sandbox,
)

SOMEBODYS = "somebody else's"


@dataclass(frozen=True)
class Faulted:
    """What became of one row of the table."""

    row: Planted
    heard: Heard
    seconds: float
    """Of the heartbeat's whole process."""
    left: list[str]
    """What the next run, on a platform that is right again, found nothing of."""

    @property
    def message(self) -> str:
        """What the first bad step says."""
        step = self.heard.first_bad[0]
        return str(self.heard.steps[step]["finding"]["what"]) if step else ""

    @property
    def short(self) -> str:
        """The same with what was seen, for one line."""
        step = self.heard.first_bad[0]
        seen = self.heard.steps[step]["finding"].get("seen") if step else ""
        return f"{self.message} Seen: {seen}" if seen else self.message

    @property
    def as_expected(self) -> bool:
        """Whether it was seen at its step, with its verdict, and for its reason."""
        return self.heard.first_bad == self.row.expected and self.row.says in self.text

    @property
    def text(self) -> str:
        """All that the first bad step says."""
        step = self.heard.first_bad[0]
        return " ".join(map(str, self.heard.steps[step]["finding"].values())) if step else ""


def run_faulted(row: Planted, folder: Path) -> Faulted:
    """Plant the row's faults on a sandbox of its own and run a heartbeat there; then the next."""
    with sandbox(**row.knobs) as platform:
        if row.foreign_job:
            create_foreign_job(platform, row.foreign_job)
        for plant in row.plants:
            platform.plant(**plant)
        path = configuration(platform, folder, run=impatient_from(row.step), job=row.job)
        started = time.monotonic()
        heard = heartbeat(path, *(["--vdk-quick"] if row.quick else []))
        seconds = time.monotonic() - started
        platform.faults.clear()
        if row.for_good:
            return Faulted(row, heard, seconds, [])
        if leftovers(platform, folder) != [row.foreign_job] * bool(row.foreign_job):
            heartbeat(path, "-k", "reach")  # the next run sweeps what a fault kept from cleanup
        return Faulted(row, heard, seconds, leftovers(platform, folder))


def create_foreign_job(platform: Sandbox, name: str, description: str = SOMEBODYS) -> None:
    """A job that no run of ours made."""
    answer = requests.post(
        f"{platform.url}/data-jobs/for-team/{platform.team}/jobs",
        json={"job_name": name, "team": platform.team, "description": description},
        headers={"Authorization": f"Bearer {platform.tokens.issue('somebody')}"},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text
