"""Everything wrong with the configured routes that can be known without touching a platform."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, cast

from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.routes.kinds import SIDES, Side, kind_of
from pytest_vdkprobe.routes.settings import RouteSettings

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
        for number, name in enumerate(settings.profiles):
            place = f"{key}.profiles.{number}"
            found += _raised(partial(profile, name, file=configuration.name, key=place))
        for side in SIDES:
            found += _raised(partial(_check_end, configuration, index, side, filling))
    return found


def _check_end(
    configuration: Configuration, index: int, side: Side, placeholders: Mapping[str, str]
) -> None:
    key = ("routes", str(index), side)
    name = configuration.sections("routes", RouteSettings)[index]
    end = name.target if side == "target" else name.reader
    kind = kind_of(side, end.kind, file=configuration.name, key=".".join((*key, "kind")))
    configuration.table(key, kind.settings, placeholders=placeholders)


def _raised(act: Callable[[], object]) -> list[ConfigError]:
    try:
        act()
    except ConfigError as problem:
        return [problem]
    return []
