"""What records carry: payloads made from run id and number alone, and their canonical text.

Standard library only (Python 3.9 and later), and nothing of ours: a data job that sends records
for the probe brings a copy of this module along. That every payload can be made again is what lets
a ledger keep numbers instead of payloads, and a reader compare what it sees with what was sent.

The canonical text is ASCII JSON with sorted keys, so that it passes unchanged through whatever a
route does to character sets, and has the same MD5 in Python, PostgreSQL and Trino.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

COLUMNS: dict[str, dict[str, str]] = {
    "small": {"n": "bigint", "word": "varchar"},
    "bulk": {"n": "bigint"},
    "typed": {
        "nothing": "varchar",
        "empty": "varchar",
        "text": "varchar",
        "amount": "decimal",
        "whole": "bigint",
        "ratio": "double",
        "special": "double",
        "flag": "boolean",
        "day": "date",
        "at": "timestamp",
        "instant": "timestamptz",
        "nested": "json",
        "long": "varchar",
    },
}
"""The typed columns of each profile, in their order."""

LONG_EVERY = 500
LONG_CHARACTERS = 1_000_000
"""One record in 500 carries a megabyte: often enough to be tried, seldom enough to be quick."""

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
TEXTS = (
    "plain",
    'it\'s "quoted" and `back`\\slashed',
    "Grüße, Ελληνικά, кириллица, עברית, العربية",
    "漢字かな交じり文, 한글",
    "e\u0301 is not \u00e9",
    # One character of each of the sixteen planes beyond the first.
    "astral: \U0001f600 " + "".join(chr(plane * 0x10000 + 0x123) for plane in range(1, 17)),
    "  blanks around  ",
    "a tab\tand a\nline break",
    "percent % and semicolon ; and -- comment",
    "null",
    "\u200bzero width\ufeff",
)
AMOUNTS = (
    "0",
    "0.0000000001",
    "-0.0000000001",
    "9999999999999999999999999999.9999999999",
    "-9999999999999999999999999999.9999999999",
    "1234567890123456789012345678.0123456789",
)
"""Within decimal(38,10)."""
WHOLES = (0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63))
RATIOS = (0.0, 1.5, -1.5, 0.1, 1e-300, 5e-324, 1.7976931348623157e308, 2.0**53 + 2)
SPECIALS = (math.nan, math.inf, -math.inf, -0.0)
ZONES = (0, 330, -570, 60, 120)
"""Minutes east of UTC."""
# Europe went back from +02:00 to +01:00 at 01:00 UTC: one local hour happened twice.
BACK_UTC = datetime(2026, 10, 25, 1, 0, tzinfo=timezone.utc)  # noqa: UP017 - jobs run on old Pythons
BACK_LOCAL = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001 - a column without zone is what is tested


def payload(profile: str, run_id: str, seq: int) -> dict[str, object]:
    """The typed columns of record `seq`. Raises KeyError for a profile that does not exist."""
    return _MAKERS[profile](run_id, seq)


def text(profile: str, run_id: str, seq: int) -> str:
    """The canonical text of record `seq`, made directly where that is quicker.

    Raises KeyError for a profile that does not exist.
    """
    quick = _TEXTS.get(profile)
    return quick(run_id, seq) if quick else canonical_text(payload(profile, run_id, seq))


def canonical_text(values: dict[str, object]) -> str:
    """One text for one payload, whatever made it."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=_plain)


def digest(body: str) -> str:
    """MD5 of the text's UTF-8, in hex: it tells change, it protects nothing."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, date):  # and so a datetime
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} has no canonical text")


def _small(run_id: str, seq: int) -> dict[str, object]:
    return {"n": seq, "word": f"{WORDS[seq % len(WORDS)]} {run_id}"}


def _bulk(_run_id: str, seq: int) -> dict[str, object]:
    return {"n": seq}


def _typed(run_id: str, seq: int) -> dict[str, object]:
    shift = timedelta(minutes=7 * (seq % 40) - 140, microseconds=seq % 1_000_000)
    zone = timezone(timedelta(minutes=ZONES[seq % len(ZONES)]))
    text = TEXTS[seq % len(TEXTS)]
    # What begins with blanks also ends with them, behind the number: many engines trim there.
    blanks = text[: len(text) - len(text.lstrip())]
    long = ""
    if seq % LONG_EVERY == 1:
        unit = f"{run_id}-{seq}-"
        long = (unit * (LONG_CHARACTERS // len(unit) + 1))[:LONG_CHARACTERS]
    return {
        "nothing": None,
        "empty": "",
        "text": f"{text} {seq}{blanks}",
        "amount": Decimal(AMOUNTS[seq % len(AMOUNTS)]),
        "whole": WHOLES[seq % len(WHOLES)],
        "ratio": RATIOS[seq % len(RATIOS)],
        "special": SPECIALS[seq % len(SPECIALS)],
        "flag": seq % 2 == 0,
        "day": date(1582, 10, 15) + timedelta(days=seq * 97 % 200_000),
        "at": BACK_LOCAL + shift,
        "instant": (BACK_UTC + shift).astimezone(zone),
        "nested": {"seq": seq, "list": [1, None, "two", {"deep": [seq]}], "text": TEXTS[seq % 6]},
        "long": long,
    }


def _small_text(run_id: str, seq: int) -> str:
    return f'{{"n":{seq},"word":"{WORDS[seq % len(WORDS)]} {_escaped(run_id)}"}}'


def _bulk_text(_run_id: str, seq: int) -> str:
    return f'{{"n":{seq}}}'


@lru_cache(maxsize=16)
def _escaped(run_id: str) -> str:
    return json.dumps(run_id)[1:-1]


_MAKERS = {"small": _small, "bulk": _bulk, "typed": _typed}
_TEXTS = {"small": _small_text, "bulk": _bulk_text}
