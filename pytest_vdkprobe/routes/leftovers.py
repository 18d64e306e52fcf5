"""Removing what killed runs left in the places that configured routes lead to."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from pytest_vdkprobe.connections.leftovers import leads_there, remove_leased
from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.routes.kinds import SIDES, kind_of
from pytest_vdkprobe.routes.problems import EXAMPLES
from pytest_vdkprobe.routes.settings import RouteSettings

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.leases import Lease


def remove(
    configuration: Configuration, leases: Iterable[Lease], placeholders: Mapping[str, str]
) -> tuple[list[str], list[tuple[Lease, Finding]]]:
    """Remove what these leases name; returns what was done, and what stays and why.

    A lease of a place that no route leads to is left for a configuration that has one.
    """
    done: list[str] = []
    problems: list[tuple[Lease, Finding]] = []
    ends = list(_ends(configuration, placeholders))
    for lease in leases:
        settings = next((end for end in ends if leads_there(end, lease)), None)
        if settings is None:
            continue
        try:
            if lease.claim():
                done.append(remove_leased(settings, lease, base_dir=configuration.base_dir))
                lease.release()
        except Finding as finding:
            problems.append((lease, finding))
    return done, problems


def _ends(configuration: Configuration, placeholders: Mapping[str, str]) -> Iterator[Any]:
    """The settings of every end; names of single passages are of no matter here."""
    filling = ChainMap(EXAMPLES, cast("dict[str, str]", placeholders))
    for index, route in enumerate(configuration.sections("routes", RouteSettings)):
        for side in SIDES:
            kind = kind_of(side, getattr(route, side).kind, file=configuration.name)
            key = ("routes", str(index), side)
            yield configuration.table(key, kind.settings, placeholders=filling)
