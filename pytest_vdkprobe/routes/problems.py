"""Everything wrong with the configured routes that can be known without touching a platform."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pytest_vdkprobe.accounting.profiles import PROFILES, profile
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs.template import load_template
from pytest_vdkprobe.routes.by_job import problems as of_job
from pytest_vdkprobe.routes.kinds import SIDES, Side, check_columns, kind_of
from pytest_vdkprobe.routes.settings import JOB, ByJob, RouteSettings

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

EXAMPLES = {"run": "0123abcd", "profile": "small", "way": "direct", "route": "route"}


def find_problems(
    configuration: Configuration, placeholders: Mapping[str, str] | None = None
) -> list[ConfigError]:
    """The first thing wrong with each end, and all that is wrong with the rest.

    `placeholders` are examples of what the run's own will stand for.
    """
    try:
        routes = configuration.sections("routes", RouteSettings)
    except ConfigError as problem:
        return [problem]
    filling = ChainMap(EXAMPLES, cast("dict[str, str]", placeholders or {}))
    found: list[ConfigError] = []
    for index, settings in enumerate(routes):
        key = f"routes.{index}"
        found += settings.problems(file=configuration.name, key=key)
        for field, names in (
            ("profiles", settings.profiles),
            ("job.profiles", settings.job.profiles or ()),
        ):
            for number, name in enumerate(names):
                place = f"{key}.{field}.{number}"
                found += _raised(partial(profile, name, file=configuration.name, key=place))
        for side in SIDES:
            found += _raised(partial(_check_end, configuration, index, side, filling))
        if JOB in settings.ways:
            found += _of_job(configuration, index, filling)
    return found


def _of_job(
    configuration: Configuration, index: int, placeholders: Mapping[str, str]
) -> list[ConfigError]:
    """What is wrong with the job that is to send a route's records."""
    key = f"routes.{index}"
    settings = configuration.sections("routes", RouteSettings)[index]
    found: list[ConfigError] = []
    if "control" not in configuration:
        found.append(
            ConfigError(
                "A data job is to send records, and there is no Control Service to run it.",
                file=configuration.name,
                key=f"{key}.ways",
                to_try='add [control] with url and team, or write ways = ["direct"]',
            )
        )
    if settings.job.path is not None:
        load = partial(
            load_template,
            settings.job.path,
            base_dir=configuration.base_dir,
            file=configuration.name,
            key=f"{key}.job.path",
        )
        found += _raised(load)
    place = ("routes", str(index), "job")
    found += _raised(
        partial(configuration.table, place, ByJob, placeholders=placeholders),
    )
    try:
        target = _check_end(configuration, index, "target", placeholders)
    except ConfigError:
        return found  # it was told with the end
    return found + of_job(settings, target, file=configuration.name, key=key)


def _check_end(
    configuration: Configuration, index: int, side: Side, placeholders: Mapping[str, str]
) -> Any:
    key = ("routes", str(index), side)
    route = configuration.sections("routes", RouteSettings)[index]
    name = getattr(route, side).kind
    kind = kind_of(side, name, file=configuration.name, key=".".join((*key, "kind")))
    settings = configuration.table(key, kind.settings, placeholders=placeholders)
    profiles = {*route.profiles, *(route.job.profiles or ())} & {*PROFILES}
    check_columns(settings, sorted(profiles), file=configuration.name, key=".".join(key))
    return settings


def _raised(act: Callable[[], object]) -> list[ConfigError]:
    try:
        act()
    except ConfigError as problem:
        return [problem]
    return []
