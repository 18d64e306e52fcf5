"""What users and their packages bring of one sort, by name: checked when it comes, never doubled.

A target, a reader, a login or a job template of somebody's own comes in by one of three ways, the
hook `pytest_vdkprobe_register`, a call in a `conftest.py`, or an entry point of an installed
package, and is then as good as ours. Entry points are looked at only for a name that nobody knows,
since reading the metadata of all installed packages takes longer than most configurations.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.errors import ConfigError, Finding

T = TypeVar("T")


PACKAGE = Path(__file__).parents[1]
EVERY: list[Registry[Any]] = []
"""All there are, so that tests can forget what another test has brought."""


class Registry(Generic[T]):
    """One sort of things, say targets."""

    def __init__(
        self, word: str, take: Callable[[str, Any], None], shipped: Callable[[], Iterable[str]]
    ) -> None:
        self.word = word
        self.group = f"pytest_vdkprobe.{word.replace(' ', '_')}s"
        """The group of entry points."""
        self._take = take
        self._shipped = shipped
        self._known: dict[str, tuple[T, str]] = {}
        self._looked = False
        EVERY.append(self)

    def add(self, name: str, value: T, *, brought: object) -> None:
        """Take one in. `brought` is the class or function, by which a second one is told apart."""
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"A {self.word} has a name.", value=name, to_try='write it: "acme"')
        place = place_of(brought)
        if isinstance(brought, str | Path):
            # A text stands nowhere: who has brought it does.
            place += f" ({_caller()})"
        if name in self._shipped():
            raise self._clash(name, place, "this package itself")
        if name in self._known and self._known[name][1] != place:
            raise self._clash(name, place, self._known[name][1])
        self._known[name] = (value, place)

    def _clash(self, name: str, one: str, other: str) -> ConfigError:
        return ConfigError(
            f"Two offer a {self.word} called {name}.",
            key=name,
            value=None,
            expected=f"one {self.word} of each name",
            to_try=f"rename one of them, or remove one: {one}, and {other}",
        )

    def get(self, name: str) -> T | None:
        """The one of that name, from an installed package if need be; None where there is none."""
        if name not in self._known:
            self._look()
        found = self._known.get(name)
        return None if found is None else found[0]

    def names(self) -> list[str]:
        """All there are, ours included; for messages."""
        self._look()
        return sorted({*self._shipped(), *self._known})

    def unknown(self, name: str, *, file: str | None = None, key: str | None = None) -> ConfigError:
        """What to say of a name that nobody brings."""
        known = self.names()
        return ConfigError(
            f"There is no kind of {self.word} called {name}.",
            file=file,
            key=key,
            value=name,
            expected="one of " + ", ".join(known),
            to_try=f"{did_you_mean(name, known)}; one of your own comes from the conftest.py of "
            "the folder that you call this in, or from an installed package",
        )

    def _look(self) -> None:
        if self._looked:
            return
        from importlib.metadata import entry_points  # noqa: PLC0415 - reads all packages' metadata

        for point in entry_points(group=self.group):
            try:
                brought = point.load()
            except Exception as exc:
                whose = point.dist.name if point.dist is not None else "a package"
                problem = ConfigError(
                    f"The {self.word} {point.name} that {whose} offers can't be loaded.",
                    file=raised_at(exc),
                    key=f"entry point {self.group}: {point.value}",
                    to_try=f"repair or uninstall {whose}; pytest -v shows the traceback",
                )
                problem.seen = in_short(exc)
                raise problem from exc
            self._take(point.name, brought)
        # Only now: what can't be loaded is told whenever it is asked for, not the first time alone.
        self._looked = True

    def forget(self) -> None:
        """Back to what is shipped; for tests that run several runs in one process."""
        self._known.clear()
        self._looked = False


def place_of(brought: object) -> str:
    """Where a class or function is written, for people: `conftest.py:12 (SqliteTarget)`."""
    name = getattr(brought, "__qualname__", None) or repr(brought)
    try:
        file = inspect.getsourcefile(brought) or "?"  # type: ignore[arg-type]  # TypeError if not
        _, line = inspect.getsourcelines(brought)  # type: ignore[arg-type]  # as above
    except (TypeError, OSError):
        return str(name)
    return f"{Path(file)}:{line} ({name})"


def raised_at(exc: BaseException, *, files: Collection[str] = ()) -> str | None:
    """The line of users' code to look at, `conftest.py, line 12`; None where nothing of it is seen.

    The wrong syntax, else the last line in one of `files`, else the last that is not the import
    system's, pytest's or this package's.
    """
    if isinstance(exc, SyntaxError) and exc.filename:
        return f"{exc.filename}, line {exc.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(exc.__traceback__)
        if not frame.filename.startswith("<frozen")
        and not {"importlib", "_pytest", "pluggy"} & {*Path(frame.filename).parts}
        and not Path(frame.filename).is_relative_to(PACKAGE)
    ]
    own = [frame for frame in frames if frame.filename in files]
    return next((f"{f.filename}, line {f.lineno}" for f in reversed(own or frames)), None)


def in_short(exc: BaseException) -> str:
    """An exception in one line: its type, and what it says if it says anything."""
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}".removesuffix(": ")


def _caller() -> str:
    """The nearest line on the way here that is not this package's."""
    for frame in reversed(traceback.extract_stack()):
        if not Path(frame.filename).is_relative_to(PACKAGE):
            return f"{frame.filename}:{frame.lineno}"
    return "unknown"


