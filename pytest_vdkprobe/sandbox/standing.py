"""A sandbox that stays up between runs: start it, ask for it, take it down.

Starting one costs a second and loses every job; whoever tries things out wants to keep theirs. It
lives in a process of its own, which a small file in the user's state folder describes. A process id
is believed only with its start time, so the file of a killed sandbox misleads nobody.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from pytest_vdkprobe.errors import ProbeError, WaitFailure
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox import environment
from pytest_vdkprobe.sandbox.engines.addresses import Addresses
from pytest_vdkprobe.sandbox.environment import Progress
from pytest_vdkprobe.sandbox.faults import Fault
from pytest_vdkprobe.sandbox.session import TICK_S
from pytest_vdkprobe.waiting import Deadline, wait_until

READY_LIMIT_S = 60.0
ENGINES_LIMIT_S = 240.0
"""For the slowest engine on a busy machine."""
STOP_LIMIT_S = 15.0
ENGINE_SETTINGS = ("VDKPROBE_PG_BIN",)
"""What the keeper hands on to its engines' supervisor."""
ANSWER_LIMIT_S = 5.0
LOG_LINES_SHOWN = 12


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the sandbox shall be like."""

    port: int = 0
    """0 takes a free one."""
    executor: Literal["vdk", "instant"] = "vdk"
    auth: bool = False
    tls: bool = False
    tick_s: float = TICK_S
    seed: int = 0
    """Of the dice that faults with a share roll."""
    faults: tuple[Fault, ...] = ()
    """Planted from the start."""
    engines: tuple[str, ...] = ()
    """Which of the real engines run beside it from the start."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox as its keeper noted it when it was ready. Holds no secret."""

    url: str
    process: Process
    since: datetime
    wishes: Wishes
    folder: str
    """Where everything lies that it writes."""
    tables: dict[str, object]
    """The native configuration that leads a run there."""
    engines: Addresses = Addresses()
    """Where the engines that were wished for answer."""

    def runs(self) -> bool:
        """Whether its process is there; where that can't be known, whether it answers."""
        there = self.process.runs()
        return self.answers() if there is None else there

    def answers(self) -> bool:
        """Whether the Control Service says that it is healthy."""
        try:
            self.call("/data-jobs/debug/health")
        except (OSError, ValueError):
            return False
        return True

    def call(self, path: str, *, method: str = "GET", body: bytes | None = None) -> bytes:
        """The body that a call is answered with. Raises OSError for any answer but 2xx."""
        control = self.tables.get("control")
        ca_file = control.get("ca_file") if isinstance(control, dict) else None
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if ca_file:
            context = ssl.create_default_context(cafile=str(ca_file))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        headers = {"Content-Type": "application/json"}
        url = self.url + path
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - our own
        with opener.open(request, timeout=ANSWER_LIMIT_S) as answer:
            return bytes(answer.read())


def state_folder() -> Path:
    """Where the description of the one standing sandbox is: VDKPROBE_STATE, else the user's."""
    given = os.environ.get("VDKPROBE_STATE")
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs  # noqa: PLC0415 - when used

    return Path(platformdirs.user_state_dir("vdkprobe"))


def state_file() -> Path:
    """The description itself, readable for its owner only."""
    return state_folder() / "sandbox.json"


def log_file() -> Path:
    """What the sandbox's process said."""
    return state_folder() / "sandbox.log"


def status() -> Standing | None:
    """The sandbox that is up, or None. Raises ProbeError for one that runs but does not answer."""
    standing = _read()
    if standing is None or not standing.runs():
        return None
    if not standing.answers():
        raise ProbeError(
            f"The sandbox runs (process {standing.process.pid}) but does not answer.",
            checked=f"{standing.url}/data-jobs/debug/health",
            to_try=f"look at {log_file()}; `vdkprobe sandbox down` ends it",
        )
    return standing


def up(wishes: Wishes, *, progress: Progress | None = None) -> tuple[Standing, bool]:
    """The sandbox that is up, and whether it was started now; returns once it truly answers."""
    with _lock():
        standing = status()
        if standing is not None:
            return standing, False
        _forget()
        if wishes.executor == "vdk":
            environment.fetch("vdk", progress=progress)
        provide(wishes, progress=progress)
        return _start(wishes, new_folder()), True


