"""The kinds of targets and readers: by name, the settings that each takes and what makes one.

Ours are found by the name of their module, so that a route to a file loads no database driver. A
user's are registered in a `conftest.py`, and are checked, told and used in the same way.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.errors import ConfigError

Side = Literal["target", "reader"]
SIDES: tuple[Side, ...] = ("target", "reader")


class Kind(NamedTuple):
    """One kind of target or reader."""

    settings: type[Any]
    """A msgspec.Struct tagged with the kind's name, that forbids unknown fields."""
    make: Callable[..., Any]
    """Called with the settings and, by keyword, the store for `leases` and `base_dir`."""


def _shipped(side: Side, *names: str) -> dict[str, tuple[str, str, str]]:
    word = side.capitalize()
    return {
        name: (
            f"pytest_vdkprobe.{side}s.{name}",
            f"{name.capitalize()}{word}Settings",
            f"{name.capitalize()}{word}",
        )
        for name in names
    }


SHIPPED: Mapping[Side, Mapping[str, tuple[str, str, str]]] = {
    "target": _shipped("target", "file", "http", "kafka", "postgres", "trino"),
    "reader": _shipped("reader", "file", "http", "kafka", "postgres", "trino"),
}
"""Where each of ours is: its module, its settings, what makes one."""

_REGISTERED: dict[tuple[Side, str], Kind] = {}


def register_target(name: str, settings: type, make: Callable[..., Any]) -> None:
    """Let routes have `target = { kind = "name", ... }`; see `Kind` for the two arguments."""
    _REGISTERED["target", name] = Kind(settings, make)


def register_reader(name: str, settings: type, make: Callable[..., Any]) -> None:
    """Let routes have `reader = { kind = "name", ... }`; see `Kind` for the two arguments."""
    _REGISTERED["reader", name] = Kind(settings, make)


def kind_of(side: Side, name: str, *, file: str | None = None, key: str | None = None) -> Kind:
    """The kind called `name`. Raises ConfigError, naming file and key, for one nobody knows."""
    if (side, name) in _REGISTERED:
        return _REGISTERED[side, name]
    if name in SHIPPED[side]:
        module, settings, make = SHIPPED[side][name]
        loaded = importlib.import_module(module)
        return Kind(getattr(loaded, settings), getattr(loaded, make))
    known = sorted({*SHIPPED[side], *(other for of, other in _REGISTERED if of == side)})
    raise ConfigError(
        f"There is no kind of {side} called {name}.",
        file=file,
        key=key,
        value=name,
        expected="one of " + ", ".join(known),
        to_try=did_you_mean(name, known),
    )
