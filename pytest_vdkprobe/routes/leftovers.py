"""The places that configured routes lead to, where killed runs may have left something."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from pytest_vdkprobe.routes.kinds import SIDES, kind_of
from pytest_vdkprobe.routes.problems import EXAMPLES
from pytest_vdkprobe.routes.settings import RouteSettings

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration


def ends(configuration: Configuration, placeholders: Mapping[str, str]) -> Iterator[Any]:
    """The settings of every end; names of single passages are of no matter here."""
    filling = ChainMap(EXAMPLES, cast("dict[str, str]", placeholders))
    for index, route in enumerate(configuration.sections("routes", RouteSettings)):
        for side in SIDES:
            kind = kind_of(side, getattr(route, side).kind, file=configuration.name)
            key = ("routes", str(index), side)
            yield configuration.table(key, kind.settings, placeholders=filling)
