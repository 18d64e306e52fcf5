"""When a scenario's rounds begin: at start + k x interval, whatever the rounds take."""

from __future__ import annotations


class Slots:
    """The slots of one scenario, on the monotonic clock.

    A round that is not over when the next slot comes takes that slot from it: it is counted and
    never caught up on, so that a slow platform is not asked more often than a quick one.
    """

    def __init__(self, start: float, interval_s: float) -> None:
        self.start = start
        self.interval_s = interval_s
        self._next = 0

    @property
    def next_at(self) -> float:
        """When the next round is to begin."""
        return self.start + self._next * self.interval_s

    def take(self, now: float, *, free: bool) -> tuple[bool, int]:
        """Whether a round begins now, and how many slots were missed since the last call.

        `free` says whether a round could begin: the one before has ended.
        """
        passed = max(0, int((now - self.start) // self.interval_s) + 1 - self._next)
        self._next += passed
        begins = passed > 0 and free
        return begins, passed - begins
