"""From the body of a call to records: the formats in which clients send them.

VDK's own http plugin sends a JSON list of objects as `application/octet-stream`, each with its
table under `@table`, and with gzip once a configured size is reached; other clients send one object
per call. Its JSON is Python's, so a bare NaN is taken too.
"""

from __future__ import annotations

import json
import zlib
from decimal import Decimal
from typing import Any

from pytest_vdkprobe.sandbox.calls import Call
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError

Row = dict[str, Any]
"""Column -> the value as it came in JSON; a number with a fraction is a Decimal."""

TABLE = "@table"
"""Where VDK's http plugin writes the destination table (ingest_over_http.py)."""

LONGEST_BODY_BYTES = 256 << 20
"""Unpacked; a hostile gzip must not fill the memory."""


def rows_of(call: Call) -> list[Row]:
    """The objects in the body, in their order. Raises BadRecordsError for anything else."""
    return parsed(_unpacked(call))


def parsed(data: bytes, *, alone: bool = False) -> list[Row]:
    """The objects in a JSON list, or the one object; nothing else where it must be `alone`."""
    try:
        # A constant stays the word that it is: NaN, Infinity, -Infinity.
        found = json.loads(data, parse_float=Decimal, parse_constant=str)
    except (ValueError, RecursionError) as exc:
        raise BadRecordsError(f"The records are no JSON: {exc}.") from exc
    rows = found if isinstance(found, list) and not alone else [found]
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BadRecordsError(
                f"Element {place} is a {type(row).__name__}, not an object with columns."
            )
    return rows


def by_table(rows: list[Row], default: str | None) -> dict[str, list[Row]]:
    """The rows of each table, in their order, without their `@table`."""
    tables: dict[str, list[Row]] = {}
    for place, row in enumerate(rows):
        table = row.pop(TABLE, None) or default
        if not isinstance(table, str):
            raise BadRecordsError(
                f"Element {place} names no table: it has no text under {TABLE!r}, and the URL no"
                " ?table=."
            )
        tables.setdefault(table, []).append(row)
    return tables


def encoded(row: Row) -> bytes:
    """One object as JSON again; a Decimal becomes the number that it was."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=float).encode()


def _unpacked(call: Call) -> bytes:
    coding = call.headers.get("content-encoding", "identity").strip().lower()
    if coding in {"", "identity"}:
        return call.body
    if coding not in {"gzip", "x-gzip"}:
        raise BadRecordsError(f"The content coding {coding!r} is not known, only gzip is.")
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        data = unpacker.decompress(call.body, LONGEST_BODY_BYTES)
    except zlib.error as exc:
        raise BadRecordsError(f"The body is said to be gzip, but: {exc}.") from exc
    if unpacker.unconsumed_tail:
        raise BadRecordsError(f"Unpacked, the body has more than {LONGEST_BODY_BYTES} bytes.")
    if not unpacker.eof:
        raise BadRecordsError("The body is said to be gzip, but it is cut off.")
    return data
