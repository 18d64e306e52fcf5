"""Folders of the user's cache that are made once, whole, and then only read.

Fetched files, a formatted Kafka, an initialised PostgreSQL and the JVMs' archives are all the same
case: slow to make, wanted by several processes at once, and useless when a kill left half of them.
Each is built beside its place under a file lock and gets its name in one step, so that a folder
that has its name is complete.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.environment import cache_folder

MAKE_LIMIT_S = 1800.0
"""How long to wait for another process that makes the same: 210 MB over a slow line."""


def find(name: str) -> Path | None:
    """The complete folder of this name, or None."""
    place = _place(name)
    return place if place.is_dir() else None


def make(
    name: str,
    build: Callable[[Path], None],
    *,
    resume: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Path:
    """The folder of this name, filled by `build(folder)` now if nobody has done so before.

    With `resume`, `build` is given what a killed one left; otherwise an empty folder. What `build`
    raises ends the call; ProbeError when the cache can't be written.
    """
    found = find(name)
    if found is not None:
        return found
    import filelock  # noqa: PLC0415 - only the sandbox extra brings it

    place = _place(name)
    partial = place.with_name(f"{name}.part")
    lock = filelock.FileLock(place.with_name(f"{name}.lock"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if tell is not None:
                tell("waiting for another process that makes it ...")
            lock.acquire(timeout=MAKE_LIMIT_S, poll_interval=0.1)
        if not place.is_dir():
            if not resume:
                shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(exist_ok=True)
            build(partial)
            # A power failure must not leave the name without the content.
            os.sync()
            partial.rename(place)
    except filelock.Timeout as exc:
        raise ProbeError(f"Another process held {lock.lock_file} for too long.") from exc
    except OSError as exc:
        raise ProbeError(
            f"The cache folder of the sandbox's engines can't be used: {exc}.",
            checked=str(place.parent),
            to_try="make room or correct its permissions; VDKPROBE_CACHE names another folder",
        ) from exc
    finally:
        lock.release()
    return place


def folder() -> Path:
    """Where all of it lies."""
    return cache_folder() / "engines"


def _place(name: str) -> Path:
    return folder() / name
