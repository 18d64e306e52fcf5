"""How long records took from their intended time, in a histogram of constant size.

An HDR histogram keeps three significant digits over six decades in some kilobytes. Its recording
is pure Python, so values are rounded to its own precision and counted before they are handed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

LONGEST_US = 24 * 3600 * 1_000_000
DIGITS = 3
PRECISION_BITS = 11
"""2048 steps in each power of two: finer than three digits."""
QUANTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}


class Latency:
    """Durations in microseconds; negative ones (clocks that differ) count as 0."""

    def __init__(self) -> None:
        from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - only who measures loads it

        self._histogram: Any = HdrHistogram(1, LONGEST_US, DIGITS)

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def add(self, durations_us: Iterable[int]) -> None:
        """Count these."""
        rounded = Counter(
            us if us < 2048 else us >> (shift := us.bit_length() - PRECISION_BITS) << shift
            for us in durations_us
        )
        for us, count in rounded.items():
            self._histogram.record_value(min(max(us, 0), LONGEST_US), count)

    def at(self, percentile: float) -> float:
        """Seconds that so many percent of them did not exceed; 0 when there are none."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1e6

    def to_dict(self) -> dict[str, float]:
        """p50, p90, p99 and max, in seconds."""
        return {name: self.at(percentile) for name, percentile in QUANTILES.items()}
