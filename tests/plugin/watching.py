"""A watch in a process of its own, in a test's folder: its output, its metrics, its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.plugin.conftest import HEAD, LEAN, PLATFORM

PATIENCE_S = 60.0
"""For what takes a second or two on an idle machine."""

STEERED = """
from pathlib import Path

@step
def test_follow(vdk_step):
    told = Path("told.txt").read_text().strip()
    with open("rounds.txt", "a") as file:
        file.write(vdk_step.run.run_id + "\\n")
    if told.startswith("fail"):
        raise PlatformFailure("It is down.", seen=told, to_try="get up")
    if told == "login":
        from pytest_vdkprobe.errors import LoginError
        raise LoginError("Refused.")
    if told == "die":
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    vdk_step.evidence("told " + told)
"""
"""A scenario that does as a file says."""


class Watch:
    """`with Watch(folder, "--vdk-watch=10s") as watch:`; stopped at the end if it still goes on."""

    def __init__(self, folder: Path, *args: str) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "pytest", "--vdk-config=platform.toml", *LEAN]
        self.process = subprocess.Popen(
            [*command, "--vdk-metrics-port=0", *args],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return "\n".join(self.lines)

    def wait(self, what: str, seen: Callable[[], object]) -> None:
        """Until `seen()`, while it goes on."""

        def look() -> bool:
            if seen():
                return True
            assert self.process.poll() is None, f"it ended before {what}:\n{self.output}"
            return False

        try:
            wait_until(
                what, look, done=bool, deadline=Deadline.after(PATIENCE_S), longest_pause_s=0.1
            )
        except Exception as exc:
            raise AssertionError(f"{what}: not seen in\n{self.output}") from exc

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until it has printed this."""
        self.wait(f"output {text!r}", lambda: self.output.count(text) >= times)

    def wait_for_rounds(self, count: int) -> None:
        """Until the steered scenario has begun so many rounds."""
        self.wait(f"{count} rounds", lambda: self.rounds() >= count)

    def rounds(self) -> int:
        """How many the steered scenario has begun."""
        file = self.folder / "rounds.txt"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def metrics(self) -> dict[str, float]:
        """Every series, scraped."""
        self.wait_for("/metrics")
        found = re.search(r"metrics: http://[^:]+:(\d+)/metrics", self.output)
        assert found
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in rows}

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it, and wait for its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def ended(self) -> int:
        """Wait for its own end: the exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


def prepare(
    folder: Path, scenario: str = STEERED, *, told: str = "pass", more: str = "interval_s = 0.2"
) -> None:
    """A folder with a configuration and one scenario."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "platform.toml").write_text(
        f'{PLATFORM}\n[run]\ngrace_s = 30\n[watch]\nstate_folder = "state"\n{more}\n'
    )
    (folder / "test_mine.py").write_text(HEAD + scenario)
    tell(folder, told)


def tell(folder: Path, what: str) -> None:
    """Make the steered scenario do this from its next round on."""
    temporary = folder / "told.new"
    temporary.write_text(what)
    temporary.rename(folder / "told.txt")


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]
