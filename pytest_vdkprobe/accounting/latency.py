"""How long records took from their intended time, in a histogram of constant size.

An HDR histogram keeps three significant digits from a microsecond to a day in 200 kB. Its recording
is pure Python, so values are rounded to its own steps and counted before they are handed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

LONGEST_US = 24 * 3600 * 1_000_000
DIGITS = 3
PRECISION_BITS = 11
"""The histogram's own steps for three digits: exact below 2048, then 1024 in each power of two."""
EXACT_BELOW = 1 << PRECISION_BITS
QUANTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}


class Latency:
    """Durations in microseconds; negative ones (clocks that differ) count as 0."""

    def __init__(self) -> None:
        from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - only who measures loads it

        self._histogram: Any = HdrHistogram(1, LONGEST_US, DIGITS)
        self._longest_us = 0
        """As it was, unlike what the histogram keeps of it."""

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def add(self, durations_us: Iterable[int]) -> None:
        """Count these."""
        durations_us = list(durations_us)
        self._longest_us = max(self._longest_us, max(durations_us, default=0))
        rounded = Counter(
            us if us < EXACT_BELOW else us >> (shift := us.bit_length() - PRECISION_BITS) << shift
            for us in durations_us
        )
        for us, count in rounded.items():
            self._histogram.record_value(min(max(us, 0), LONGEST_US), count)

    def at(self, percentile: float) -> float:
        """Seconds that so many percent of them did not exceed; 0 when there are none.

        The longest (100) is exact.
        """
        if percentile >= 100:
            return self._longest_us / 1e6
        return float(self._histogram.get_value_at_percentile(percentile)) / 1e6

    def to_dict(self) -> dict[str, float]:
        """p50, p90, p99 and max, in seconds; empty while there are none."""
        if not len(self):
            return {}
        return {name: self.at(percentile) for name, percentile in QUANTILES.items()}