@contextmanager
def of_users(what: str, *, file: str | None = None, key: str | None = None) -> Iterator[None]:
    """Tell what users' code raises in here, and is no finding, as what is wrong with `what`."""
    try:
        yield
    except Finding:
        raise
    except Exception as exc:
        raise ConfigError(
            f"{what} broke: {in_short(exc)}.",
            file=file,
            key=key,
            to_try=f"correct it in {raised_at(exc) or 'its code'}; pytest -v shows the traceback",
        ) from exc


def refuse_unless_struct(word: str, name: str, settings: object, brought: object) -> None:
    """Raise ConfigError unless `settings` types a table whose `kind` is `name`, and all of it."""
    import msgspec  # noqa: PLC0415 - with a configuration only

    lacks = []
    if not (isinstance(settings, type) and issubclass(settings, msgspec.Struct)):
        lacks.append("settings: a msgspec.Struct that types its table")
    else:
        config = settings.__struct_config__
        if config.tag_field != "kind" or config.tag != name:
            lacks.append(f'tag_field="kind", tag="{name}" behind msgspec.Struct')
        if not config.forbid_unknown_fields:
            lacks.append("forbid_unknown_fields=True behind msgspec.Struct")
    refuse_lacking(word, name, lacks, brought)


def refuse_unless_called_with(
    word: str, name: str, make: object, given: Mapping[str, str], brought: object
) -> None:
    """Raise ConfigError unless `make` takes the settings, and by keyword what is `given`."""
    if not callable(make):
        refuse_lacking(word, name, ["a class or function that makes one"], brought)
    try:
        inspect.signature(make).bind(object(), **given)  # type: ignore[arg-type]  # callable
    except TypeError as exc:
        names = ", ".join(given)
        wanted = f"a signature that takes (settings, *, {names}): {exc}" if names else str(exc)
        refuse_lacking(word, name, [wanted], brought)
    except ValueError:
        return  # what is written in C tells nothing


def refuse_lacking(word: str, name: str, lacks: list[str], brought: object) -> None:
    """Raise ConfigError if anything is lacking."""
    if lacks:
        raise ConfigError(
            f"The {word} {name} lacks {'; and '.join(lacks)}.",
            key=name,
            expected=f"what the documentation's page on your own {word} shows",
            to_try=f"add it in {place_of(brought)}",
        )


def methods_lacking(brought: object, names: Iterable[str]) -> list[str]:
    """Which of these methods a class does not have; a function shows that only when called."""
    if not isinstance(brought, type):
        return []
    missing = [name for name in names if not callable(getattr(brought, name, None))]
    return (
        [f"the methods {', '.join(missing)}"]
        if len(missing) > 1
        else [f"the method {name}" for name in missing]
    )
