"""The ways in which rows get from one table into another, and what each must leave there.

What a template does to rows that were there before is its whole point, so every destination has
some: of the same key, of another, older and younger than what comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
"""Values by the plain names of their columns."""


def _appended(before: Sequence[Row], come: Sequence[Row]) -> list[Row]:
    return [*before, *come]


def _replaced(_before: Sequence[Row], come: Sequence[Row]) -> list[Row]:
    return list(come)


def _upserted(before: Sequence[Row], come: Sequence[Row]) -> list[Row]:
    ids = {row["id"] for row in come}
    return [*(row for row in before if row["id"] not in ids), *come]


def _snapshot(before: Sequence[Row], come: Sequence[Row]) -> list[Row]:
    """What arrived before the first of what comes stays; the period that comes is replaced."""
    since = min(row["arrived"] for row in come)
    return [*(row for row in before if row["arrived"] < since), *come]


MOVES: Mapping[str, Callable[[Sequence[Row], Sequence[Row]], list[Row]]] = {
    "python": _appended,
    "sql": _appended,
    "insert": _appended,
    "periodic_snapshot": _snapshot,
    "scd1": _replaced,
    "scd1_upsert": _upserted,
}
"""What must lie in the destination afterwards, from what lay there before and what came."""

BY_PROBE = ("python", "sql")
"""What needs no template of VDK."""
TEMPLATES = tuple(move for move in MOVES if move not in BY_PROBE)
STAGING = ("periodic_snapshot", "scd1", "scd1_upsert")
"""Templates that leave a table of their own behind."""


def staging_name(schema: str, table: str) -> str:
    """What those call it (vdk-trino 0.4, trino_utils.py: get_staging_table_name)."""
    return f"trino_vdk_check_{schema}_{table}"
