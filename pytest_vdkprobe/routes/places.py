"""Which routes come out in one place, where each would take the other's records for foreign."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.config.entry_names import plain
from pytest_vdkprobe.routes.settings import RouteSettings

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

WHERE = (
    *("kind", "url", "path", "servers", "topic"),
    *("host", "port", "database", "catalog", "schema", "table"),
)
"""The settings of readers, ours and most of users', that say where they look."""


def places(configuration: Configuration) -> dict[str, str]:
    """Of each route, by its name, where it comes out: the same text for the same place.

    Placeholders stay as they are, but for the route's own name: what they stand for may not be
    known yet, and is the same for all routes.
    """
    found = {}
    for index, route in enumerate(configuration.sections("routes", RouteSettings)):
        reader = configuration.table(("routes", str(index), "reader"), dict[str, Any])
        where = {name: reader[name] for name in WHERE if name in reader}
        text = json.dumps(where, sort_keys=True, default=str)
        found[route.name] = text.replace("{route}", plain(route.name))
    return found
