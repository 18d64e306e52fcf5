"""A thread that collects what arrives, so that each record has the time when it came.

Whoever reads a stream only while asked would stamp records with the time of the asking. So the
thread takes what comes as it is, with the reader's clock, and the reader makes sense of it when it
is asked. An error ends the collecting and is raised to whoever asks, after all that came before it
has been accounted for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from pytest_vdkprobe.clock import now_us

T = TypeVar("T")

CLOSE_S = 10.0
"""How long the thread is waited for; it looks whether it is still wanted several times a second."""


class Collector(Generic[T]):
    """Calls `round_of` until stopped; what `add` is given waits for `taken`."""

    def __init__(self, name: str, round_of: Callable[[Collector[T]], None]) -> None:
        self._round = round_of
        self._inbox: deque[tuple[T, int]] = deque()
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to collect."""
        self._thread.start()

    def add(self, item: T) -> None:
        """Keep what has arrived now. For the thread."""
        self._inbox.append((item, now_us()))

    def pause(self, seconds: float) -> None:
        """Wait, unless it is time to stop. For the thread."""
        self._stopped.wait(seconds)

    def taken(self) -> list[tuple[T, int]]:
        """All that has arrived since the last call, with its time in microseconds since 1970."""
        inbox = self._inbox
        return [inbox.popleft() for _ in range(len(inbox))]

    def check(self) -> None:
        """Raise what ended the collecting, if anything did."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the thread. May be called again."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_S)

    @property
    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                self._round(self)
        except BaseException as exc:  # noqa: BLE001 - whoever asks next gets it
            self._error = exc
