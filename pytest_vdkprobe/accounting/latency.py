"""How long records took from their intended time, in an HDR histogram that holds what it counted.

Its buckets are those of HdrHistogram with three significant digits from a microsecond up, and so
are its percentiles. That library keeps all of them from the start, over 200 kB; a watch makes one
for each of its rounds, and an hour of these left the heap full of holes. Here a bucket is there
once something fell into it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

PRECISION_BITS = 11
"""Buckets for three digits: exact below 2048, then 1024 in each power of two."""
EXACT_BELOW = 1 << PRECISION_BITS
QUANTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}


class Latency:
    """Durations in microseconds; negative ones (clocks that differ) count as 0."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        """By the lowest value of the bucket."""
        self._longest_us = 0
        """As it was, unlike what its bucket keeps of it."""

    def __len__(self) -> int:
        return self._counts.total()

    def add(self, durations_us: Iterable[int]) -> None:
        """Count these."""
        durations_us = list(durations_us)
        self._longest_us = max(self._longest_us, max(durations_us, default=0))
        self._counts.update(
            us if us < EXACT_BELOW else us >> (shift := us.bit_length() - PRECISION_BITS) << shift
            for us in durations_us
        )

    def at(self, percentile: float) -> float:
        """Seconds that so many percent of them did not exceed; 0 when there are none.

        The longest (100) is exact.
        """
        if percentile >= 100:
            return self._longest_us / 1e6
        wanted = max(1, int(percentile / 100 * len(self) + 0.5))
        for us in sorted(self._counts):
            wanted -= self._counts[us]
            if wanted <= 0:
                # The highest value of the bucket, as HdrHistogram has it.
                shift = max(0, us.bit_length() - PRECISION_BITS)
                return max(0, us + (1 << shift) - 1) / 1e6
        return 0.0

    def to_dict(self) -> dict[str, float]:
        """p50, p90, p99 and max, in seconds; empty while there are none."""
        if not len(self):
            return {}
        return {name: self.at(percentile) for name, percentile in QUANTILES.items()}
