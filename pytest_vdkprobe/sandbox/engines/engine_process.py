"""An engine's process and its folder, which end together with whoever started them.

Three things see to it: `close()`; on Linux a signal that the kernel sends to the engine when its
parent ends (launch.py); and everywhere a guard, a shell that waits on a pipe only we hold open, and
when that closes without a word, ends the engine and removes its folder. So nothing is left after
SIGKILL either.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from pytest_vdkprobe.errors import ProbeError, WaitFailure
from pytest_vdkprobe.sandbox.engines import launch
from pytest_vdkprobe.waiting import Deadline, wait_until

HOST = "127.0.0.1"
STOP_LIMIT_S = 10.0
LOG_LINES_SHOWN = 15
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - a folder of ours with a random name goes into it
ROOM_IN_MEMORY_BYTES = 4 << 30
"""Free bytes that the memory folder must have; containers often give it 64 MB."""

GUARD = """
read -r pid || { rm -rf -- "$2"; exit; }
while read -r word; do [ "$word" = done ] && exit; pid=$word; done
kill -s "$1" "$pid"
n=0; while kill -0 "$pid" && [ $n -lt 30 ]; do sleep 0.1; n=$((n+1)); done
kill -s KILL "$pid"
rm -rf -- "$2"
"""
"""Told process ids, of which the last counts, then `done`. The point is what comes without it."""


class EngineProcess:
    """A folder with a random name, and the one process that `start()` runs in it."""

    def __init__(self, engine: str, *, parent: Path, kill_with: signal.Signals) -> None:
        self.engine = engine
        self.folder = parent / f"vdkprobe-{engine}-{secrets.token_hex(6)}"
        self.log = self.folder / "log.txt"
        self._kill_with = kill_with
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(mode=0o700)
        try:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "guard", kill_with.name[3:], str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath},
                start_new_session=True,
            )
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The engine's process id; None while none runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        user: tuple[int, int] = (-1, -1),
    ) -> None:
        """Run `command` with exactly this environment, as user and group `user` if given.

        The parent-death signal comes when the calling *thread* ends, so that must stay.
        """
        identity = [str(os.getpid()), str(int(self._kill_with)), *map(str, user)]
        starter = [sys.executable, "-I", "-S", launch.__file__, *identity]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*starter, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=dict(environ),
                start_new_session=True,
            )
        self._tell_guard(str(self._process.pid))

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def join(self, limit_s: float) -> int | None:
        """How it ended, at the latest after `limit_s`; None if it still runs."""
        if self._process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(limit_s)
        return None

    def tail(self) -> str:
        """The last lines of its log."""
        try:
            text = self.log.read_text("utf-8", errors="replace")
        except OSError:
            return "no log"
        return "\n".join(text.strip().splitlines()[-LOG_LINES_SHOWN:]) or "an empty log"

    def wait_ready(self, ready: Callable[[], bool], limit_s: float) -> None:
        """Wait until `ready()`; raises EngineDiedError or ProbeError with the end of the log."""
        last: list[str] = []

        def poll() -> bool:
            if self.exit_code() is not None:
                raise EngineDiedError(self)
            try:
                return ready()
            except Exception as exc:  # noqa: BLE001 - drivers raise all sorts while it comes up
                last[:] = [f"{type(exc).__name__}: {exc}"]
                return False

        try:
            wait_until(
                f"the sandbox's {self.engine}",
                poll,
                done=bool,
                deadline=Deadline.after(limit_s),
                longest_pause_s=0.1,
            )
        except WaitFailure as exc:
            raise ProbeError(
                f"The sandbox's {self.engine} was not ready in {limit_s:g} s.",
                seen="\n".join([*last, self.tail()]),
                to_try="free some memory and processor time, and run again",
            ) from exc

    def stop(self, signal_number: signal.Signals, *, limit_s: float = STOP_LIMIT_S) -> bool:
        """Ask it to end, insist after `limit_s`; whether it ended by itself."""
        if self._process is None or self._process.poll() is not None:
            return True
        for number in (signal_number, self._kill_with, signal.SIGKILL):
            # It leads a session of its own; what it started itself shall not outlive it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(limit_s)
                return number == signal_number
        return False

    def close(self) -> None:
        """End it at once, remove its folder, send the guard home. Idempotent."""
        self.stop(self._kill_with)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._tell_guard("done")
        if self._guard.stdin is not None and not self._guard.stdin.closed:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
        self._guard.wait(STOP_LIMIT_S)

    def _tell_guard(self, word: str) -> None:
        pipe: IO[bytes] | None = self._guard.stdin
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(OSError):
                pipe.write(f"{word}\n".encode())
                pipe.flush()


class EngineDiedError(ProbeError):
    """An engine's process ended, although nobody asked it to."""

    def __init__(self, process: EngineProcess) -> None:
        code = process.exit_code()
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        self.said = process.tail()
        super().__init__(f"The sandbox's {process.engine} ended by itself ({how}).", seen=self.said)

    @property
    def port_was_taken(self) -> bool:
        """Whether somebody took its port between our choice and its start."""
        return "address already in use" in self.said.lower()


def free_port() -> int:
    """A loopback port that is free now; whoever is told to use it may find it taken."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def memory_or_temp() -> Path:
    """Where small files are quickest: in memory if there is room, else the temp folder."""
    try:
        if shutil.disk_usage(MEMORY_FOLDER).free >= ROOM_IN_MEMORY_BYTES and os.access(
            MEMORY_FOLDER, os.W_OK
        ):
            return MEMORY_FOLDER
    except OSError:
        pass
    return Path(tempfile.gettempdir())
