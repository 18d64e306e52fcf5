"""Where each scenario's code is: ours, or what the section [scenarios] names instead.

A scenario is called by its name in every report, whoever wrote it, so the name is told apart from
the module here. What is wrong with a module is told when tests are collected, with the file and the
line, and before anything is created.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pytest_vdkprobe.config.registry import in_short, raised_at
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.journeys.steps import TEST_PREFIX

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

SCENARIOS_PACKAGE = "pytest_vdkprobe.scenarios"
NAME = re.compile(r"[A-Za-z_][\w-]*")
"""What ids begin with, and can be named by on a command line."""
FORMS = '"heartbeat", "package.module", "checks/test_mine.py", a folder of these, true or false'


class Source:
    """One scenario's name, and its module: by import name or by file."""

    def __init__(
        self,
        name: str,
        *,
        module: str | None = None,
        path: Path | None = None,
        configured: ConfigError | None = None,
        base_dir: Path | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self._module = module
        self._configured = configured
        """What to say it with if it is unusable: names file, key and value. None for ours."""
        self._base_dir = base_dir

    @property
    def shipped(self) -> bool:
        """Whether it is as the package brings it."""
        return self._configured is None

    def load(self) -> ModuleType:
        """Import it, with assertions that say what they compared. Raises ConfigError."""
        name = self._module
        if self.path is not None:
            name = self._importable(self.path)
        if name is None:
            raise AssertionError(self.name)
        if name not in sys.modules:
            # For what somebody has imported before us it is too late, and pytest would warn.
            pytest.register_assert_rewrite(name)
        if self.shipped:
            return importlib.import_module(name)
        if self.path is None and self._base_dir is not None:
            # Beside the configuration counts too, after all that is installed.
            folder = str(self._base_dir.absolute())
            if folder not in sys.path:
                sys.path.append(folder)
        try:
            return importlib.import_module(name)
        except Exception as exc:
            raise self._unimportable(name, exc) from exc

    def problem(self, what: str, to_try: str, *, seen: str | None = None) -> ConfigError:
        """What is wrong with it, as said of the line of the configuration that names it."""
        told = self._configured
        if told is None:
            return ConfigError(what, key=self.name, to_try=to_try)
        error = ConfigError(
            what, file=told.file, key=told.key, value=seen or told.value, to_try=to_try
        )
        if seen is not None:
            error.seen = seen
        return error

    def _importable(self, path: Path) -> str:
        """The import name of a file; the folder that it is imported from is made known."""
        root, parts = path.parent, [path.stem]
        while (root / "__init__.py").is_file():
            parts.insert(0, root.name)
            root = root.parent
        first = root / parts[0] / "__init__.py" if len(parts) > 1 else path
        taken = _place_of(parts[0])
        if taken is not None and not _same(taken, first):
            raise self.problem(
                f"The scenario {self.name} would be imported as {parts[0]}, and so is another "
                "module.",
                f"rename {first.name if first == path else first.parent.name}; or make the folder a"
                f" package of its own: put an empty __init__.py into {root}",
                seen=f"{first}, and {taken}",
            )
        if str(root) not in sys.path:
            sys.path.append(str(root))
        importlib.invalidate_caches()
        return ".".join(parts)

    def _unimportable(self, name: str, exc: Exception) -> ConfigError:
        place = raised_at(exc, files=[str(self.path)] if self.path else ())
        missing = getattr(exc, "name", None)
        lacks_itself = isinstance(exc, ModuleNotFoundError) and name.startswith(str(missing))
        to_try = "correct that line; `python -c 'import ...'` in the same environment shows more"
        if lacks_itself:
            to_try = "install the package that has it, or name the file: " + FORMS
        elif isinstance(exc, ModuleNotFoundError):
            to_try = f"install {missing} in the environment of pytest, or correct that line"
        where = f"{place}: " if place and not lacks_itself else ""
        return self.problem(
            f"The scenario {self.name} can't be imported.",
            to_try,
            seen=where + in_short(exc),
        )


def _place_of(name: str) -> str | None:
    """Where the module of that name is, or would be found; None when there is none."""
    module = sys.modules.get(name)
    if module is not None:
        return str(getattr(module, "__file__", None) or "a module of Python itself")
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or ()), "a namespace package")


def _same(place: str, path: Path) -> bool:
    return Path(place).exists() and path.exists() and Path(place).samefile(path)


def shipped_names() -> list[str]:
    """The scenarios that the package brings, by the names of their modules."""
    spec = importlib.util.find_spec(SCENARIOS_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    found = {path.stem for place in places or () for path in Path(place).glob(TEST_PREFIX + "*.py")}
    return sorted(stem.removeprefix(TEST_PREFIX) for stem in found)


def find_sources(configuration: Configuration) -> tuple[dict[str, Source], list[ConfigError]]:
    """Every scenario by its name, in their order; and what is wrong with [scenarios].

    Nothing is imported: a module that can't be is told when it is collected.
    """
    found = {name: _shipped(name) for name in shipped_names()}
    problems: list[ConfigError] = []
    told: Mapping[str, bool | str] = configuration.section("scenarios", dict[str, bool | str])
    for name, value in told.items():
        error = ConfigError("", file=configuration.name, key=f"scenarios.{name}", value=value)
        try:
            if not NAME.fullmatch(name):
                raise _unusable(error, "A scenario can't be called so.", 'write it like "tenants"')
            if value is False:
                if found.pop(name, None) is None:
                    known = ", ".join(shipped_names())
                    raise _unusable(
                        error,
                        f"There is no scenario {name} to leave out.",
                        f"remove the line; shipped are {known}",
                    )
                continue
            replaced = _sources(name, value, error, configuration)
            found.pop(name, None)
            found |= replaced
        except ConfigError as problem:
            problems.append(problem)
    return dict(sorted(found.items())), problems


def _sources(
    name: str, value: bool | str, error: ConfigError, configuration: Configuration
) -> dict[str, Source]:
    text = name if value is True else str(value)
    shipped = shipped_names()
    if text in shipped:
        return {name: _shipped(name, text)}
    if value is True:
        raise _unusable(error, f"No scenario {name} is shipped.", f"write {FORMS}")
    by_hand = configuration.origin(("scenarios", name)).kind in ("command line", "environment")
    base = Path() if by_hand else configuration.base_dir
    path = (base / Path(text).expanduser()).absolute()
    if path.is_dir():
        files = sorted(path.glob(TEST_PREFIX + "*.py"))
        if not files:
            raise _unusable(
                error,
                f"There is no scenario in the folder {path}.",
                f"put files called {TEST_PREFIX}*.py there, or name another folder",
            )
        names = {f"{name}-{file.stem.removeprefix(TEST_PREFIX)}": file for file in files}
        return {
            one: Source(one, path=file.resolve(), configured=error) for one, file in names.items()
        }
    if path.is_file() and path.suffix == ".py":
        return {name: Source(name, path=path.resolve(), configured=error)}
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", text) and not text.endswith(".py"):
        source = Source(name, module=text, configured=error, base_dir=configuration.base_dir)
        return {name: source}
    raise _unusable(
        error, f"The scenario {name} names a file that is not there: {path}.", f"write {FORMS}"
    )


def _shipped(name: str, module: str | None = None) -> Source:
    return Source(name, module=f"{SCENARIOS_PACKAGE}.{TEST_PREFIX}{module or name}")


def _unusable(error: ConfigError, what: str, to_try: str) -> ConfigError:
    return ConfigError(what, file=error.file, key=error.key, value=error.value, to_try=to_try)
