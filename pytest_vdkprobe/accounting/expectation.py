"""What a reader needs to know of the ledger: which records to look for, and when each is late.

Readers and accounting meet in expectation and observation, without knowing each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from typing import TYPE_CHECKING

from pytest_vdkprobe.accounting.profiles import Profile
from pytest_vdkprobe.records import Record

if TYPE_CHECKING:
    from pyroaring import BitMap64

US = 1_000_000


class Expectation:
    """The records that were sent, by number, and the schedule that they were meant to follow.

    Sets of numbers are bitmaps: ten million numbers without gaps take a few hundred bytes.
    """

    def __init__(
        self,
        run_id: str,
        profile: Profile,
        *,
        sent: BitMap64,
        acknowledged: BitMap64,
        refused: BitMap64,
        start_us: int,
        rate_per_s: float,
        within_s: float,
        late_s: float,
        reasons: dict[str, str] | None = None,
        losses: Collection[str] = (),
    ) -> None:
        self.run_id = run_id
        self.profile = profile
        self.sent = sent
        self.acknowledged = acknowledged
        self.refused = refused
        self.start_us = start_us
        self.rate_per_s = rate_per_s
        self.within_us = round(within_s * US)
        self.late_us = round(late_s * US)
        self.reasons = reasons or {}
        """For each outcome but acknowledged, the first reason that a target gave."""
        self.losses = frozenset(losses)
        """What the route declares that it can't carry: keys of `differences.LOSSES`."""

    @property
    def unknown(self) -> BitMap64:
        """Sent, and neither acknowledged nor refused."""
        return self.sent - self.acknowledged - self.refused

    def intended_us(self, seq: int) -> int:
        """When it was meant to be sent, microseconds since the epoch."""
        return self.start_us + round(seq * US / self.rate_per_s)

    def due_us(self, seq: int) -> int:
        """A record that arrives after this is late."""
        return self.intended_us(seq) + self.within_us

    def due_before(self, moment_us: int) -> int:
        """The first number whose record was not yet due at `moment_us`; all before it were.

        At most the number after the last that was sent; so is `closed_before`.
        """
        return self._first_not_before(moment_us - self.within_us)

    def closed_before(self, moment_us: int) -> int:
        """The first number whose record was still waited for at `moment_us`."""
        return self._first_not_before(moment_us - self.within_us - self.late_us)

    @property
    def closes_us(self) -> int:
        """When the last record's late window ends."""
        last = self.sent.max() if self.sent else 0
        return self.due_us(last) + self.late_us

    def record(self, seq: int) -> Record:
        """The record as it was sent."""
        return self.profile.make(self.run_id, seq, sent_at_us=self.intended_us(seq))

    def _first_not_before(self, moment_us: int) -> int:
        end = self.sent.max() + 1 if self.sent else 0
        return bisect_left(range(end), moment_us, key=self.intended_us)