def provide(wishes: Wishes, *, progress: Progress | None = None) -> None:
    """Fetch the engines that are wished for, while somebody watches the progress."""
    if wishes.engines:
        from pytest_vdkprobe.sandbox.engines import catalogue  # noqa: PLC0415 - only if wanted

        catalogue.fetch(wishes.engines, progress=progress)


def down() -> Standing | None:
    """Stop the sandbox that is up, prove that it is gone, remove what it left; None for none."""
    with _lock():
        standing = _read()
        if standing is not None and standing.runs():
            _end(standing)
        else:
            standing = None
        _forget()
        return standing


def new_folder() -> Path:
    """A new folder for all that one sandbox writes."""
    folder = state_folder() / f"sandbox-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700, parents=True)
    return folder


def refuse_another() -> None:
    """Raise ProbeError while a sandbox is up; clear away what a killed one left."""
    with _lock():
        standing = status()
        if standing is not None:
            raise ProbeError(
                f"A sandbox is up already at {standing.url} (process {standing.process.pid}).",
                to_try="`vdkprobe sandbox down` stops it",
            )
        _forget()


def _start(wishes: Wishes, folder: Path) -> Standing:
    """Start the keeper, detached from this terminal, and wait for its sandbox."""
    environ = environment.build_environ(os.environ)
    # All absolute: the process starts in a folder of its own.
    environ["VDKPROBE_CACHE"] = str(environment.cache_folder())
    environ["VDKPROBE_STATE"] = str(state_folder())
    environ |= {name: os.environ[name] for name in ENGINE_SETTINGS if name in os.environ}
    environ["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    log = os.open(log_file(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest_vdkprobe.sandbox.keeper", str(folder)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environ,
            start_new_session=True,
        )
    finally:
        os.close(log)
    assert process.stdin is not None  # noqa: S101 - asked for above
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(msgspec.json.encode(wishes))

    def ready() -> Standing | None:
        if process.poll() is not None:
            raise _stillborn(process.returncode, limit_s)
        standing = _read()
        return standing if standing and standing.answers() else None

    limit_s = READY_LIMIT_S + (ENGINES_LIMIT_S if wishes.engines else 0)
    try:
        found = wait_until("the sandbox", ready, done=bool, deadline=Deadline.after(limit_s)).value
    except BaseException as exc:
        process.kill()
        process.wait(STOP_LIMIT_S)
        _forget()
        if isinstance(exc, WaitFailure):
            raise _stillborn(None, limit_s) from exc
        raise
    assert found is not None  # noqa: S101 - it is what was waited for
    # It goes on without us: said so, or Popen warns that nobody waits for it.
    process.returncode = 0
    return found


def _stillborn(code: int | None, limit_s: float) -> ProbeError:
    how = f"ended with code {code}" if code is not None else f"was not ready in {limit_s:g} s"
    try:
        lines = log_file().read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    said = "\n".join(lines[-LOG_LINES_SHOWN:]).strip()
    return ProbeError(f"The sandbox's process {how}.", seen=said or "no word in its log")


def _end(standing: Standing) -> None:
    """Ask, then insist; returns when the process is gone and the port is closed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(standing.process.pid, number)
        with contextlib.suppress(WaitFailure):
            wait_until(
                "the end of the sandbox",
                lambda: standing.runs() or standing.answers(),
                done=lambda there: not there,
                deadline=Deadline.after(STOP_LIMIT_S),
                longest_pause_s=0.1,
            )
            return
    raise ProbeError(
        f"The sandbox can't be stopped: process {standing.process.pid} is still there.",
        to_try=f"end it by hand; its log is {log_file()}",
    )


def _read() -> Standing | None:
    try:
        return msgspec.json.decode(state_file().read_bytes(), type=Standing)
    except (OSError, msgspec.MsgspecError):
        return None


def _forget() -> None:
    """Remove what a sandbox that is gone left: its description and all that it wrote."""
    state_file().unlink(missing_ok=True)
    for folder in state_folder().glob("sandbox-*"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _lock() -> Iterator[None]:
    """One at a time may start or stop it."""
    import filelock  # noqa: PLC0415 - when used

    state_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    with filelock.FileLock(state_folder() / "sandbox.lock"):
        yield
