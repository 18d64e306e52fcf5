"""A run that is still going on: watched from outside, sent signals, and seen to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until

PATIENCE_S = 60.0
"""For anything that a test waits for: a few seconds, and many of them on a loaded machine."""


class Running:
    """A run in a session of its own; what is left of that session ends with the block."""

    def __init__(
        self,
        configuration: Path,
        *options: str,
        scenario: str = "heartbeat",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = configuration.parent
        self._output = (self.folder / "output.txt").open("w+")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", f"--vdk-config={configuration}"),
                *(f"--vdk-scenarios={scenario}", "-p", "no:cacheprovider", *options),
            ],
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.signal_all(signal.SIGKILL)
        self.process.wait()
        self._output.close()

    @property
    def output(self) -> str:
        """What it printed so far."""
        return (self.folder / "output.txt").read_text()

    def signal(self, number: int) -> None:
        """To the process that the user started, and to no worker."""
        self.process.send_signal(number)

    def signal_all(self, number: int) -> None:
        """To it and to all that it started, as a terminal and a container's end do."""
        for pid in self.alive():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def alive(self) -> list[int]:
        """The processes of its session that still run; zombies don't."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] not in "ZX":
                found.append(int(path.parent.name))
        return found

    def until(self, what: str, seen: Callable[[], Any]) -> None:
        """Wait for something to be so while it runs."""

        def look() -> str:
            if seen():
                return "seen"
            return "ended" if self.process.poll() is not None else "not yet"

        waited = wait_until(
            what,
            look,
            done=lambda state: state != "not yet",
            deadline=Deadline.after(PATIENCE_S),
            longest_pause_s=0.05,
        )
        assert waited.value == "seen", f"{what}: the run ended before\n{self.output}"

    def until_hit(self, sandbox: Sandbox, fault: str) -> None:
        """Wait until the planted fault has its call: that step is under way."""
        self.until(fault, lambda: sandbox.faults.planted().get(fault))

    def end(self, *, within_s: float = PATIENCE_S) -> int:
        """Its exit code; it and all that it started must end in time."""
        wait_until(
            "the run to end",
            lambda: (self.process.poll(), self.alive()),
            done=lambda seen: seen[0] is not None and not seen[1],
            deadline=Deadline.after(within_s),
            longest_pause_s=0.05,
        )
        return self.process.returncode
