"""What of JSON fits a column: every value becomes the text that its engine reads exactly.

Both engines would rather bend a value than refuse it: a decimal is rounded to the column's scale, a
timestamp to its precision, a zone is dropped, a long text is cut. Whoever tests a platform must
not be deceived by the sandbox, so what would not come back as it was sent is refused here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

Fit = Callable[[object], str]
"""From a JSON value, never null, to text; raises Unfit."""

TYPE = re.compile(
    r"(?P<name>[a-z ]+?)(?:\((?P<first>\d+)(?:,\s*(?P<second>\d+))?\))?"
    r"(?P<zone> with(?:out)? time zone)?"
)
"""As PostgreSQL's format_type and Trino's information_schema write types."""

INTEGERS = {
    "tinyint": 8,
    "smallint": 16,
    "integer": 32,
    "bigint": 64,
}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
CONSTANT = re.compile(r"NaN|[+-]?Infinity", re.IGNORECASE)
DATE = re.compile(r"\d{4}-\d\d-\d\d")
TIMESTAMP = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d(?::\d\d(?:\.(?P<fraction>\d+))?)?)"
    r" ?(?P<zone>Z|UTC|[+-]\d\d(?::?\d\d)?)?"
)
TEXT_TYPES = frozenset({"text", "varchar", "character varying", "character", "char"})
LONGEST_SHOWN = 60


class Unfit(ValueError):  # noqa: N818 - a judgement about a value, turned into an error by callers
    """Why a value does not fit."""


class ColumnType(NamedTuple):
    """A type, taken apart."""

    name: str
    first: int | None
    second: int | None
    zoned: bool

    @classmethod
    def of(cls, text: str) -> ColumnType:
        """From `decimal(38,10)`, `timestamp(6) with time zone` and the like."""
        found = TYPE.fullmatch(text)
        if found is None:
            return cls(text, None, None, zoned=False)
        first, second = (int(part) if part else None for part in found.group("first", "second"))
        return cls(found["name"], first, second, zoned=found["zone"] == " with time zone")


def fit_for(type_text: str, *, fraction_digits: int) -> Fit:
    """What makes texts for a column; `fraction_digits` is a timestamp's when its type has none."""
    kind = ColumnType.of(type_text)
    if kind.name in INTEGERS:
        return partial(_integer, INTEGERS[kind.name])
    if kind.name in {"decimal", "numeric"}:
        return partial(_decimal, kind)
    if kind.name == "timestamp":
        digits = fraction_digits if kind.first is None else kind.first
        return partial(_timestamp, digits, zoned=kind.zoned)
    if kind.name in TEXT_TYPES:
        return partial(_text, kind.first)
    return PLAIN.get(kind.name, _any)


def shown(value: object) -> str:
    """A value for a message."""
    text = repr(value) if not isinstance(value, Decimal) else str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)})"


def _number_text(value: object) -> str:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and (NUMBER.fullmatch(value) or CONSTANT.fullmatch(value)):
        return value
    raise Unfit("it is no number")


def _integer(bits: int, value: object) -> str:
    text = _number_text(value)
    try:
        number = int(text)
    except ValueError as exc:
        raise Unfit("it is no whole number") from exc
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise Unfit(f"it has more than {bits} bits")
    return text


def _double(value: object) -> str:
    text = _number_text(value)
    if not CONSTANT.fullmatch(text) and abs(float(text)) == float("inf"):
        raise Unfit("it is too large")
    return text


def _decimal(kind: ColumnType, value: object) -> str:
    text = _number_text(value)
    if CONSTANT.fullmatch(text):
        raise Unfit("it is no decimal")
    if kind.first is None:
        return text
    scale = kind.second or 0
    _, digits, exponent = Decimal(text).as_tuple()
    whole = "".join(map(str, digits)).rstrip("0")
    fraction = -(int(exponent) + len(digits) - len(whole)) if whole else 0
    if fraction > scale:
        raise Unfit(f"it has {fraction} digits behind the point, where {scale} fit")
    if len(whole) - fraction > kind.first - scale:
        raise Unfit(f"it has {len(whole) - fraction} digits before the point")
    return f"{Decimal(text):f}"


def _boolean(value: object) -> str:
    text = str(value).lower()
    if isinstance(value, bool | str) and text in {"true", "false"}:
        return text
    raise Unfit("it is neither true nor false")


def _date(value: object) -> str:
    if isinstance(value, str) and DATE.fullmatch(value):
        _require_real(value)
        return value
    raise Unfit("it is no date like 2026-03-29")


def _timestamp(digits: int, value: object, *, zoned: bool) -> str:
    found = TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Unfit("it is no timestamp like 2026-03-29T01:30:00.123456")
    if len((found["fraction"] or "").rstrip("0")) > digits:
        raise Unfit(f"its seconds have more than {digits} digits behind the point")
    _require_real(f"{found['date']}T{found['time'][:8]}")
    zone = found["zone"]
    if (zone is not None) != zoned:
        raise Unfit("it has no zone" if zoned else "it has a zone, which the column does not keep")
    if zone in {"Z", "UTC"}:
        zone = "+00:00"
    elif zone is not None:
        zone = f"{zone[:3]}:{zone[3:].lstrip(':') or '00'}"
    return " ".join(part for part in (found["date"], found["time"], zone) if part)


def _require_real(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError as exc:
        raise Unfit(str(exc)) from exc


def _json(value: object) -> str:
    if isinstance(value, str):
        try:
            if isinstance(json.loads(value), dict | list):
                return value  # a document that was packed into a text
        except ValueError:
            pass
    return _dumped(value)


def _text(length: int | None, value: object) -> str:
    # A nested object lands in a text column as JSON; it has no text of its own.
    text = _dumped(value) if isinstance(value, dict | list) else value
    if not isinstance(text, str):
        raise Unfit("it is no text")
    if length is not None and len(text) > length:
        raise Unfit(f"it has {len(text)} characters, where {length} fit")
    return text


def _any(value: object) -> str:
    return value if isinstance(value, str) else _dumped(value)


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=float)


PLAIN: dict[str, Fit] = {
    **dict.fromkeys(("double", "double precision", "real"), _double),
    **dict.fromkeys(("json", "jsonb"), _json),
    "boolean": _boolean,
    "date": _date,
}
"""The types that have no measures."""
