"""The pipeline's own processes, run as users run them, in an environment that we made."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.waiting import Deadline

OURS = (sys.executable, "-m", "pytest_vdkprobe.cli.main", "pipeline")
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")
KILL_LIMIT_S = 10.0
PREFIX = "vdkprobe-pipeline-"
_FOLDER = re.compile(PREFIX + r"([0-9a-f]+)-(\d+)-(\d+)-\w+")
"""A folder's name says whose it is: place, process id and start time."""
LINES_SHOWN = 12


class Running:
    """One process, and the file with what it says."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    def require_alive(self) -> None:
        """Raise PlatformFailure if it ended by itself."""
        if self.process.poll() is not None:
            raise self.failure(f"The {self.name} ended by itself, {self._how()}.")

    def end(self, deadline: Deadline) -> dict[str, Any]:
        """Ask it to end, and return what it says that it did. Raises PlatformFailure."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(deadline.remaining_s())
        except subprocess.TimeoutExpired as exc:
            raise self.failure(f"The {self.name} did not end after SIGTERM.") from exc
        if self.process.returncode:
            raise self.failure(f"The {self.name} did not end in order, {self._how()}.")
        for line in reversed(self.lines()):
            if line.startswith("{"):
                return dict(json.loads(line))
        raise self.failure(f"The {self.name} did not say what it did.")

    def kill(self) -> None:
        """End it at once. May be called again."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(KILL_LIMIT_S)
        if self.process.stdin is not None:
            self.process.stdin.close()

    def lines(self) -> list[str]:
        """What it said."""
        try:
            return self.log.read_text("utf-8", "replace").splitlines()
        except OSError:
            return []

    def failure(self, what: str) -> PlatformFailure:
        """A failure that shows the end of its log."""
        return PlatformFailure(what, seen="\n".join(self.lines()[-LINES_SHOWN:]) or "no output")

    def _how(self) -> str:
        code = self.process.returncode
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


class Workload:
    """Starts the pipeline's commands with one configuration; `close` ends whatever still runs."""

    def __init__(self, section: Mapping[str, Any], *, command: tuple[str, ...] = ()) -> None:
        self._command = command or OURS
        _remove_abandoned()
        me = Process.current()
        self._folder = tempfile.TemporaryDirectory(
            prefix=f"{PREFIX}{me.place}-{me.pid}-{me.started}-"
        )
        self._running: list[Running] = []
        self._section = section
        self._environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._environ |= {
            ref.env: os.environ[ref.env]
            for ref in _secrets(section)
            if ref.env and ref.env in os.environ
        }

    @property
    def folder(self) -> Path:
        """Where configurations and logs are."""
        return Path(self._folder.name)

    def run(self, command: str, *arguments: str, deadline: Deadline, **settings: object) -> str:
        """Run a command to its end; what it printed. Raises PlatformFailure when it fails."""
        running = self.start(command, *arguments, **settings)
        try:
            running.process.wait(deadline.remaining_s())
        except subprocess.TimeoutExpired as exc:
            running.kill()
            raise running.failure(f"The {running.name} did not end in time.") from exc
        if running.process.returncode:
            raise running.failure(f"The {running.name} failed, {running._how()}.")
        return "\n".join(running.lines())

    def start(self, command: str, *arguments: str, **settings: object) -> Running:
        """Start a command; `settings` are those of [pipeline] that are other than usual."""
        number = len(self._running)
        if command.startswith("start-"):
            arguments = (*arguments, "--until-eof")
        config = self.folder / f"{number}.toml"
        section = "\n".join(
            f"{key} = {toml(value)}" for key, value in {**self._section, **settings}.items()
        )
        config.write_text(f"[pipeline]\n{section}\n", "utf-8")
        log = self.folder / f"{number}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*self._command, command, str(config), *arguments],
                # Open as long as we are there: what outlives us sees it end.
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environ,
            )
        words = " ".join([command.removeprefix("start-"), *arguments]).partition(" --")[0]
        running = Running(words, process, log)
        self._running.append(running)
        return running

    def close(self) -> None:
        """End what still runs, remove what was written. May be called again."""
        for running in self._running:
            running.kill()
        self._running.clear()
        self._folder.cleanup()


def _remove_abandoned() -> None:
    """Remove the folders of runs that were killed; their processes end by themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        found = _FOLDER.fullmatch(folder.name)
        if found and Process(found[1], int(found[2]), int(found[3])).runs() is False:
            shutil.rmtree(folder, ignore_errors=True)


def toml(value: object) -> str:
    """A value as TOML has it; JSON's texts and numbers are TOML's."""
    if isinstance(value, msgspec.Struct):
        value = {key: getattr(value, key) for key in value.__struct_fields__}
    if isinstance(value, Mapping):
        inside = [f"{key} = {toml(each)}" for key, each in value.items() if each is not None]
        return "{ " + ", ".join(inside) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml, value)) + "]"
    # TOML takes no surrogate pairs, and no DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _secrets(value: object) -> list[SecretRef]:
    """Every secret's place, at any depth."""
    if isinstance(value, SecretRef):
        return [value]
    if isinstance(value, msgspec.Struct):
        value = [getattr(value, key) for key in value.__struct_fields__]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [ref for each in value for ref in _secrets(each)]
    return []
