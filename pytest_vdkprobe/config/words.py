"""Types in plain words, for people who write TOML and not Python."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date

from msgspec import inspect as shapes

from pytest_vdkprobe.config.ownkind import OwnKind
from pytest_vdkprobe.config.secretref import SecretRef

SCALARS: tuple[tuple[type[shapes.Type], str, str], ...] = (
    (shapes.StrType, "text", '"..."'),
    (shapes.BoolType, "true or false", "true"),
    (shapes.IntType, "a whole number", "1"),
    (shapes.FloatType, "a finite number", "1.5"),
    (shapes.DateType, "a date", "2026-12-31"),
)
"""The type, what it is called, and an example of it in TOML."""


def in_words(shape: shapes.Type) -> str:  # noqa: PLR0911 - one line for each type
    """`text`, `a number`, `a list of text`, `one of none, api-token`: what is expected."""
    for kind, words, _ in SCALARS:
        if isinstance(shape, kind):
            return words
    if isinstance(shape, shapes.Metadata):
        return in_words(shape.type)
    if choices := choices_of(shape):
        return f"one of {', '.join(choices)}"
    if isinstance(shape, shapes.VarTupleType | shapes.ListType | shapes.SetType):
        return f"a list of {in_words(shape.item_type)}"
    if isinstance(shape, shapes.StructType):
        return "the place of a secret" if shape.cls is SecretRef else "a table"
    if isinstance(shape, shapes.DictType):
        inside = in_words(shape.value_type)
        return "a table" if inside == "a value" else f"a table whose values are {inside}"
    if isinstance(shape, shapes.UnionType):
        return _union_in_words(shape)
    return "a value"


def _union_in_words(shape: shapes.UnionType) -> str:
    kinds = kinds_of(
        option
        for option in shape.types
        if isinstance(option, shapes.StructType) and not issubclass(option.cls, OwnKind)
    )
    if len(kinds) > 1:
        return f"a table of one of the kinds {', '.join(sorted(kinds))}"
    words = [in_words(option) for option in shape.types if not isinstance(option, shapes.NoneType)]
    return " or ".join(dict.fromkeys(words)) or "nothing"


def example_of(shape: shapes.Type) -> str:  # noqa: PLR0911 - one line for each type
    """How such a value looks in TOML."""
    for kind, _, example in SCALARS:
        if isinstance(shape, kind):
            return example
    if isinstance(shape, shapes.Metadata):
        return example_of(shape.type)
    if choices := choices_of(shape):
        return f'"{choices[0]}"'
    if isinstance(shape, shapes.VarTupleType | shapes.ListType | shapes.SetType):
        return f"[{example_of(shape.item_type)}]"
    if isinstance(shape, shapes.StructType) and shape.cls is SecretRef:
        return '{ env = "NAME" }'
    if isinstance(shape, shapes.UnionType):
        structs = [option for option in shape.types if isinstance(option, shapes.StructType)]
        kinds = kinds_of(structs)
        if len(kinds) > 1:
            return f'{{ {structs[0].tag_field} = "{min(kinds)}", ... }}'
        return next(
            (
                example_of(option)
                for option in shape.types
                if not isinstance(option, shapes.NoneType)
            ),
            "...",
        )
    return "{ ... }"


def choices_of(shape: shapes.Type) -> list[str]:
    """The words that a setting can be, if it can be only some."""
    if isinstance(shape, shapes.UnionType):
        return [choice for option in shape.types for choice in choices_of(option)]
    if isinstance(shape, shapes.LiteralType):
        return [str(value) for value in shape.values]
    if isinstance(shape, shapes.EnumType):
        return [str(member.value) for member in shape.cls]
    return []


def kinds_of(structs: Iterable[shapes.StructType]) -> dict[str, shapes.StructType]:
    """The members of a tagged union by their tags."""
    return {str(struct.tag): struct for struct in structs if struct.tag is not None}


def name_of_value(value: object) -> str:
    """What a value is, as a person would call it: no text itself, it may be a secret."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}"
    for kind, words in (
        (str, "text"),
        (int, "a whole number"),
        (float, "a number"),
        (dict, "a table"),
    ):
        if isinstance(value, kind):
            return words
    if isinstance(value, list | tuple):
        return "a list"
    return f"a {type(value).__name__}"


def fits(value: object, shape: shapes.Type) -> bool:  # noqa: PLR0911 - one line for each type
    """Whether a plain value is of the type; what is no scalar is left to msgspec."""
    if isinstance(shape, shapes.Metadata):
        return fits(value, shape.type)
    if isinstance(shape, shapes.StrType):
        return isinstance(value, str)
    if isinstance(shape, shapes.BoolType):
        return isinstance(value, bool)
    if isinstance(shape, shapes.IntType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(shape, shapes.FloatType):
        # nan and inf are TOML, but no deadline ever passes that is counted in them.
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    if isinstance(shape, shapes.LiteralType):
        return any(value == known and type(value) is type(known) for known in shape.values)
    if isinstance(shape, shapes.EnumType):
        return any(value == member.value for member in shape.cls)
    if isinstance(shape, shapes.NoneType):
        return value is None
    if isinstance(shape, shapes.DateType):
        return isinstance(value, str) or type(value) is date
    if isinstance(shape, shapes.DictType | shapes.StructType):
        return isinstance(value, dict)
    if isinstance(shape, shapes.VarTupleType | shapes.ListType | shapes.SetType):
        return isinstance(value, list | tuple)
    return True
