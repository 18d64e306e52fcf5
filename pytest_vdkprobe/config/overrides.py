"""Settings that stand in no file: --vdk-set and the twins in the environment.

Both arrive as text whose type only the setting's own schema knows: `123` may be a number or a
team's name. So the text is kept beside what it would be as TOML until the schema is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from pytest_vdkprobe.config.nearest import did_you_mean, nearest
from pytest_vdkprobe.config.origin import COMMAND_LINE, Key, Origin, as_key, dotted
from pytest_vdkprobe.config.sections import SECTIONS
from pytest_vdkprobe.errors import ConfigError

PREFIX = "VDKPROBE_"
LEVEL = "__"


class Given(NamedTuple):
    """One override: the text as given, and what it is when read as a TOML value."""

    text: str
    parsed: Any
    variable: str | None = None
    """The environment variable that holds it, if one does."""


class Override(NamedTuple):
    """An override with its place and its origin."""

    key: Key
    value: Given
    origin: Origin


def parse(text: str) -> Any:
    """`text` as a TOML value, or as it is when it is none."""
    import tomllib  # noqa: PLC0415 - few runs override anything

    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    # A line break would let the text go on with keys of its own.
    return read["value"] if set(read) == {"value"} and "\n" not in text else text


def from_command_line(overrides: Mapping[str, str]) -> Iterator[Override]:
    """The overrides of --vdk-set."""
    for name, text in overrides.items():
        key = as_key(name)
        if not all(key):
            raise ConfigError(
                f"--vdk-set {name} does not name a setting.",
                key=name,
                expected="SECTION.KEY=VALUE",
                to_try="write for example --vdk-set control.team=blue",
            )
        yield Override(key, Given(text, parse(text)), COMMAND_LINE)


def from_environment(environ: Mapping[str, str]) -> Iterator[Override]:
    """The overrides of VDKPROBE_SECTION__KEY; names without a level are options of the plugin."""
    for name in sorted(environ):
        if not name.startswith(PREFIX) or LEVEL not in name[len(PREFIX) :]:
            continue
        key = tuple(part.lower() for part in name[len(PREFIX) :].split(LEVEL))
        if not all(key):
            raise ConfigError(
                f"The environment variable {name} does not name a setting.",
                key=name,
                expected=f"{PREFIX}SECTION{LEVEL}KEY",
                to_try=f"write for example {PREFIX}CONTROL{LEVEL}TEAM, or unset it",
            )
        text = environ[name]
        origin = Origin(f"environment {name}", "environment")
        yield Override(key, Given(text, parse(text), name), origin)


def beneath_environment(overrides: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Those that no variable sets too: what an ini file says goes after the environment."""
    set_there = {override.key for override in from_environment(environ)}
    return {
        name: text
        for name, text in overrides.items()
        if tuple(part.lower() for part in as_key(name)) not in set_there
    }


def suspicious(environ: Mapping[str, str]) -> list[str]:
    """Warnings about names with one underscore where a setting needs two."""
    sections = [name for name in ("control", "jobs", "routes", "scenarios") if name in SECTIONS]
    return [
        f"{name} is not read: a setting has two underscores between its levels,"
        f" {PREFIX}{section.upper()}{LEVEL}{name[len(PREFIX) + len(section) + 1 :]}."
        for name in sorted(environ)
        for section in sections
        if LEVEL not in name and name.startswith(f"{PREFIX}{section.upper()}_")
    ]


def apply(override: Override, tables: dict[str, Any]) -> Key:
    """Put the value in its place; returns the place, an entry's name in it replaced by its index.

    Raises ConfigError when there is no such place: an unknown section, a setting below one that has
    no settings, an entry that is not there.
    """
    key, value, _ = override
    if key[0] not in SECTIONS:
        near = nearest(key[0], SECTIONS)
        fixed = dotted((near, *key[1:])) if near else None
        raise _no_place(
            override,
            f"there is no section [{key[0]}]",
            f"did you mean {_spelt(override, fixed)}?" if fixed else did_you_mean(key[0], SECTIONS),
        )
    if len(key) == 1:
        raise _no_place(
            override, f"{key[0]} is a whole section", f"name one setting of it: {key[0]}.KEY"
        )
    place: list[str] = []
    parent: Any = tables
    for part, following in pairwise(key):
        many = _many(place, part, following)
        parent, found = _step(override, parent, part, place, many=many)
        place.append(found)
    last = key[-1]
    if isinstance(parent, list):
        last = _index(override, parent, last, place)
        if int(last) == len(parent):
            parent.append(value)
        else:
            parent[int(last)] = value
    else:
        parent[last] = value
    return (*place, last)


def _many(place: list[str], part: str, following: str) -> bool:
    """Whether a missing `part` is to become a list: only a section that is one, or by its index."""
    return SECTIONS[part] if not place else following == "0"


def _step(
    override: Override, parent: Any, part: str, place: list[str], *, many: bool
) -> tuple[Any, str]:
    """The container at `part` of `parent`, made when it is missing."""
    if isinstance(parent, list):
        part = _index(override, parent, part, place)
        if int(part) == len(parent):
            parent.append({})
        child = parent[int(part)]
    else:
        child = parent.setdefault(part, [] if many else {})
    if isinstance(child, Given) and isinstance(child.parsed, dict | list):
        child = child.parsed
        parent[int(part) if isinstance(parent, list) else part] = child
    if not isinstance(child, dict | list):
        where = dotted((*place, part))
        raise _no_place(override, f"{where} has no settings below it", f"set {where} itself")
    return child, part


def _index(override: Override, entries: list[Any], part: str, place: list[str]) -> str:
    """The index that `part` stands for: itself, or that of the entry of this name."""
    if part.isascii() and part.isdigit() and int(part) <= len(entries):
        return str(int(part))
    for index, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if (name.parsed if isinstance(name, Given) else name) == part:
            return str(index)
    known = [entry.get("name", "") for entry in entries if isinstance(entry, dict)]
    names = [name for name in known if isinstance(name, str) and name]
    where = dotted(tuple(place))
    raise _no_place(
        override,
        f"{where} has no entry {part}",
        f"use a number from 0 to {len(entries)}, or a name"
        + (f": {did_you_mean(part, names)}" if names else ""),
    )


def _no_place(override: Override, why: str, to_try: str) -> ConfigError:
    name = _spelt(override, dotted(override.key))
    by = "--vdk-set " if override.origin == COMMAND_LINE else "The environment variable "
    return ConfigError(f"{by}{name} sets nothing: {why}.", key=name, to_try=to_try)


def _spelt(override: Override, key: str) -> str:
    """The key as it is written where the override comes from."""
    if override.value.variable is None:
        return key
    return PREFIX + key.upper().replace(".", LEVEL)
