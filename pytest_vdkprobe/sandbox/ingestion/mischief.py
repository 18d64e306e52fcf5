"""The faults of ingestion, between a batch and the place where it lands.

Whoever lands records, the endpoints as well as the sink, passes each batch through here, so that a
fault means the same on every way. Each hit concerns exactly one record or one batch. What is held
back lands later by a timer; what still waits when the sandbox ends is lost with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_vdkprobe.sandbox.faults import INGESTION_LIES, Fault, Faults
from pytest_vdkprobe.sandbox.ingestion import alterations
from pytest_vdkprobe.sandbox.ingestion.alterations import Alteration, Types
from pytest_vdkprobe.sandbox.ingestion.bodies import Row

Land = Callable[[list[Row]], None]
"""Lands rows in the place that a batch is for."""

LATE_S = 3.0
SWAP_LIMIT_S = 1.0
"""How long the last record of a batch waits to change places with the next batch's first."""
JOIN_LIMIT_S = 5.0

ALTERATIONS: dict[str, Alteration] = {
    "ingest-truncates": alterations.truncated,
    "ingest-rounds": alterations.rounded,
    "ingest-lowercases": alterations.lowercased,
    "ingest-shifts-time": alterations.shifted,
}


@dataclass(slots=True)
class Batch:
    """What is to land now, instead of what was sent."""

    rows: list[Row]
    refused: Fault | None = None
    """The fault by which the batch is to be refused after it has landed."""


@dataclass(eq=False)
class _Held:
    """The last record of a batch, until the next one of its place comes by."""

    row: Row
    land: Land


@dataclass
class Mischief:
    """Alters batches as the planted faults say; `tell` hears of what could not land later."""

    faults: Faults
    tell: Callable[[str, Exception], None]
    _timers: set[threading.Timer] = field(default_factory=set)
    _held: dict[str, _Held] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def apply(self, place: str, rows: list[Row], *, types: Types, later: Land) -> Batch:
        """What is to land of `rows`, which are for the table or topic `place`."""
        before = self._release(place) if self._held else None
        if not any(name in INGESTION_LIES for name in self.faults.planted()):
            return Batch(_behind_first(rows, before))
        if self._hits("ingest-acknowledges-nothing", place):
            return Batch([] if before is None else [before])
        refused = self._hits("ingest-refuses-but-lands", place)
        landing: list[Row] = []
        waiting: Row | None = None
        for row in rows:
            changed = self._record(place, row, types, later)
            if waiting is not None and changed:
                changed.insert(1, waiting)
                waiting = None
            elif len(changed) == 1 and self._hits("ingest-swaps", place):
                waiting = changed.pop()
            landing += changed
        if waiting is not None:
            self._hold(place, _Held(waiting, later))
        return Batch(_behind_first(landing, before), refused)

    def close(self) -> None:
        """Forget what waits; nothing lands any more."""
        with self._lock:
            self._closed = True
            timers = list(self._timers)
            self._held.clear()
        for timer in timers:
            timer.cancel()
            timer.join(JOIN_LIMIT_S)

    def _record(self, place: str, row: Row, types: Types, later: Land) -> list[Row]:
        """One record: itself or its altered copy, none, or two."""
        if self._hits("ingest-loses", place):
            return []
        for name, alteration in ALTERATIONS.items():
            # Whether it could change this record is asked first: else it would hit without effect.
            altered = alteration(row, types) if self._is_planted(name) else None
            if altered is not None and self._hits(name, place):
                row = altered
        late = self._hits("ingest-late", place)
        if late is not None:
            self._start(LATE_S if late.delay_s is None else late.delay_s, place, row, later)
            return []
        rows = [row]
        if self._hits("ingest-duplicates", place):
            rows.append(row)
        if self._is_planted("ingest-foreign"):
            stranger = alterations.foreign(row, types)
            if stranger is not None and self._hits("ingest-foreign", place):
                rows.append(stranger)
        return rows

    def _hits(self, name: str, place: str) -> Fault | None:
        return self.faults.lie(name, place)

    def _is_planted(self, name: str) -> bool:
        return name in self.faults.planted()

    def _hold(self, place: str, held: _Held) -> None:
        with self._lock:
            self._held[place] = held

        def give_up(rows: list[Row]) -> None:
            with self._lock:
                if self._held.get(place) is not held:
                    return
                del self._held[place]
            held.land(rows)

        self._start(SWAP_LIMIT_S, place, held.row, give_up)

    def _release(self, place: str) -> Row | None:
        with self._lock:
            held = self._held.pop(place, None)
        return None if held is None else held.row

    def _start(self, delay_s: float, place: str, row: Row, land: Land) -> None:
        def act() -> None:
            try:
                if not self._closed:
                    land([row])
            except Exception as exc:  # noqa: BLE001 - nobody waits for it; it is told and listed
                self.tell(place, exc)
            finally:
                with self._lock:
                    self._timers.discard(timer)

        timer = threading.Timer(delay_s, act)
        timer.daemon = True
        with self._lock:
            if self._closed:
                return
            self._timers.add(timer)
            # Before `close` may join it.
            timer.start()


def _behind_first(rows: list[Row], held: Row | None) -> list[Row]:
    """`held` behind the first of `rows`: the two have changed places."""
    return rows if held is None else [*rows[:1], held, *rows[1:]]
