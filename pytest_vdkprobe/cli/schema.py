"""`vdkprobe schema`: the JSON Schema of a configuration, for editors and for other programs.

It is made from the very types that configurations are read with, so that it can't say anything
else; what only Python can check (that a file is there, say) it leaves out.
"""

from __future__ import annotations

import argparse
import inspect
import json
from typing import Any

from pytest_vdkprobe.rooms import ROOMS, load

REF = "#/$defs/{name}"
TITLE = "Configuration of pytest-vdkprobe"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `schema`."""
    parser = subparsers.add_parser(
        "schema",
        help="print the JSON Schema of a configuration, for your editor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    """Print it."""
    print(as_text(), end="")
    return 0


def as_text() -> str:
    """The schema as the file that is checked in."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """The schema as plain data."""
    import msgspec  # noqa: PLC0415 - `vdkprobe --help` is quick

    from pytest_vdkprobe.config.entries import EntrySettings  # noqa: PLC0415 - as above
    from pytest_vdkprobe.config.sections import SECTIONS  # noqa: PLC0415 - as above

    types: dict[str, type] = {name: load(room.settings) for name, room in ROOMS.items()}
    ends = _ends()
    everything = [
        *types.values(),
        EntrySettings,
        *(t for side in ends.values() for t in side.values()),
    ]
    shapes, parts = msgspec.json.schema_components(everything, ref_template=REF)
    by_type = dict(zip(everything, shapes, strict=True))
    for part in parts.values():
        part.pop("title", None)
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])
    entry = parts.pop("EntrySettings")["properties"]
    properties: dict[str, Any] = {}
    for name in sorted(SECTIONS):
        shape: dict[str, Any] = by_type[types[name]] if name in types else {"type": "object"}
        if SECTIONS[name]:
            if name in types:
                part = parts[types[name].__name__]
                part["properties"] = {**entry, **part["properties"]}
            shape = {"type": "array", "items": shape}
        properties[name] = shape
    for side, kinds in ends.items():
        parts["RouteSettings"]["properties"][side] = _end(kinds, by_type)
    _open_to_own_kinds(parts)
    properties["scenarios"] = {
        "type": "object",
        "additionalProperties": {"type": ["string", "boolean"]},
        "description": "Names of scenarios, and their modules; false leaves one out.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": dict(sorted(parts.items())),
    }


def _ends() -> dict[str, dict[str, type]]:
    """The settings of our targets and readers, by their kinds."""
    from pytest_vdkprobe.routes.kinds import SHIPPED, SIDES, kind_of  # noqa: PLC0415 - as above

    return {side: {name: kind_of(side, name).settings for name in SHIPPED[side]} for side in SIDES}


def _end(kinds: dict[str, type], by_type: dict[type, Any]) -> dict[str, Any]:
    """One end of a route: a kind of ours with its keys, or any of a user's own."""
    own = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"type": "string", "not": {"enum": sorted(kinds)}}},
    }
    return {"anyOf": [*(by_type[kinds[name]] for name in sorted(kinds)), own]}


def _open_to_own_kinds(parts: dict[str, Any]) -> None:
    """Logins of users' own have a kind that is none of ours, and keys that nobody knows here."""
    known = [
        part["properties"]["kind"]["enum"][0]
        for part in parts.values()
        if "enum" in part.get("properties", {}).get("kind", {})
    ]
    parts["OwnAuthSettings"] = {
        "type": "object",
        "description": "A login scheme of your own, by the name that it is registered under.",
        "required": ["kind"],
        "properties": {"kind": {"type": "string", "not": {"enum": sorted({*known} - {"own"})}}},
    }
    _without_discriminators(parts)


def _without_discriminators(value: Any) -> None:
    """An annotation of OpenAPI's that JSON Schema does not know, and that excludes users' kinds."""
    if isinstance(value, dict):
        value.pop("discriminator", None)
        for one in value.values():
            _without_discriminators(one)
    elif isinstance(value, list):
        for one in value:
            _without_discriminators(one)
