"""Calls that can be left behind: each runs in a thread of its own and is given up at its deadline.

Timeouts of a socket bound single reads. They don't bound name resolution, which no timeout reaches,
nor an answer that drips one byte a second, which never exceeds one. So whoever wants an answer
waits beside the call instead of in it. A call that is given up keeps its thread until it ends by
itself; the next call gets a new one. Otherwise one thread serves all calls, for some 50 us each.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from types import FrameType
from typing import Generic, TypeVar

T = TypeVar("T")

PHASES = {
    "getaddrinfo": "resolving the name",
    "create_connection": "connecting",
    "do_handshake": "shaking hands for TLS",
    "ssl_wrap_socket": "shaking hands for TLS",
    "_tunnel": "asking the proxy for a tunnel",
    "endheaders": "sending the request",
    "getresponse": "waiting for the answer",
    "read_body": "reading the answer",
}
"""What a call is doing, told by the innermost of these functions on its stack."""
SOCKET_GRACE_S = 1.0
"""How much longer than its call a socket may wait: who waits beside it says better what hung."""


class Abandoned(Exception):  # noqa: N818 - not an error of the call: nobody waits for it any more
    """The call did not end in time; `phase` is what it was doing then."""

    def __init__(self, phase: str | None) -> None:
        super().__init__(phase)
        self.phase = phase


class Job(Generic[T]):
    """One call and, later, what came of it."""

    def __init__(self, call: Callable[[Job[T]], T]) -> None:
        self.call = call
        self.result: T | None = None
        self.error: BaseException | None = None
        self.abandoned = False
        self.on_abandon: Callable[[], object] | None = None
        """Ends what the call hangs in, where that is possible. Set by the call itself."""
        self.done = threading.Lock()
        self.done.acquire()

    def run(self) -> None:
        """Make the call, in the worker's thread."""
        try:
            self.result = self.call(self)
        except BaseException as exc:  # noqa: BLE001 - whoever waits for it raises it again
            self.error = exc
        self.done.release()


class Workers:
    """The idle threads; as many as calls were ever under way at once, usually one."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    def run(self, call: Callable[[Job[T]], T], *, timeout_s: float) -> T:
        """What `call` returns or raises, if that comes within `timeout_s`; else Abandoned."""
        job = Job(call)
        worker = self._idle.pop() if self._idle else _Worker()
        finished = False
        worker.tasks.put(job.run)
        try:
            finished = job.done.acquire(timeout=timeout_s)
        finally:
            # Also when a signal's handler raised here: the worker is busy with a call that nobody
            # wants, and must not be given another.
            if finished:
                self._idle.append(worker)
            else:
                phase = _phase_of(worker.thread)
                job.abandoned = True
                worker.tasks.put(None)
                if job.on_abandon:
                    # It may have ended by itself in this very moment.
                    with suppress(Exception):
                        job.on_abandon()
        if not finished:
            raise Abandoned(phase)
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value]  # it was made: there is no error

    def close(self) -> None:
        """Let the idle threads end."""
        while self._idle:
            self._idle.pop().tasks.put(None)


class _Worker:
    """A thread that makes one call after another."""

    def __init__(self) -> None:
        self.tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A daemon: one that hangs in name resolution must not keep the process from ending.
        self.thread = threading.Thread(
            target=_serve, args=(self.tasks,), name="vdkprobe-http", daemon=True
        )
        self.thread.start()


def _serve(tasks: SimpleQueue[Callable[[], None] | None]) -> None:
    while (run := tasks.get()) is not None:
        run()
        # Or the last answer would live as long as the thread waits for the next call.
        del run


def _phase_of(thread: threading.Thread) -> str | None:
    """What the thread is doing right now."""
    frame: FrameType | None = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_name in PHASES:
            return PHASES[frame.f_code.co_name]
        frame = frame.f_back
    return None
