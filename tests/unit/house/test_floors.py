"""Imports point down the floors, so that each room can be read, tested and replaced alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.unit.house.sources import (
    PACKAGE,
    ROOT,
    imports,
    package_modules,
    scenario_modules,
    shown,
)

FLOORS: tuple[frozenset[str], ...] = (
    frozenset(
        {
            "errors",
            "verdicts",
            "waiting",
            "secrets",
            "leases",
            "renewing",
            "records",
            "durable",
            "processes",
            "clock",
            "pace",
            "plaintable",
            "tracing",
            "workers",
            "metrics",
        }
    ),
    frozenset({"config"}),
    frozenset({"connections"}),
    frozenset({"control", "jobs", "accounting", "store"}),
    frozenset({"targets", "readers", "history"}),
    frozenset({"routes", "tables", "upgrade", "pipelines", "legacy"}),
    frozenset({"events", "endpoints"}),
    frozenset({"journeys"}),
    frozenset({"observe"}),
    frozenset({"watch"}),
    frozenset({"fixtures", "plugin", "activation", "options", "problems", "remembering"})
    | {"watching", "hookspecs", "kinds", "api", "cli", "rooms", "planning"},
)
"""Ground floor first. A room sees every floor below its own, and not its neighbours."""

SHARED_FLOORS = frozenset({0, len(FLOORS) - 1})
"""The ground floor is one room in several modules, and the top floor wires everything."""

USED_BESIDE = FLOORS[0] | {"config", "connections", "store"}
BESIDE = {"sandbox": USED_BESIDE, "pipeline": USED_BESIDE}
"""What stands beside the house, and all that each may use of it."""

BESIDE_USERS = {
    "sandbox": frozenset({"activation", "cli", "fixtures"}),
    "pipeline": frozenset({"cli", "problems"}),
}
"""Who may import them, and only inside a function: a real platform's run never needs them."""


def room_of(path: Path) -> str:
    """`pytest_vdkprobe/control/client.py` -> `control`, `pytest_vdkprobe/errors.py` -> `errors`."""
    first = path.relative_to(ROOT / PACKAGE).parts[0]
    return first.removesuffix(".py")


def floor_of(room: str) -> int | None:
    return next((floor for floor, rooms in enumerate(FLOORS) if room in rooms), None)


def objection(room: str, used: str, *, lazy: bool) -> str | None:
    """What is wrong with `room` importing from `used`, or nothing."""
    if room == used:
        return None
    if room in BESIDE:
        return None if used in BESIDE[room] else f"{room} stands beside the house"
    if used in BESIDE:
        if room not in BESIDE_USERS[used]:
            return f"only {', '.join(sorted(BESIDE_USERS[used]))} may import {used}"
        return None if lazy else f"{used} is imported lazily only"
    here, there = floor_of(room), floor_of(used)
    if here is None or there is None:
        return "a room without a floor"
    if there < here or (there == here and here in SHARED_FLOORS):
        return None
    return f"floor {there} is not below floor {here}"


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(path) for path in package_modules()} - {"__init__"}
    assert {room for room in rooms if floor_of(room) is None and room not in BESIDE} == set()


def test_imports_point_down() -> None:
    wrong = []
    for path in package_modules():
        for name, line, lazy in imports(path):
            top, *rest = name.split(".")
            reason = top == PACKAGE and rest and objection(room_of(path), rest[0], lazy=lazy)
            if reason:
                wrong.append(f"{shown(path)}:{line} imports {name}: {reason}")
    assert not wrong, "\n".join(wrong)


def test_scenarios_see_fixtures_only() -> None:
    """The public names may be imported too, to say what type a fixture has."""
    allowed = {"pytest", *sys.stdlib_module_names}
    wrong = [
        f"{shown(path)}:{line} imports {name}"
        for path in scenario_modules()
        for name, line, _ in imports(path)
        if name.split(".")[0] not in allowed and not name.startswith(f"{PACKAGE}.api.")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("room", "used", "lazy"),
    [
        ("config", "control", True),
        ("control", "jobs", False),
        ("sandbox", "control", True),
        ("journeys", "sandbox", True),
        ("cli", "sandbox", False),
        ("pipelines", "pipeline", True),
        ("attic", "errors", False),
    ],
)
def test_the_table_refuses(room: str, used: str, lazy: bool) -> None:
    assert objection(room, used, lazy=lazy)


@pytest.mark.parametrize(
    ("room", "used", "lazy"),
    [
        ("verdicts", "errors", False),
        ("observe", "journeys", False),
        ("sandbox", "config", False),
        ("cli", "sandbox", True),
        ("plugin", "fixtures", True),
    ],
)
def test_the_table_allows(room: str, used: str, lazy: bool) -> None:
    assert objection(room, used, lazy=lazy) is None
