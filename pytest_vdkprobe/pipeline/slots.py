"""When a website is due: moments that follow from its number and interval, and from nothing else.

So whoever checks it, be it two producers of one id or one after a restart, checks it at the same
moments, and the moment with the website's number says which check a row is of.
"""

from __future__ import annotations

MICROSECONDS = 1_000_000
_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio (Knuth, TAOCP 3, 6.4): multiples of it spread evenly."""


def interval_us(interval_s: float) -> int:
    """An interval in whole microseconds."""
    return max(1, round(interval_s * MICROSECONDS))


def phase_us(site: int, interval: int) -> int:
    """How far into each interval the website is due, so that not all are at once."""
    return ((site * _GOLDEN) % 2**64) * interval >> 64


def next_slot(site: int, interval: int, *, after_us: int) -> int:
    """The first moment after `after_us`, in microseconds since 1970."""
    phase = phase_us(site, interval)
    return after_us - (after_us - phase) % interval + interval
