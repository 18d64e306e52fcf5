"""SIGTERM as a clean stop: fixtures are torn down, leases are swept, and then the process ends.

Python's default for SIGTERM is to vanish, which is what leaves a job behind that runs every minute.
The first signal stops the run; while something is being torn down already it only says that nothing
more is to begin. A second one, or the end of the grace time, ends the process at once: its leases
tell the next run what to remove. xdist would let a worker that hangs go on for seconds and then
kill it, so the controller passes the signal on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from pytest_vdkprobe.journeys.scheduling import is_worker

STOPPED = "stopped by SIGTERM"


class Interruption:
    """Handles SIGTERM for one session; lets pytest have SIGINT, and bounds what follows it."""

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self._session: pytest.Session | None = None
        self._cleaning = False
        self._previous: Any = None
        self._watchdog: threading.Timer | None = None
        self._workers: dict[str, int] = {}

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Take SIGTERM over, where a process may."""
        self._session = session
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._on_sigterm)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, None, None]:
        """Cleanup is not cut short by the first signal."""
        self._cleaning = True
        try:
            yield
        finally:
            self._cleaning = False

    def pytest_keyboard_interrupt(self) -> None:
        """From here on only cleanup runs, after SIGINT as after SIGTERM: bound it."""
        self._cleaning = True
        self._start_grace()
        for pid in self._workers.values():
            with suppress(OSError):
                os.kill(pid, signal.SIGTERM)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_newgateway(self, gateway: Any) -> None:
        """Learn the process id of a worker on this machine."""
        if gateway.spec.popen and os.name == "posix":
            channel = gateway.remote_exec("import os; channel.send(os.getpid())")
            self._workers[gateway.id] = channel.receive()
            channel.waitclose()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Forget a worker that is gone: its process id may become somebody else's."""
        self._workers.pop(node.gateway.id, None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """Cleanup again, until the end."""
        self._cleaning = True
        yield

    def pytest_unconfigure(self) -> None:
        """Let go, or a process that goes on after this session would die of its watchdog."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        # A worker may get it twice, from its controller and from whoever stops the whole group.
        worker = self._session is not None and is_worker(self._session.config)
        signal.signal(signal.SIGTERM, signal.SIG_IGN if worker else signal.SIG_DFL)
        self._start_grace()
        if self._session is not None and self._cleaning:
            self._session.shouldstop = STOPPED
            return
        # Not pytest.exit: an Exit is an Exception, and so whatever happens to be under way in this
        # moment may swallow it and go on. This is a KeyboardInterrupt, as after SIGINT.
        raise pytest.Session.Interrupted(STOPPED)

    def _start_grace(self) -> None:
        if self._watchdog is None:
            self._watchdog = threading.Timer(self.grace_s, self._give_up)
            self._watchdog.daemon = True
            self._watchdog.start()

    def _give_up(self) -> None:
        sys.__stderr__ and sys.__stderr__.write(
            f"\nvdkprobe: cleanup did not end within {self.grace_s:g} s; "
            "the next run, or --vdk-sweep, removes what is left\n"
        )
        os._exit(int(pytest.ExitCode.INTERRUPTED))
