"""Where a watch keeps what outlives it, and that only one process uses it at a time."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from pytest_vdkprobe.errors import ConfigError, WaitFailure
from pytest_vdkprobe.leases import default_folder
from pytest_vdkprobe.waiting import Deadline, wait_until

PATIENCE_S = 120.0
"""What the process before may take to clean up after it was told, or left alone."""


def state_folder(configured: str | None, name: str) -> Path:
    """The folder of the watch of the configuration called `name`."""
    if configured:
        return Path(configured).expanduser()
    return default_folder().parent / "watch" / _plain(str(Path(name).absolute()))


def folder_of(state: Path, scenario: str) -> Path:
    """What one scenario's process has for itself."""
    return state / _plain(scenario)


def hold(path: Path, *, what: str, patience_s: float = PATIENCE_S) -> None:
    """Be the one process that uses what `path` stands for, until this process ends.

    The kernel lets go of it whatever ends the process. Waits for the one before, which may be
    cleaning up; raises ConfigError when that does not end.
    """
    import fcntl  # noqa: PLC0415 - not there on every system, and only a watch needs it

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def taken() -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        wait_until(
            f"the process before that used {what}",
            taken,
            done=bool,
            deadline=Deadline.after(patience_s, "the time that it gets"),
            longest_pause_s=0.2,
        )
    except WaitFailure as failure:
        os.close(handle)
        raise ConfigError(
            f"Another process is using {what}.",
            value="process " + path.read_text("utf-8").strip(),
            key="watch.state_folder",
            to_try=f"stop it, or give this one a folder of its own; now it is {path.parent}",
        ) from failure
    os.ftruncate(handle, 0)
    os.write(handle, str(os.getpid()).encode())


def _plain(name: str) -> str:
    """A name as a folder's, told from others that look alike."""
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")[-60:]
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"
