"""The fixed schedule of a route's records: when each is meant to be sent, and which are due now.

Latency counts from the intended time, so a sender that falls behind shows it instead of hiding it.
Times are microseconds since the epoch; what passes between them is measured on the monotonic clock,
since somebody may set the other one meanwhile.
"""

from __future__ import annotations

import time

from pytest_vdkprobe.clock import now_us

US = 1_000_000


class Schedule:
    """`count` records, `rate_per_s` a second, from now on."""

    def __init__(self, count: int, *, rate_per_s: float) -> None:
        self.count = count
        self.rate_per_s = rate_per_s
        self.start_us = self.clock_us()
        self._started = time.monotonic()
        self.given = 0
        """How many `due` has handed out."""

    @staticmethod
    def clock_us() -> int:
        """The time now, microseconds since the epoch."""
        return now_us()

    def intended_us(self, seq: int) -> int:
        """When record `seq` is meant to be sent."""
        return self.start_us + round(seq * US / self.rate_per_s)

    @property
    def now_us(self) -> int:
        """The time on this schedule's clock."""
        return self.start_us + round((time.monotonic() - self._started) * US)

    @property
    def done(self) -> bool:
        """Whether every record was handed out."""
        return self.given >= self.count

    def due(self, at_most: int) -> range:
        """The next records whose time has come; each is handed out once."""
        elapsed_s = time.monotonic() - self._started
        until = min(self.count, int(elapsed_s * self.rate_per_s) + 1, self.given + at_most)
        seqs = range(self.given, max(self.given, until))
        self.given = seqs.stop
        return seqs
