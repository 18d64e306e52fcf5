"""One record, altered: what the faults of ingestion do to what is inside it.

Each gives the altered copy, or None for a record that has nothing it could change; so a fault that
hits has always an effect.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal, localcontext

from pytest_vdkprobe.sandbox.ingestion.bodies import Row
from pytest_vdkprobe.sandbox.ingestion.values import CONSTANT, NUMBER, TEXT_TYPES, TIMESTAMP
from pytest_vdkprobe.sandbox.ingestion.values import ColumnType as Type

Types = Mapping[str, str]
"""Column -> its type as the engine writes it; empty where nothing has types."""
Alteration = Callable[[Row, Types], Row | None]

BODY = "body"
LANDING = frozenset({"run_id", "seq", "sent_at_us", BODY, "digest"})
"""What each probe record carries beside its payload."""
DIGITS = 200
"""More than any decimal has."""
HOUR = timedelta(hours=1)


def truncated(row: Row, types: Types) -> Row | None:
    """Without the second half of its body, or of its longest text."""
    texts = [BODY] if isinstance(row.get(BODY), str) else _texts(row, types)
    longest = max(texts, key=lambda column: len(row[column]), default=None)
    if longest is None or not row[longest]:
        return None
    return {**row, longest: row[longest][: len(row[longest]) // 2]}


def rounded(row: Row, types: Types) -> Row | None:
    """A decimal without its last digit behind the point, rounded towards zero: always in range."""
    for column, value in _payload(row):
        # Without types a decimal is told from a float by coming as text (records.wire_json).
        kind = Type.of(types.get(column, "")).name if types else "decimal" * isinstance(value, str)
        if kind not in {"decimal", "numeric"} or not NUMBER.fullmatch(str(value)):
            continue
        with localcontext(prec=DIGITS):
            number = Decimal(str(value)).normalize()
            exponent = int(number.as_tuple().exponent)
            if exponent < 0:
                unit = Decimal(1).scaleb(exponent + 1)
                return {**row, column: f"{number.quantize(unit, ROUND_DOWN):f}"}
    return None


def lowercased(row: Row, types: Types) -> Row | None:
    """A text of the payload, else the body, in lower case."""
    for column in (*_texts(row, types), BODY):
        value = row.get(column)
        if isinstance(value, str) and value.lower() != value:
            return {**row, column: value.lower()}
    return None


def shifted(row: Row, types: Types) -> Row | None:
    """A timestamp an hour later; in the last hour that there is, an hour earlier."""
    for column, value in _payload(row):
        if not isinstance(value, str) or (
            types and Type.of(types.get(column, "")).name != "timestamp"
        ):
            continue
        found = TIMESTAMP.fullmatch(value)
        if found is None:
            continue
        minute = f"{found['date']}T{found['time'][:5]}"
        try:
            moved = datetime.fromisoformat(minute) + HOUR
        except OverflowError:
            moved = datetime.fromisoformat(minute) - HOUR
        except ValueError:
            continue
        start = moved.isoformat(sep=value[10], timespec="minutes")
        return {**row, column: start + value[len(start) :]}
    return None


def foreign(row: Row, types: Types) -> Row | None:
    """A record like this one, of a run that nobody started."""
    column = "run_id" if isinstance(row.get("run_id"), str) else next(_iter_texts(row, types), None)
    if column is None:
        return None
    return {**row, column: f"foreign-{secrets.token_hex(4)}"}


def _payload(row: Row) -> Iterator[tuple[str, object]]:
    return ((column, value) for column, value in row.items() if column not in LANDING)


def _texts(row: Row, types: Types) -> list[str]:
    return list(_iter_texts(row, types))


def _iter_texts(row: Row, types: Types) -> Iterator[str]:
    """The payload's columns that hold plain text."""
    for column, value in _payload(row):
        if not isinstance(value, str):
            continue
        if types:
            plain = Type.of(types.get(column, "")).name in TEXT_TYPES
        else:
            plain = not any(pattern.fullmatch(value) for pattern in (CONSTANT, NUMBER, TIMESTAMP))
        if plain:
            yield column
