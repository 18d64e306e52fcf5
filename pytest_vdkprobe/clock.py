"""The time of day as this process knows it: read once, and counted on from there.

Somebody may set the wall clock, and a latency worked out from both sides of that is an hour off. So
what is sent and what arrives are stamped by one clock that nobody sets.
"""

from __future__ import annotations

import time

_OFFSET_NS = time.time_ns() - time.monotonic_ns()


def now_us() -> int:
    """Microseconds since the epoch, UTC."""
    return (time.monotonic_ns() + _OFFSET_NS) // 1000


def monotonic_of(moment_us: int) -> float:
    """The `time.monotonic()` at that moment."""
    return (moment_us * 1000 - _OFFSET_NS) / 1e9


def us_of(moment: float) -> int:
    """Microseconds since the epoch at that `time.monotonic()`."""
    return (round(moment * 1e9) + _OFFSET_NS) // 1000
