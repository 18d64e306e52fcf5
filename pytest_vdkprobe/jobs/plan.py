"""What data jobs a run would create for [[jobs]]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.jobs.template import load_template

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration


def plan(configuration: Configuration, *, run_id: str) -> list[str]:
    """A line for each, and for its companion."""
    lines = []
    for settings in configuration.sections("jobs", JobSettings):
        base_dir = configuration.base_dir
        template = load_template(settings.source, settings=settings, base_dir=base_dir)
        lines.append(f"  data job {settings.remote_name(run_id)}  ({template.origin})")
        if not template.proves:
            companion = settings.companion()
            lines.append(f"  data job {companion.remote_name(run_id)}  (its companion)")
    return lines
