"""Which room has which section, and what can be asked of it: one entry for each, read by whatever
goes through a whole configuration.

Rooms are named by text and loaded when their section is there, so that `vdkprobe --help` and a run
of one scenario load none of the others. A new section is a new entry here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration


class Room(NamedTuple):
    """Places are written `module:name`, below this package."""

    settings: str
    """The type that its section, or each entry of it, is read with."""
    problems: str | None = None
    """What is wrong beyond that type: called with the configuration, returns ConfigErrors."""
    trials: str | None = None
    """What `check --connect` tries: called with the configuration, yields names and attempts."""
    tried: str = ""
    """What that is, for people."""
    plan: str | None = None
    """What a run creates: called with the configuration and `run_id`, returns lines."""
    named: bool = False
    """Whether things on a platform are named by its entries, and texts of these are filled in:
    then `problems` is called with examples of `placeholders` too."""
    alone: bool = False
    """Whether it is of use without a Control Service."""


ROOMS: Mapping[str, Room] = {
    "control": Room("control.settings:ControlSettings"),
    "jobs": Room("jobs.settings:JobSettings", plan="jobs.plan:plan"),
    "run": Room("journeys.settings:RunSettings"),
    "watch": Room("watch.settings:WatchSettings"),
    "metrics": Room("watch.settings:MetricsSettings"),
    "legacy": Room("config.legacy:LegacySettings"),
    "sandbox": Room("sandbox.session:SandboxSettings"),
    "routes": Room(
        "routes.settings:RouteSettings",
        problems="routes.problems:find_problems",
        trials="routes.trial:trials",
        tried="the ends of routes",
        plan="routes.plan:plan",
        named=True,
        alone=True,
    ),
    "tables": Room(
        "tables.settings:TablesSettings",
        problems="tables.problems:find_problems",
        trials="tables.trial:trials",
        tried="the databases of tables",
        plan="journeys.table_subject:plan",
        named=True,
        alone=True,
    ),
    "events": Room(
        "events.settings:EventsSettings",
        problems="events.find:find_problems",
        trials="events.find:trials",
        tried="the ends of event pipelines",
        plan="events.find:plan",
        named=True,
        alone=True,
    ),
    "endpoints": Room(
        "endpoints.settings:EndpointTasksSettings",
        trials="endpoints.find:trials",
        tried="endpoints",
        plan="endpoints.find:plan",
        alone=True,
    ),
    "pipelines": Room(
        "pipelines.settings:PipelineCheck",
        problems="pipelines.find:find_problems",
        trials="pipelines.find:trials",
        tried="the servers of pipelines",
        plan="pipelines.find:plan",
        named=True,
        alone=True,
    ),
    "pipeline": Room(
        "pipeline.settings:PipelineSettings",
        trials="pipeline.trial:trials",
        tried="the pipeline's servers",
        alone=True,
    ),
    "history": Room("history.settings:HistorySettings", problems="history.settings:find_problems"),
    "upgrade": Room("upgrade.settings:UpgradeSettings", problems="upgrade.settings:find_problems"),
}
"""By the name of the section, in the order in which they are told."""


def present(configuration: Configuration) -> dict[str, Room]:
    """Those whose section is in the configuration."""
    return {name: room for name, room in ROOMS.items() if name in configuration}


def load(place: str) -> Any:
    """What is at the place of a room: a type, or a function."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), name)
