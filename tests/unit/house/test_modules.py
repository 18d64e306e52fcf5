"""Rules that hold for each module alone: empty packages, no bare sleep, a readable length."""

from __future__ import annotations

import ast

import pytest

from tests.unit.house.sources import (
    PACKAGE,
    ROOT,
    package_modules,
    scenario_modules,
    shown,
    tree,
)

LONGEST = 400
"""Lines; a module that needs more holds two nouns."""

HOUSE = (*package_modules(), *scenario_modules())
EMPTY = tuple(path for path in HOUSE if path.name == "__init__.py")
EXPORTING = {f"{PACKAGE}/config/__init__.py"}
"""`pytest_vdkprobe.config.load` is how every room, and a user, gets at a configuration."""
MODULES = tuple(path for path in HOUSE if path.name != "__init__.py")
WAITING = ROOT / PACKAGE / "waiting.py"


def sleeps(module: ast.Module) -> list[int]:
    """The lines that call or import `time.sleep`, under whatever name `time` goes."""
    clocks = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "time"
    }
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [node.lineno for alias in node.names if alias.name == "sleep"]
        elif (
            isinstance(node, ast.Attribute)
            and node.attr == "sleep"
            and isinstance(node.value, ast.Name)
            and node.value.id in clocks
        ):
            found.append(node.lineno)
    return found


def test_packages_are_empty() -> None:
    """The first runs before the plugin's own module, and would undo its lean start."""
    full = [path for path in EMPTY if path.read_text(encoding="utf-8").strip()]
    assert {shown(path) for path in full} <= EXPORTING


def test_a_package_that_exports_does_nothing_else() -> None:
    for name in sorted(EXPORTING):
        for node in tree(ROOT / name).body:
            assert isinstance(node, ast.Expr | ast.ImportFrom | ast.Assign), f"{name}:{node.lineno}"


def test_only_waiting_sleeps() -> None:
    found = [
        f"{shown(path)}:{line}"
        for path in MODULES
        if path != WAITING
        for line in sleeps(tree(path))
    ]
    assert found == [], "wait with pytest_vdkprobe.waiting"


def test_modules_stay_readable() -> None:
    lengths = {shown(path): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}


def test_modules_say_what_they_are() -> None:
    assert [shown(path) for path in MODULES if not ast.get_docstring(tree(path))] == []


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.sleep(1)",
        "import time as clock\nclock.sleep(1)",
        "from time import sleep",
        "def f():\n    from time import monotonic, sleep as nap",
    ],
)
def test_every_spelling_of_sleep_is_found(source: str) -> None:
    assert sleeps(ast.parse(source))


def test_a_sleep_of_something_else_is_not_meant() -> None:
    assert sleeps(ast.parse("import asyncio\nasync def f():\n    await asyncio.sleep(0)")) == []
