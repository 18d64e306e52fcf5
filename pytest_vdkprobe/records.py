"""A probe's record: who sent it, its number, when it was meant to be sent, what it carries.

It is told from every other by run and number, never by counting, and from a changed copy of itself
by a digest over a text that lands beside the typed columns, so that a database can check it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

ColumnType = Literal[
    "bigint", "double", "boolean", "varchar", "decimal", "date", "timestamp", "timestamptz", "json"
]
"""`decimal` has 38 digits, 10 of them after the point; `timestamp` and `timestamptz` have
microseconds; `timestamptz` is an instant, of which the zone it was written in may be lost."""

LANDING: Mapping[str, ColumnType] = {
    "run_id": "varchar",
    "seq": "bigint",
    "sent_at_us": "bigint",
    "body": "varchar",
    "digest": "varchar",
}
"""The columns that every record lands with, before those of its profile."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One probe event."""

    run_id: str
    seq: int
    """From 0, without gaps."""
    sent_at_us: int
    """The intended send time: microseconds since the epoch, UTC."""
    payload: dict[str, Any]
    """Typed values by column."""
    body: str
    """The payload's canonical text, ASCII."""
    digest: str
    """MD5 of `body`, in hex."""


SPECIAL = ("NaN", "Infinity", "-Infinity")
"""Floats that JSON has no numbers for, as texts."""


def flat(record: Record) -> dict[str, Any]:
    """What lands of a record: its columns in their order, with Python's own types."""
    return {
        "run_id": record.run_id,
        "seq": record.seq,
        "sent_at_us": record.sent_at_us,
        "body": record.body,
        "digest": record.digest,
        **record.payload,
    }


def wire_json(record: Record) -> dict[str, Any]:
    """The same as JSON has it: exact decimals, times and special floats travel as texts."""
    return {name: wire_value(value) for name, value in flat(record).items()}


def wire_value(value: Any) -> Any:
    """One value as JSON has it; SPECIAL floats are texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value


def typed_value(value: Any, wanted: ColumnType) -> Any:
    """What a reader saw, as the type that it was sent with; as it is where it can't be one.

    Takes what drivers return (Decimal, datetime), and the texts that JSON has for what it lacks:
    decimals, times, special floats. What JSON has itself is another value as a text: 5 is not "5".
    """
    if value is None:
        return None
    try:
        return _TYPED[wanted](value)
    except (ValueError, TypeError, ArithmeticError, RecursionError):
        return value


def _bigint(value: Any) -> int:
    if isinstance(value, bool | float | str):
        raise TypeError
    whole = int(value)
    # A fraction that int() would cut off is a change, and must stay visible.
    if whole != value:
        raise ValueError
    return whole


def _double(value: Any) -> float:
    if isinstance(value, bool) or (isinstance(value, str) and value not in SPECIAL):
        raise TypeError
    return float(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool | float):
        raise TypeError
    return Decimal(_number_text(value))


def _number_text(value: Any) -> Any:
    """Python reads "5_0" and " 5 " as numbers; no engine writes them so."""
    if isinstance(value, str) and ("_" in value or value != value.strip()):
        raise ValueError
    return value


def _date(value: Any) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise TypeError
    return value


def _timestamp(value: Any) -> datetime:
    seen = _moment(value)
    if seen.tzinfo is not None:
        raise TypeError
    return seen


def _instant(value: Any) -> datetime:
    seen = _moment(value)
    if seen.tzinfo is None:
        raise TypeError
    return seen


def _moment(value: Any) -> datetime:
    if isinstance(value, str):
        return datetime.fromisoformat(value.replace(" UTC", "+00:00"))
    if not isinstance(value, datetime):
        raise TypeError
    return value


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


_TYPED: dict[ColumnType, Any] = {
    "bigint": _bigint,
    "double": _double,
    "boolean": _boolean,
    "varchar": lambda value: value,
    "decimal": _decimal,
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _instant,
    "json": _json,
}


def same(sent: Any, seen: Any) -> bool:
    """Whether a value came back as it was sent.

    NaN equals NaN, -0.0 is not 0.0, 1 is not True nor 1.0; an instant is the same in whatever zone;
    objects are the same when their JSON with sorted keys is.
    """
    if isinstance(sent, float) and isinstance(seen, float):
        if math.isnan(sent) or math.isnan(seen):
            return math.isnan(sent) and math.isnan(seen)
        return sent == seen and math.copysign(1, sent) == math.copysign(1, seen)
    if isinstance(sent, bool) != isinstance(seen, bool):
        return False
    if isinstance(sent, datetime) and isinstance(seen, datetime):
        return _same_moment(sent, seen)
    if isinstance(sent, dict | list) and isinstance(seen, dict | list):
        return _same_json(sent, seen)
    kinds_differ = isinstance(sent, int) and isinstance(seen, float)
    return bool(sent == seen) and not kinds_differ


def _same_moment(sent: datetime, seen: datetime) -> bool:
    if sent.tzinfo is None or seen.tzinfo is None:
        return sent.tzinfo is seen.tzinfo and sent == seen
    # In the hour that happens twice, Python holds times of two zones to be unequal (PEP 495).
    return sent.astimezone(UTC) == seen.astimezone(UTC)


def _same_json(sent: Any, seen: Any) -> bool:
    """Python holds 1, 1.0 and True to be equal; JSON does not."""
    try:
        return json.dumps(sent, sort_keys=True) == json.dumps(seen, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return False
