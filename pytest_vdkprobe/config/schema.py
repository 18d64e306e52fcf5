"""Raw values made to fit a room's type, or refused in words that say what to write.

msgspec validates too, and has the last word; but it stops at "Expected `object`, got `str`". Here
the type is walked beside the value first, which is what it takes to suggest the nearest key at any
depth, to name the kinds of a tagged union, and never to quote what should have been a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as shapes

from pytest_vdkprobe.config.filepath import MARK
from pytest_vdkprobe.config.nearest import did_you_mean, nearest
from pytest_vdkprobe.config.origin import Key, Origin, dotted
from pytest_vdkprobe.config.overrides import Given
from pytest_vdkprobe.config.ownkind import OwnKind
from pytest_vdkprobe.config.printing import is_secret_name, printable
from pytest_vdkprobe.config.registry import in_short, raised_at
from pytest_vdkprobe.config.secretref import FORMS, SecretRef
from pytest_vdkprobe.config.words import (
    choices_of,
    example_of,
    fits,
    in_words,
    kinds_of,
    name_of_value,
)
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import REDACTOR

T = TypeVar("T")

_OBJECTION = re.compile(r"(?P<field>[a-z][a-z0-9_.]*): (?P<what>.*)", re.DOTALL)


class Fitting:
    """Fits the values of one configuration; `origin_of` says where each came from."""

    def __init__(
        self,
        origin_of: Callable[[Key], Origin],
        base_dir: Path,
        hints: Mapping[Key, str] | None = None,
    ) -> None:
        self.origin_of = origin_of
        self.base_dir = base_dir
        self.hints = hints or {}
        """What to try for a missing setting, where the file has other names for its settings."""

    def convert(self, value: object, wanted: type[T], key: Key) -> T:
        """`value` as a `wanted`. Raises ConfigError for the first thing that does not fit."""
        fitted = self.fit(value, shapes.type_info(wanted), key)
        try:
            return msgspec.convert(fitted, wanted)
        except msgspec.ValidationError as exc:
            raise self._translated(exc, key, fitted) from exc
        except Exception as exc:
            # A type of a user's own: an objection is a ValueError, anything else breaks.
            name = getattr(wanted, "__qualname__", wanted)
            raise self.complaint(
                f"The type {name} of {dotted(key)} broke: {in_short(exc)}.",
                key,
                to_try=f"raise ValueError for what is wrong in {raised_at(exc) or name}; "
                "pytest -v shows the traceback",
            ) from exc

    def fit(self, value: object, shape: shapes.Type, key: Key) -> object:  # noqa: PLR0911 - one for each shape
        """`value` with overrides read as `shape` wants them and paths made absolute."""
        if isinstance(shape, shapes.Metadata):
            fitted = self.fit(value, shape.type, key)
            is_path = bool((shape.extra or {}).get(MARK)) and isinstance(fitted, str)
            return self._absolute(str(fitted), key) if is_path else fitted
        if isinstance(shape, shapes.UnionType):
            return self._fit_union(value, shape, key)
        if isinstance(shape, shapes.StructType):
            return self._fit_struct(value, shape, key)
        if isinstance(value, Given) and isinstance(shape, shapes.StrType):
            return value.parsed if isinstance(value.parsed, str) else value.text
        if isinstance(value, Given):
            value = value.parsed
        if isinstance(shape, shapes.DictType):
            if not isinstance(value, dict):
                raise self._wrong(value, shape, key)
            return {
                name: self.fit(item, shape.value_type, (*key, name)) for name, item in value.items()
            }
        if isinstance(shape, shapes.VarTupleType | shapes.ListType | shapes.SetType):
            if not isinstance(value, list | tuple):
                raise self._wrong(value, shape, key)
            return [
                self.fit(item, shape.item_type, (*key, str(index)))
                for index, item in enumerate(value)
            ]
        if not fits(value, shape):
            raise self._wrong(value, shape, key)
        return plain(value)

    def _fit_union(self, value: object, shape: shapes.UnionType, key: Key) -> object:
        bare = value.parsed if isinstance(value, Given) else value
        structs = [option for option in shape.types if isinstance(option, shapes.StructType)]
        if isinstance(bare, dict) and structs:
            own = self._fit_own(bare, structs, key)
            if own is not None:
                return own
            chosen = structs[0] if len(structs) == 1 else self._by_kind(bare, structs, key)
            return self._fit_struct(bare, chosen, key)
        others = [option for option in shape.types if option not in structs]
        # Text comes last: what was given as text may as well be the number that is asked for.
        for option in sorted(others, key=lambda option: isinstance(option, shapes.StrType)):
            if accepts(value, option):
                return self.fit(value, option, key)
        if any(struct.cls is SecretRef for struct in structs):
            return self._fit_secret(value, key)
        raise self._wrong(bare, shape, key)

    def _fit_own(self, table: dict[str, Any], structs: list[shapes.StructType], key: Key) -> object:
        """A table of a user's own kind, in the form of the member that stands for all of those."""
        standin = next((struct.cls for struct in structs if issubclass(struct.cls, OwnKind)), None)
        kind = plain(table.get("kind"))
        if standin is None or not isinstance(kind, str) or kind in kinds_of(structs):
            return None
        wanted = standin.type_of(kind)
        if wanted is None:
            return None
        self.convert(table, wanted, key)
        fitted = self._fit_struct(table, _struct(wanted), key)
        return {"kind": standin.__struct_config__.tag, "name": kind, "table": fitted}

    def _by_kind(
        self, table: dict[str, Any], structs: list[shapes.StructType], key: Key
    ) -> shapes.StructType:
        kinds = kinds_of(struct for struct in structs if not issubclass(struct.cls, OwnKind))
        own = [s.cls for s in structs if issubclass(s.cls, OwnKind)]
        names = sorted({*kinds, *(name for cls in own for name in cls.names())})
        field = structs[0].tag_field or "kind"
        given = table.get(field)
        kind = (given.parsed if isinstance(given, Given) else given) if given is not None else None
        if isinstance(kind, str) and kind in kinds:
            return kinds[kind]
        if kind is None:
            raise self.complaint(
                f"The setting {dotted(key)} does not say its {field}.",
                (*key, field),
                expected=f"{field} is one of {', '.join(names)}",
                to_try=f'write {key[-1]} = {{ {field} = "{min(kinds)}", ... }}',
            )
        raise self.complaint(
            f"The setting {dotted(key)} has no such {field}.",
            (*key, field),
            value=kind if isinstance(kind, str) else None,
            expected=f"one of {', '.join(names)}",
            to_try=did_you_mean(kind, names) if isinstance(kind, str) else "write it in quotes",
        )

    def _fit_struct(self, value: object, shape: shapes.StructType, key: Key) -> object:
        bare = value.parsed if isinstance(value, Given) else value
        if isinstance(bare, shape.cls):
            return bare
        if shape.cls is SecretRef and not isinstance(bare, dict):
            return self._fit_secret(value, key)
        value = bare
        if not isinstance(value, dict):
            raise self._wrong(value, shape, key)
        fields = {field.encode_name: field for field in shape.fields}
        tag = {shape.tag_field} if shape.tag_field else set()
        if shape.forbid_unknown_fields:
            for name in value:
                if name not in fields and name not in tag:
                    raise self._unknown(name, shape, [*fields, *tag], key)
        for name, field in fields.items():
            if field.required and name not in value:
                raise self.complaint(
                    f"The setting {dotted((*key, name))} is missing.",
                    (*key, name),
                    expected=in_words(field.type),
                    to_try=self.hints.get((*key, name))
                    or self._remedy_for_missing(name, field.type, key),
                )
        fitted = {
            name: self.fit(item, fields[name].type, (*key, name))
            for name, item in value.items()
            if name in fields
        }
        fitted |= {name: plain(value[name]) for name in tag if name in value}
        return fitted

    def _fit_secret(self, value: object, key: Key) -> dict[str, str]:
        """A plain value where a secret's place is wanted; only the environment may hold one."""
        if isinstance(value, Given) and value.variable and value.text:
            return {"env": value.variable}
        text = value.text if isinstance(value, Given) else value
        if isinstance(text, str):
            REDACTOR.add(text)
        name = dotted(key)
        if self.origin_of(key).kind == "command line":
            what = f"The secret {name} is given on the command line, where every user sees it."
        else:
            what = f"The secret {name} is written out; a configuration only names its place."
        raise self.complaint(what, key, expected="the place of a secret", to_try=FORMS)

    def _unknown(
        self, name: str, shape: shapes.StructType, known: list[str], key: Key
    ) -> ConfigError:
        where = f"[{dotted(key)}]" if len(key) == 1 else dotted(key)
        tagged = f" of {shape.tag_field} {shape.tag}" if shape.tag_field and len(key) > 1 else ""
        hint = did_you_mean(name, known)
        near = nearest(name, known)
        if near and self.origin_of((*key, name)).kind == "environment":
            hint = f"did you mean VDKPROBE_{'__'.join((*key, near)).upper()}?"
        return self.complaint(f"{where}{tagged} has no setting {name}.", (*key, name), to_try=hint)

    def _remedy_for_missing(self, name: str, shape: shapes.Type, key: Key) -> str:
        line = f"{name} = {example_of(shape)}"
        if len(key) == 1:
            return f"write below [{key[0]}]: {line}"
        if len(key) == 2 and key[1].isdigit():
            return f"write below [[{key[0]}]], in entry {int(key[1]) + 1}: {line}"
        return f"write it inside: {key[-1]} = {{ ..., {line} }}"

    def _absolute(self, text: str, key: Key) -> str:
        if not text.strip():
            return text
        by_hand = self.origin_of(key).kind in ("command line", "environment")
        base = Path() if by_hand else self.base_dir
        return os.path.abspath(base / os.path.expanduser(text))  # noqa: PTH100, PTH111 - these neither follow links nor raise

    def _wrong(self, value: object, shape: shapes.Type, key: Key) -> ConfigError:
        shown: object = (
            value if isinstance(value, int | float) and not is_secret_name(key) else None
        )
        if isinstance(value, str):
            shown = printable(value, key)
        if isinstance(shape, shapes.StructType | shapes.UnionType | shapes.DictType):
            # What stands in place of a table may be the very secret that belongs inside it.
            shown = None if in_words(shape).startswith("a table") else shown
        choices = choices_of(shape)
        if choices and isinstance(value, str):
            what, to_try = "is none of the words it can be", did_you_mean(value, choices)
        else:
            what = f"is {name_of_value(value)}, not {in_words(shape)}"
            meant = isinstance(value, str) and isinstance(shape, shapes.IntType)
            number = value if meant and re.fullmatch(r"[1-9]\d*", str(value)) else None
            to_try = f"write {key[-1]} = {number or example_of(shape)}"
        return self.complaint(
            f"The setting {dotted(key)} {what}.",
            key,
            value=shown,
            expected=in_words(shape),
            to_try=to_try,
        )

    def complaint(
        self,
        what: str,
        key: Key,
        *,
        value: object = None,
        expected: str | None = None,
        to_try: str | None = None,
    ) -> ConfigError:
        """A ConfigError that names the file, or whatever else the setting came from."""
        origin = self.origin_of(key)
        if origin.kind == "default":
            origin = self.origin_of(())
        name = dotted(key)
        if origin.kind in ("command line", "environment"):
            return ConfigError(
                what,
                key=f"{name} from {origin.text}",
                value=value,
                expected=expected,
                to_try=to_try,
            )
        return ConfigError(
            what,
            file=origin.text,
            key=name,
            value=value,
            expected=expected,
            to_try=to_try,
        )

    def _translated(self, exc: msgspec.ValidationError, key: Key, fitted: object) -> ConfigError:
        """What only msgspec noticed: a bound, a pattern, an objection of the type itself.

        A type's own objection may be written "FIELD: what is wrong; what to write".
        """
        what, _, path = str(exc).partition(" - at `$")
        parts = path.rstrip("`").replace("[", ".").replace("]", "").split(".")
        place = (*key, *(part for part in parts if part))
        match = _OBJECTION.match(what)
        if match:
            what = match["what"]
            field = tuple(match["field"].split("."))
            # `auth.url` said by the type of `auth` itself is not `auth.auth.url`.
            while len(field) > 1 and field[0] in place:
                field = field[1:]
            place = (*place, *field)
        what, _, to_try = what.partition("; ")
        return self.complaint(
            f"The setting {dotted(place)} can't be used: {what}.",
            place,
            value=_shown(fitted, place[len(key) :], place),
            to_try=to_try or None,
        )


def _struct(wanted: type) -> shapes.StructType:
    shape = shapes.type_info(wanted)
    if not isinstance(shape, shapes.StructType):
        raise TypeError(wanted)
    return shape


def _shown(fitted: object, inside: Key, key: Key) -> str | int | float | None:
    """The scalar at `inside` of `fitted`, if it is one and may be shown."""
    for part in inside:
        if isinstance(fitted, dict):
            fitted = fitted.get(part)
        elif isinstance(fitted, list) and part.isdigit() and int(part) < len(fitted):
            fitted = fitted[int(part)]
        else:
            return None
    if isinstance(fitted, str):
        return printable(fitted, key)
    return fitted if isinstance(fitted, int | float) and not is_secret_name(key) else None


def accepts(value: object, shape: shapes.Type) -> bool:
    """Whether an override's text, or a plain value, can be taken for this scalar."""
    if isinstance(value, Given):
        bare = shape.type if isinstance(shape, shapes.Metadata) else shape
        return isinstance(bare, shapes.StrType) or fits(value.parsed, shape)
    return fits(value, shape)


def plain(value: object) -> object:
    """`value` without the wrappings of overrides, at any depth."""
    if isinstance(value, Given):
        return plain(value.parsed)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
