"""The kinds of targets and readers: by name, the settings that each takes and what makes one.

Ours are found by the name of their module, so that a route to a file loads no database driver. A
user's are registered by the hook `pytest_vdkprobe_register`, in a `conftest.py`, or by an entry
point (`pytest_vdkprobe.targets`, `pytest_vdkprobe.readers`), and are used in the same way.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.config import registry
from pytest_vdkprobe.config.registry import Registry

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
    "reader": _shipped("reader", "file", "http", "kafka", "postgres", "trino", "websocket"),
}
"""Where each of ours is: its module, its settings, what makes one."""

METHODS: Mapping[Side, tuple[str, ...]] = {
    "target": ("prepare", "send", "remove", "close", "__enter__", "__exit__"),
    "reader": ("prepare", "observe", "remove", "close", "__enter__", "__exit__"),
}
"""What a class must have to be one; targets.target and readers.reader say what each does."""


def register_target(name: str, settings: type, make: Callable[..., Any] | None = None) -> None:
    """Let routes have `target = { kind = "name", ... }`; see `Kind` for the two arguments.

    One class will do if it has the type of its settings as its attribute `settings`. Raises
    ConfigError, which says what is lacking.
    """
    _register("target", name, settings, make)


def register_reader(name: str, settings: type, make: Callable[..., Any] | None = None) -> None:
    """Let routes have `reader = { kind = "name", ... }`; as `register_target`."""
    _register("reader", name, settings, make)


def _register(side: Side, name: str, settings: object, make: Any) -> None:
    if make is None:
        settings, make = getattr(settings, "settings", None), settings
    registry.refuse_unless_struct(side, name, settings, make)
    given = {"leases": "", "base_dir": ""}
    registry.refuse_unless_called_with(side, name, make, given, make)
    lacks = registry.methods_lacking(make, METHODS[side])
    registry.refuse_lacking(side, name, lacks, make)
    kind = Kind(settings, make)  # type: ignore[arg-type]  # checked above
    REGISTRIES[side].add(name, kind, brought=make)


REGISTRIES: Mapping[Side, Registry[Kind]] = {
    "target": Registry("target", register_target, lambda: SHIPPED["target"]),
    "reader": Registry("reader", register_reader, lambda: SHIPPED["reader"]),
}
"""What users have brought."""


def kind_of(side: Side, name: str, *, file: str | None = None, key: str | None = None) -> Kind:
    """The kind called `name`. Raises ConfigError, naming file and key, for one nobody knows."""
    if name in SHIPPED[side]:
        module, settings, make = SHIPPED[side][name]
        loaded = importlib.import_module(module)
        return Kind(getattr(loaded, settings), getattr(loaded, make))
    found = REGISTRIES[side].get(name)
    if found is None:
        raise REGISTRIES[side].unknown(name, file=file, key=key)
    return found


def check_columns(settings: Any, profiles: Iterable[str], *, file: str, key: str) -> None:
    """Raise ConfigError where a kind's settings speak of columns that a profile does not have."""
    check = getattr(settings, "check_columns", None)
    if check is not None:
        for name in profiles:
            check(profile(name).columns, file=file, key=key)


MakeEnd = Callable[..., Any]
"""What makes an end of a route: called with its kind, its settings, and by keyword with `leases`
and `base_dir`."""


def make_end(kind: Kind, settings: Any, **more: Any) -> Any:
    """A target or reader, as its kind makes it."""
    return kind.make(settings, **more)


def require_end(side: Side, made: Any, kind: Kind) -> Any:
    """What a kind has made, if it is one: a function shows only now what it makes."""
    missing = [one for one in (*METHODS[side], "losses") if not hasattr(made, one)]
    if side == "target" and not hasattr(made, "batch"):
        missing.append("batch")
    name = str(kind.settings.__struct_config__.tag)
    registry.refuse_lacking(side, name, missing, kind.make)
    return made
