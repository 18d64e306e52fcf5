"""What a run would create, and where, told without touching the platform (`--vdk-plan`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdkprobe.rooms import load, present

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.run import Run


def plan(run: Run) -> list[str]:
    """The lines of the plan: every object with its place, then every setting with its source."""
    service = "no Control Service"
    if "control" in run.configuration:
        service = f"{run.control_settings.url}, team {run.control_settings.team}"
    lines = [f"Run {run.run_id} would use {service}", "", "Creates:"]
    for room in present(run.configuration).values():
        if room.plan is not None:
            lines += load(room.plan)(run.configuration, run_id=run.run_id)
    lines += ["  and deletes them again; leases in " + str(run.leases.folder), "", "Settings:"]
    rows = run.configuration.settings()
    width = max((len(row[0]) for row in rows), default=0)
    return lines + [f"  {key:<{width}}  {value}  ({source})" for key, value, source in rows]
