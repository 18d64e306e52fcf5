"""How the pipeline's processes are told to end: by a signal, by a time, or after one round."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from pytest_vdkprobe.waiting import Deadline

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Set once, by whatever comes first."""

    def __init__(self, duration_s: float | None = None) -> None:
        self._event = threading.Event()
        self._deadline = Deadline.after(duration_s) if duration_s is not None else None

    @property
    def wanted(self) -> bool:
        """Whether it is time to end."""
        return self._event.is_set() or (self._deadline is not None and self._deadline.expired)

    def set(self) -> None:
        """It is time to end."""
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Let `seconds` pass, or less when it is time to end; whether it is."""
        if self._deadline is not None:
            seconds = min(seconds, self._deadline.remaining_s())
        self._event.wait(seconds)
        return self.wanted

    @contextmanager
    def on_signals(self) -> Iterator[Stop]:
        """End in order at the first SIGTERM or SIGINT, at once at the second."""
        before = {number: signal.signal(number, self._stop) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_eof(self, descriptor: int) -> None:
        """End in order when what it reads ends: who holds the other end is gone, however it went.

        A descriptor, because Python dies at its end while a thread waits in one of its own files.
        """

        def read() -> None:
            with suppress(OSError, ValueError):
                while os.read(descriptor, 1024):
                    pass
            self.set()

        threading.Thread(target=read, name="vdkprobe-eof", daemon=True).start()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._event.is_set():
            raise KeyboardInterrupt
        self._event.set()
