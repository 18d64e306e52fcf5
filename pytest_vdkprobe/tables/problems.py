"""Everything wrong with the configured tables that can be known without touching a database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.postgres import LONGEST_NAME
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs.settings import refuse_secrets
from pytest_vdkprobe.tables.moves import BY_PROBE, MOVES, TEMPLATES
from pytest_vdkprobe.tables.rows import COLUMNS
from pytest_vdkprobe.tables.settings import TablesSettings, by_whom, place_of

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

ROLES = ("source", "view", *MOVES)
MAY_BE_LEFT_OUT = tuple(column.source for column in COLUMNS if not column.needed)


def find_problems(
    configuration: Configuration, placeholders: Mapping[str, str] | None = None
) -> list[ConfigError]:
    """All that is wrong with every entry; `placeholders` are examples of what a run fills in."""
    try:
        entries = configuration.sections("tables", TablesSettings)
    except ConfigError as problem:
        return [problem]
    found: list[ConfigError] = []
    for index, entry in enumerate(entries):
        try:
            place_of(configuration, index, placeholders)
        except ConfigError as problem:
            found.append(problem)
        found += refuse_secrets(entry.vdk, file=configuration.name, key=f"tables.{index}.vdk")
        found += [
            ConfigError(
                what,
                file=configuration.name,
                key=f"tables.{index}.{field}",
                value=value,
                to_try=to_try,
            )
            for what, field, value, to_try in _wrong(entry, configuration)
        ]
    return found


Wrong = tuple[str, str, object, str]
"""What is wrong, with which key, its value, and what to write."""


def _wrong(entry: TablesSettings, configuration: Configuration) -> list[Wrong]:
    by = by_whom(entry, configuration)
    wrong: list[Wrong] = []
    if by == "job" and "control" not in configuration:
        cure = "add [control], or write by = 'probe'"
        wrong.append(("A data job needs a Control Service.", "by", by, cure))
    if entry.moves is not None and not entry.moves:
        cure = 'write ["python", "sql"], say'
        wrong.append(("An entry without moves shows nothing.", "moves", (), cure))
    for number, move in enumerate(entry.moves or ()):
        if move not in MOVES:
            what, cure = "Nothing moves rows in this way.", "one of " + ", ".join(MOVES)
        elif move in TEMPLATES and (by == "probe" or entry.database.kind != "trino"):
            what = "Templates are run by a data job, in Trino."
            cure = "leave it out: " + ", ".join(BY_PROBE) + " are left"
        else:
            continue
        wrong.append((what, f"moves.{number}", move, cure))
    wrong += [
        (
            "No column that may be left out has this name.",
            f"without.{number}",
            name,
            "one of " + ", ".join(MAY_BE_LEFT_OUT),
        )
        for number, name in enumerate(entry.without)
        if name not in MAY_BE_LEFT_OUT
    ]
    for role in entry.called:
        if role not in ROLES:
            what, cure = "No table has this role.", "one of " + ", ".join(ROLES)
            wrong.append((what, f"called.{role}", role, cure))
    for role in ROLES:
        key = f"called.{role}" if role in entry.called else "prefix"
        if len(entry.table("12345678", role).encode()) > LONGEST_NAME:
            text = entry.called.get(role, entry.prefix)
            what = "A table's name would be too long."
            wrong.append((what, key, text, f"shorten it, or the entry's name: {role} is added"))
            break
    return wrong
