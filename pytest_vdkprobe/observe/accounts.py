"""The accounts of all routes in one table: what was sent, what came of it, how long it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = {
    "sent": "sent",
    "delivered": "delivered",
    "late": "late",
    "lost": "lost",
    "refused": "refused",
    "unknown": "unknown",
    "in_flight": "in flight",
    "duplicate": "duplicate",
    "corrupted": "corrupted",
    "foreign": "foreign",
}
"""What of an account is shown, and how its column is called."""
ALWAYS = ("sent", "delivered", "late", "lost", "duplicate")
"""The others are shown when one of them is not 0."""
QUANTILES = ("p50", "p99")
NOT_SHOWN = "-"
"""What a route can't show, or nobody came to count."""


def table(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lines of the table; none when no step has an account."""
    found = [(step, step.get("attached", {}).get("account")) for step in steps]
    accounted = [(step, account) for step, account in found if account is not None]
    if not accounted:
        return []
    counted = [
        name
        for name in COLUMNS
        if name in ALWAYS or any(account.get(name) not in (0, None) for _, account in accounted)
    ]
    rows = [["route", *(COLUMNS[name] for name in counted), *QUANTILES, "verdict"]]
    for step, account in accounted:
        name = f"{account['route']} {account['way']}[{account['profile']}]"
        counts = [_count(account.get(name)) for name in counted]
        rows.append([name, *counts, *_quantiles(account.get("latency_s")), step["verdict"]])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(_cells(row, widths)).rstrip() for row in rows]


def _cells(row: list[str], widths: list[int]) -> Iterable[str]:
    """Names to the left, numbers to the right."""
    last = len(row) - 1
    for column, (text, width) in enumerate(zip(row, widths, strict=True)):
        yield text.ljust(width) if column in (0, last) else text.rjust(width)


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else NOT_SHOWN


def _quantiles(latency: object) -> list[str]:
    if not isinstance(latency, Mapping) or not latency:
        return [NOT_SHOWN for _ in QUANTILES]
    return [_duration(float(latency.get(name, 0))) for name in QUANTILES]


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
