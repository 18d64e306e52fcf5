"""Moments as databases give them back: PostgreSQL as objects, SQLite as text.

SQLite has no type for time. There a moment is ISO-8601 in UTC, always of the same length, so that
its order as text is its order in time.
"""

from __future__ import annotations

from datetime import UTC, datetime


def moment(value: object) -> datetime:
    """A stored moment, aware and in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise TypeError(f"no moment: {value!r}")
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value.astimezone(UTC)


def optional_moment(value: object) -> datetime | None:
    """As `moment`; nothing stays nothing."""
    return None if value is None else moment(value)


def text(value: datetime) -> str:
    """A moment as SQLite keeps it and as people and scripts read it."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")
