"""A loaded configuration: raw tables with the origin of each setting, typed when a room asks.

Rooms bring their own types, so that a user's kind of target is as good as ours; nothing here knows
what a section means.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_vdkprobe.config.entries import EntrySettings, only, without
from pytest_vdkprobe.config.lines import line_of
from pytest_vdkprobe.config.origin import DEFAULT, Key, Origin, as_key, dotted
from pytest_vdkprobe.config.overrides import Given
from pytest_vdkprobe.config.placeholders import filled, remedy, unknown
from pytest_vdkprobe.config.printing import printable, redacted, rows
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.config.sections import SECTIONS, shape_of
from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    from pytest_vdkprobe.config.schema import Fitting

T = TypeVar("T")
Kind = Literal["native", "heartbeat", "env", "sandbox"]


class Configuration:
    """What `load` returns. Never changes; each section is converted once, when first asked for."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        tables: dict[str, Any],
        *,
        origins: Mapping[Key, Origin] | None = None,
        base_dir: Path | None = None,
        warnings: tuple[str, ...] = (),
        hints: Mapping[Key, str] | None = None,
    ) -> None:
        self.name = name
        """The file as it was given, or `environment`, or `sandbox`."""
        self.kind: Kind = kind
        self.base_dir = base_dir or Path()
        """Where relative paths start from."""
        self.warnings = warnings
        """What the user should know although it stops nothing; one line each."""
        self._tables = tables
        self._origins = dict(origins or {})
        self._hints = dict(hints or {})
        self._typed: dict[str, tuple[object, object]] = {}
        self._entries: dict[str, dict[str, EntrySettings]] = {}

    def section(self, name: str, wanted: type[T]) -> T:
        """`[name]` as a `wanted`; its defaults when the section is missing.

        Raises ConfigError for an unknown key, a wrong type, a missing setting without default.
        """
        if name in self._typed and self._typed[name][0] is wanted:
            return self._typed[name][1]  # type: ignore[return-value]  # it was made as a `wanted`
        self._check_shape(name, many=False)
        value = self._fitting().convert(self._tables.get(name, {}), wanted, (name,))
        self._remember(name, wanted, value)
        return value

    def sections(self, name: str, wanted: type[T]) -> tuple[T, ...]:
        """Every `[[name]]` as a `wanted`, in the order of the file; empty when there is none."""
        if name in self._typed and self._typed[name][0] is wanted:
            return self._typed[name][1]  # type: ignore[return-value]  # it was made as a tuple of it
        self._check_shape(name, many=True)
        fitting = self._fitting()
        values = tuple(
            fitting.convert(without(table, wanted), wanted, (name, str(index)))
            for index, table in enumerate(self._tables.get(name, []))
        )
        self._remember(name, wanted, values)
        return values

    def entries(self, name: str) -> dict[str, EntrySettings]:
        """What each `[[name]]` says of its steps, by the entry's name.

        Raises ConfigError as `sections` does.
        """
        if not SECTIONS.get(name):
            return {}
        if name not in self._entries:
            self._check_shape(name, many=True)
            fitting = self._fitting()
            self._entries[name] = {
                str(plain_name(table) or index): fitting.convert(
                    only(table), EntrySettings, (name, str(index))
                )
                for index, table in enumerate(self._tables.get(name, []))
            }
        return self._entries[name]

    def names(self, section: str) -> list[object]:
        """The `name` of each `[[section]]` as it was written, of whatever type; None without."""
        entries = self._tables.get(section)
        return [plain_name(table) for table in entries] if isinstance(entries, list) else []

    def sets(self, section: str, name: str, key: str) -> bool:
        """Whether the entry called `name` of `[[section]]` says anything at `key`."""
        entries = self._tables.get(section)
        return isinstance(entries, list) and any(
            plain_name(table) == name and key in table for table in entries
        )

    def table(
        self, key: Key, wanted: type[T], *, placeholders: Mapping[str, str] | None = None
    ) -> T:
        """The table at `key` (`("routes", "0", "target")`) as a `wanted`, for types told by a kind.

        Each `{name}` of `placeholders` in its texts is replaced, at any depth, and looked up only
        then. Raises ConfigError as `section` does, and for a `{name}` that is none of them, but in
        the settings that `wanted.filled_later` names; with None, texts stay as they are.
        """
        value = _at(self._tables, key)
        if placeholders is not None:
            self._refuse_unknown(value, placeholders, key, getattr(wanted, "filled_later", ()))
            value = filled(value, placeholders)
        if len(key) == 2 and SECTIONS.get(key[0]):
            value = without(value, wanted)
        return self._fitting().convert({} if value is None else value, wanted, key)

    def _refuse_unknown(
        self, value: object, placeholders: Mapping[str, str], key: Key, later: tuple[str, ...]
    ) -> None:
        for found in unknown(value, placeholders, key, later=later):
            known = sorted(placeholders)
            raise self._fitting().complaint(
                f"Nothing is known to fill in for {{{found.name}}}.",
                found.key,
                value=printable(found.text, found.key),
                expected="one of " + ", ".join(f"{{{name}}}" for name in known)
                if known
                else "the value itself: nothing is filled in here",
                to_try=remedy(found.name, known),
            )

    def located(self, problem: ConfigError) -> ConfigError:
        """The same, with the line that it is about, or with what has set it in place of the file.

        Rooms know their keys, and not where a setting came from.
        """
        if problem.file != self.name or not problem.key:
            return problem
        key = as_key(problem.key)
        origin = self.origin(key)
        if origin.kind in ("command line", "environment"):
            problem.checked = f"key {problem.key} from {origin.text}"
        elif self.kind == "native":
            with suppress(OSError, ValueError):
                text = (self.base_dir / Path(self.name).name).read_text("utf-8-sig")
                problem.at_line(line_of(text, key))
        return problem

    def check_sections(self, known: Mapping[str, type]) -> None:
        """Convert each section whose type is known, and raise the first thing wrong with any."""
        for problem in self.problems(known):
            raise problem

    def problems(self, known: Mapping[str, type]) -> list[ConfigError]:
        """The first thing wrong with each section whose type is known."""
        found = []
        for name, wanted in known.items():
            try:
                if SECTIONS.get(name):
                    self.sections(name, wanted)
                else:
                    self.section(name, wanted)
            except ConfigError as problem:
                found.append(problem)
        return found

    def __contains__(self, name: object) -> bool:
        """Whether anything at all is set in the section."""
        return name in self._tables

    def source(self, key: str) -> str:
        """Where `control.url` comes from: a file, `--vdk-set`, `environment NAME` or `default`."""
        return self.origin(as_key(key)).text

    def origin(self, key: Key) -> Origin:
        """Where the setting comes from; of a table, where most of it does."""
        for length in range(len(key), 0, -1):
            if key[:length] in self._origins:
                return self._origins[key[:length]]
        if not key or _at(self._tables, key) is not None:
            return Origin(self.name, "environment" if self.kind == "env" else "file")
        return DEFAULT

    def settings(self, *, defaults: bool = True) -> list[tuple[str, str, str]]:
        """Every setting as (key, printable value, source); secrets show only their place.

        Defaults are those of the sections that somebody has asked for by now; what is unset and
        has no default is left out.
        """
        found: list[tuple[str, str, str]] = []
        for name in dict.fromkeys([*self._tables, *self._typed]):
            leaves = dict(rows(self._typed[name][1], (name,)) if name in self._typed else ())
            # What only a kind knows to type is told as it was written.
            for key, leaf in rows(self._tables.get(name, {}), (name,)):
                leaves.setdefault(key, leaf)
            for key, leaf in leaves.items():
                origin = self.origin(key)
                if origin.kind == "default" and (not defaults or leaf in (None, "", (), [])):
                    continue
                found.append((dotted(key), printable(leaf, key), origin.text))
        return found

    def learn_secrets(self) -> None:
        """Make every secret that is named known to the redactor, also those that nobody reads.

        Except those of commands, which are for who needs them; what can't be read is told there.
        """
        for name, table in self._tables.items():
            for key, leaf in rows(table, (name,)):
                if isinstance(leaf, SecretRef) and not leaf.command:
                    with suppress(ConfigError):
                        leaf.resolve(base_dir=self.base_dir, key=dotted(key), several_lines=True)

    def raw_tables(self) -> dict[str, Any]:
        """A copy of the tables, with overrides as they were read and secrets by their places."""
        from pytest_vdkprobe.config.schema import plain  # noqa: PLC0415 - a cycle else

        return {name: plain(table) for name, table in self._tables.items()}

    def origins(self) -> list[tuple[Key, Origin]]:
        """Where each setting comes from that does not simply stand in the file."""
        return list(self._origins.items())

    def redacted_tables(self) -> dict[str, Any]:
        """The tables as they may be written to a report: secrets replaced by their place."""
        return {name: redacted(table, (name,)) for name, table in self._tables.items()}

    def _check_shape(self, name: str, *, many: bool) -> None:
        table = self._tables.get(name)
        if table is None or isinstance(table, list if many else dict):
            return
        raise ConfigError(
            f"The section {name} is not written as it is read.",
            file=self.name,
            key=name,
            expected=f"[[{name}]] before each entry" if many else f"[{name}], once",
            to_try=f"write {shape_of(name)}",
        )

    def _remember(self, name: str, wanted: type, value: object) -> None:
        # A type that lets unknown keys pass only peeks (at the names of all entries, say).
        config = getattr(wanted, "__struct_config__", None)
        if config is None or config.forbid_unknown_fields:
            self._typed[name] = (wanted, value)

    def _fitting(self) -> Fitting:
        from pytest_vdkprobe.config.schema import Fitting  # noqa: PLC0415 - a cycle else

        return Fitting(self.origin, self.base_dir, self._hints)


def plain_name(table: object) -> object:
    """The `name` of an entry as it was written or given; None where it has none."""
    name = table.get("name") if isinstance(table, dict) else None
    if isinstance(name, Given):
        return name.parsed if isinstance(name.parsed, str) else name.text
    return name


def _at(tables: object, key: Key) -> object:
    """What stands at the key, or None."""
    for part in key:
        if isinstance(tables, dict):
            tables = tables.get(part)
        elif isinstance(tables, list) and part.isdigit() and int(part) < len(tables):
            tables = tables[int(part)]
        else:
            return None
    return tables
