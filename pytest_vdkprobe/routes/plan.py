"""What a run would create for [[routes]]: the jobs that send, and each passage's own places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdkprobe.jobs.names import run_suffix, with_suffix
from pytest_vdkprobe.routes.by_job import job_name
from pytest_vdkprobe.routes.route import passages
from pytest_vdkprobe.routes.settings import JOB, RouteSettings

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration


def plan(configuration: Configuration, *, run_id: str) -> list[str]:
    """A line for each, with the names that are its own: of its table, topic or file."""
    lines = [
        f"  data job {with_suffix(job_name(route), run_suffix(run_id))}"
        f"  (sends the records of route {route.name})"
        for route in configuration.sections("routes", RouteSettings)
        if JOB in route.ways
    ]
    for name, way, profile, settings, places in passages(configuration, run_id=run_id):
        what = f"{settings.records_of(way):,} {profile} records, {way}"
        ends = f"{settings.target.kind} -> {settings.reader.kind}"
        own = "".join(f", {key} {place}" for key, place in places.items())
        lines.append(f"  route {name}  ({ends}): {what}{own}")
    return lines
