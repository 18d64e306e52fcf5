"""What a journey consists of, as far as it can be hashed: its code, its jobs, its settings.

The history calls these models. What a journey surely does not look at is left out (another job's
directory), what can't be told apart counts (a user's own sections); so a change may run a journey
in vain, and never leaves one out that it concerns. Of a secret, its place is a model, never itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.history.files import of_bytes, of_text
from pytest_vdkprobe.journeys.scenarios import Journey

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.history.models import Model
    from pytest_vdkprobe.journeys.run import Run

APART = ("jobs", "routes", "events", "endpoints", "pipelines", "tables")
"""Our lists: their entries don't concern each other, nor those of the other lists."""
OF_NO_ACCOUNT = re.compile(r"run\.(lease_folder|report_folder)|history\..*|upgrade\..*")
"""Settings that decide where something is written, and nothing about the platform."""
OF_A_SANDBOX = re.compile(r"127\.0\.0\.1:\d+|[^\s'\"]*vdkprobe-sandbox-[^/\s'\"]*")
"""What is new with each sandbox: its port, and its folder."""


def models_of(journey: Journey, run: Run, config: pytest.Config) -> list[Model]:
    """All of them, sorted by their paths: `scenario/...`, `job/...`, `configuration/...`."""
    found = [*_code(journey, config), *_jobs(journey, run)]
    found += [
        of_text(f"configuration/{key}", value)
        for key, value in settings(run.configuration, journey.kind, journey.subject)
    ]
    found.append(of_text("version/pytest-vdkprobe", own_version()))
    return sorted(found, key=lambda model: model.path)


def settings(configuration: Configuration, kind: str, subject: str) -> Iterator[tuple[str, str]]:
    """The settings that a journey may depend on, by key, as they may be shown."""
    for section, table in configuration.redacted_tables().items():
        if isinstance(table, list):
            for entry in table:
                name = entry.get("name") if isinstance(entry, dict) else None
                if name == subject or section not in APART or kind not in APART:
                    yield from _leaves(f"{section}.{name}", entry, configuration)
        else:
            yield from _leaves(section, table, configuration)


def own_version() -> str:
    """The version of this package."""
    from importlib.metadata import version  # noqa: PLC0415 - takes a millisecond

    return version("pytest-vdkprobe")


def _leaves(key: str, value: Any, configuration: Configuration) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(f"{key}.{name}", part, configuration)
    elif not OF_NO_ACCOUNT.fullmatch(key):
        text = str(value)
        yield key, OF_A_SANDBOX.sub("*", text) if configuration.kind == "sandbox" else text


def _code(journey: Journey, config: pytest.Config) -> Iterator[Model]:
    """The scenario's file, and every conftest.py that pytest has loaded."""
    file = getattr(journey.obj, "__file__", None)
    if file is not None:
        yield of_bytes(f"scenario/{Path(file).name}", Path(file).read_bytes())
    here = config.invocation_params.dir
    for plugin in config.pluginmanager.get_plugins():
        path = getattr(plugin, "__file__", None)
        if path is not None and Path(path).name == "conftest.py":
            name = os.path.relpath(path, here).replace(os.sep, "/")
            yield of_bytes(f"scenario/{name}", Path(path).read_bytes())


def _jobs(journey: Journey, run: Run) -> Iterator[Model]:
    """The files of the job that a heartbeat is for; of all jobs where a user's kind may be."""
    of_ours = journey.kind in APART and journey.kind != "jobs"
    if "jobs" not in run.configuration or of_ours:
        return
    from pytest_vdkprobe.jobs.settings import JobSettings  # noqa: PLC0415 - where there are jobs
    from pytest_vdkprobe.jobs.template import load_template  # noqa: PLC0415 - as above

    for entry in run.configuration.sections("jobs", JobSettings):
        if journey.kind == "jobs" and entry.name != journey.subject:
            continue
        template = load_template(entry.source, settings=entry, base_dir=run.configuration.base_dir)
        for name, content in template.files.items():
            yield of_bytes(f"job/{entry.name}/{name}", content)
