"""A scenario's process as its supervisor sees it: started, ready, in a round, ended or dead."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.watch.channel import Channel, Message

LOG_TAIL = 20
"""Lines shown of what a process printed that died."""


class ScenarioProcess:
    """Runs `pytest` with these arguments for one scenario, or to tell which ones there are."""

    def __init__(
        self,
        scenario: str | None,
        *,
        args: Sequence[str],
        cwd: Path,
        folder: Path,
        told: Message,
    ) -> None:
        self.scenario = scenario
        self.log = folder / "log"
        self.ready = False
        self.round: int | None = None
        """The round under way."""
        self.round_began = 0.0
        self.told_to_end = False
        self.told_at = 0.0
        """When that was."""
        self.started = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        with theirs, self.log.open("wb") as log:
            # Its own session: Ctrl-C is for us, and reaches it when we say so.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest_vdkprobe.watch.child", str(theirs.fileno())],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        first = {"scenario": scenario, "args": [*args], "path": sys.path, "folder": str(folder)}
        self.channel.send(**first, **told)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def idle(self) -> bool:
        """Whether it waits to be told what to do."""
        return self.ready and self.round is None and not self.told_to_end

    def begin_round(self, number: int) -> None:
        """Tell it to go round."""
        self.round, self.round_began = number, time.monotonic()
        self.channel.send(round=number)

    def end(self) -> None:
        """Tell it to end when its round is over."""
        self.told_to_end, self.told_at = True, time.monotonic()
        self.channel.send(end=True)

    def interrupt(self) -> None:
        """Tell it to end now, in order: what is under way is cut short and cleaned up."""
        self.told_to_end = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, now and for good."""
        self._signal(signal.SIGKILL)

    def ended(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        return self._process.poll()

    def close(self) -> None:
        """Let go of a process that has ended."""
        self.channel.close()
        self._process.wait()

    def last_words(self) -> list[str]:
        """The end of what it printed."""
        with suppress(OSError), self.log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - 8192))
            text = redact(log.read().replace(b"\0", b"").decode("utf-8", "replace"))
            return [line for line in text.splitlines() if line.strip()][-LOG_TAIL:]
        return []

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
