"""Slots on a fixed schedule, slot = start + k x interval, each served by a worker that is idle.

A worker that hangs keeps itself, and never the schedule: the next slot gets another. A slot that
nobody could serve, because the process was stopped or too many workers hang, is missed: that is
counted, and not made up for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple, Protocol

CLOSE_S = 5.0
FULL_PAUSE_S = 0.1


class Worker(Protocol):
    """Serves one slot at a time, in a thread of its own."""

    def serve(self, slot: int, due: float) -> None:
        """Do what the slot is for; what it raises ends the schedule."""

    def close(self) -> None:
        """There are no more."""


class Errand(NamedTuple):
    """Something to do beside, on the schedule's thread: it has to be quick."""

    every_s: float
    act: Callable[[float], object]


class Pace:
    """From `start()` to `close()`; `open_worker` makes one, on the schedule's thread.

    `begin` is told of each slot before it is handed over, on the schedule's thread; where it says
    False the slot is missed. With `limit` there are so many slots and none is missed: one that
    finds `at_once` under way waits.
    """

    def __init__(
        self,
        name: str,
        *,
        interval_s: float,
        open_worker: Callable[[], Worker],
        begin: Callable[[int, float], bool],
        at_once: int,
        limit: int | None = None,
        errands: Sequence[Errand] = (),
    ) -> None:
        self.interval_s = interval_s
        self.limit = limit
        self.missed = 0
        """Slots that nobody served."""
        self.error: Exception | None = None
        """What `begin` or a worker raised, which ended the schedule."""
        self.done = threading.Event()
        """All of a limited number were handed over."""
        self._name = name
        self._open_worker = open_worker
        self._begin = begin
        self._at_once = at_once
        self._errands = errands
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[tuple[int, float] | None]] = []
        self._busy = 0
        self._freed = threading.Event()
        """A worker has become idle."""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, *, at: float | None = None, first: int = 0) -> None:
        """Slot 0 is at `at` on the monotonic clock, now unless given; begin with slot `first`."""
        if self._thread is None:
            start = time.monotonic() if at is None else at
            self._thread = threading.Thread(
                target=self._run, args=(start, first), name=self._name, daemon=True
            )
            self._thread.start()

    @property
    def started(self) -> bool:
        """Whether it ever was."""
        return self._thread is not None

    @property
    def stopped(self) -> bool:
        """Whether there are no more slots."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """No more slots; what is under way goes on."""
        self._stopped.set()
        self.done.set()

    def close(self) -> None:
        """No more slots; idle workers end now, the others when they can. May be called again."""
        self.stop()
        with self._lock:
            idle, self._idle = self._idle, []
        for queue in idle:
            queue.put(None)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_S)

    def _run(self, start: float, first: int) -> None:
        slot = first
        now = time.monotonic()
        errands = {errand: now + errand.every_s for errand in self._errands}
        while not self._stopped.is_set() and (self.limit is None or slot - first < self.limit):
            due = start + slot * self.interval_s
            self._stopped.wait(max(0.0, min([due, *errands.values()]) - time.monotonic()))
            now = time.monotonic()
            for errand, at in errands.items():
                if now >= at:
                    self._do(errand, now)
                    errands[errand] = at + errand.every_s
            if now >= due and not self._stopped.is_set():
                slot = self._serve(slot, start, now)
        self.done.set()

    def _do(self, errand: Errand, now: float) -> None:
        try:
            errand.act(now)
        except Exception as exc:  # noqa: BLE001 - nobody is there to raise it to; it is asked for
            self.error = self.error or exc
            self.stop()

    def _serve(self, slot: int, start: float, now: float) -> int:
        """Hand over the slot that is due; the next one. Slots that are over are missed."""
        last = int((now - start) / self.interval_s)
        if self.limit is None and last > slot:
            self.missed += last - slot
            slot = last
        self._freed.clear()
        with self._lock:
            full = self._busy >= self._at_once
        if full and self.limit is not None:
            self._freed.wait(FULL_PAUSE_S)
            return slot
        if full:
            self.missed += 1
            return slot + 1
        due = start + slot * self.interval_s
        try:
            if not self._begin(slot, due):
                self.missed += 1
                return slot + 1
            with self._lock:
                self._busy += 1
                queue = self._idle.pop() if self._idle else None
            (queue or self._hire()).put((slot, due))
        except Exception as exc:  # noqa: BLE001 - nobody is there to raise it to; it is asked for
            self.error = self.error or exc
            self.stop()
        return slot + 1

    def _hire(self) -> SimpleQueue[tuple[int, float] | None]:
        queue: SimpleQueue[tuple[int, float] | None] = SimpleQueue()
        worker = self._open_worker()
        threading.Thread(
            target=self._work, args=(queue, worker), name=f"{self._name}-worker", daemon=True
        ).start()
        return queue

    def _work(self, queue: SimpleQueue[tuple[int, float] | None], worker: Worker) -> None:
        try:
            while (given := queue.get()) is not None:
                try:
                    worker.serve(*given)
                except Exception as exc:  # noqa: BLE001 - as above
                    self.error = self.error or exc
                    self.stop()
                with self._lock:
                    self._busy -= 1
                    if self._stopped.is_set():
                        return
                    self._idle.append(queue)
                self._freed.set()
        finally:
            worker.close()
