"""What is under way through one pipeline, kept so that it can be asked at any moment from outside.

A gauge that is set when an event arrives keeps its last good value for ever when none arrives any
more. So nothing of the kind is set here: the moments are kept, and who asks works out ages, what is
overdue and which share is missing from the time it is then. Moments are `time.monotonic()`, which
is one clock for all processes of a machine, and which nobody sets.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pytest_vdkprobe.metrics.cells import Cells

WINDOWS_S = {"1m": 60.0, "10m": 600.0, "1h": 3600.0}
_HEAD = 4
"""Values before the ring: how many are in flight, the oldest's moment, the last latency, and when
one last arrived, in seconds since 1970."""
_FINE = 20
"""How many buckets of a second keep the first moment among those in flight of each: when that one
has come, the age of the others is told too old by a bucket at most."""
_SLOT = 3
"""Values of a second in the ring: which, how many were sent in it, how many of these arrived."""


def width(sla_s: float) -> int:
    """How many values it takes: an hour's seconds, and those that are not due yet."""
    return _HEAD + _SLOT * (int(WINDOWS_S["1h"]) + math.ceil(sla_s) + 60)


class Flights:
    """The writer's side; `at` is the `time.monotonic()` at which an event was meant to be sent."""

    def __init__(self, cells: Cells, index: int, *, sla_s: float, lock: threading.RLock) -> None:
        self._cells = cells
        self._index = index
        self._slots = (width(sla_s) - _HEAD) // _SLOT
        self._lock = lock
        self._open: dict[int, tuple[int, float]] = {}
        """How many are in flight of each bucket, and the first moment among them."""
        self._in_flight = 0
        self._buckets: list[int] = []
        self._show()

    def opened(self, at: float) -> None:
        """One was sent."""
        with self._lock:
            self._add(at)
            self._count(at, 1, sent=True)
            self._show()

    def arrived(self, at: float, latency_s: float) -> None:
        """One came out, in time or late, and is in flight no more."""
        with self._lock:
            self._remove(at)
            self._count(at, 1, sent=False)
            self._cells.values[self._index + 2] = latency_s
            self._cells.values[self._index + 3] = time.time()
            self._show()

    def withdrawn(self, at: float) -> None:
        """One was refused: it is not missing, it never went."""
        with self._lock:
            self._remove(at)
            self._count(at, -1, sent=True)
            self._show()

    def given_up(self, at: float) -> None:
        """One is waited for no more, and stays missing."""
        with self._lock:
            self._remove(at)
            self._show()

    def restore(self, moments: Iterable[float]) -> None:
        """After a restart: these are in flight and no others. What was counted stays."""
        with self._lock:
            self._open.clear()
            self._buckets.clear()
            self._in_flight = 0
            for at in moments:
                self._add(at)
            self._show()

    def _add(self, at: float) -> None:
        bucket = math.floor(at * _FINE)
        count, first = self._open.get(bucket, (0, at))
        if not count:
            heapq.heappush(self._buckets, bucket)
        self._open[bucket] = (count + 1, min(first, at))
        self._in_flight += 1

    def _remove(self, at: float) -> None:
        bucket = math.floor(at * _FINE)
        if bucket not in self._open:
            return
        count, first = self._open.pop(bucket)
        self._in_flight -= 1
        if count > 1:
            self._open[bucket] = (count - 1, first)

    def _count(self, at: float, change: int, *, sent: bool) -> None:
        second = math.floor(at)
        if second < math.floor(time.monotonic()) - self._slots:
            return  # its place in the ring belongs to a younger second by now
        values = self._cells.values
        slot = self._index + _HEAD + _SLOT * (second % self._slots)
        if values[slot] != second:
            values[slot + 1] = values[slot + 2] = 0.0
            values[slot] = second
        place = slot + (1 if sent else 2)
        values[place] = max(0.0, values[place] + change)

    def _show(self) -> None:
        while self._buckets and self._buckets[0] not in self._open:
            heapq.heappop(self._buckets)
        values = self._cells.values
        values[self._index] = self._in_flight
        values[self._index + 1] = self._open[self._buckets[0]][1] if self._buckets else 0.0


class State(NamedTuple):
    """What the flights of a pipeline amount to at one moment."""

    in_flight: int
    overdue: int
    oldest_s: float
    latency_s: float
    arrived_at: float
    missing: dict[str, float]
    """Of what was due in each window, the share that has not arrived."""


def state(values: Sequence[float], *, sla_s: float, now: float) -> State:
    """The state at `now`, a `time.monotonic()`, from what `Flights` has written.

    A second counts as due when its last moment is, so that nothing shows as missing too early.
    """
    in_flight = int(values[0])
    oldest_s = max(0.0, now - values[1]) if in_flight else 0.0
    not_due = 0.0
    sent = dict.fromkeys(WINDOWS_S, 0.0)
    arrived = dict.fromkeys(WINDOWS_S, 0.0)
    for second, out, back in zip(
        values[_HEAD::_SLOT], values[_HEAD + 1 :: _SLOT], values[_HEAD + 2 :: _SLOT], strict=True
    ):
        if not out:
            continue
        due_for_s = now - (second + 1 + sla_s)
        if due_for_s < 0:
            not_due += out - back
            continue
        for name, length_s in WINDOWS_S.items():
            if due_for_s < length_s:
                sent[name] += out
                arrived[name] += back
    overdue = max(0, in_flight - max(0, int(not_due)))
    if in_flight and oldest_s >= sla_s:
        overdue = max(1, overdue)
    return State(
        in_flight,
        overdue,
        oldest_s,
        max(values[2], oldest_s),
        values[3],
        {
            name: max(0.0, 1.0 - arrived[name] / sent[name]) if sent[name] else 0.0
            for name in WINDOWS_S
        },
    )
