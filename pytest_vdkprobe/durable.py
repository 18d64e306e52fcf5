"""Small files that are on the disk, whole, when the call returns, or not there at all.

A plain write can be cut short by a kill, a full disk or a power failure, and a reader in another
process can catch it half done. So the content goes into a temporary file of the same folder, is
flushed to the disk, and gets its name in one step.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path

ABANDONED_S = 3600.0
"""A temporary file this old belongs to nobody: writing one takes milliseconds."""

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


def write_durably(path: Path, content: bytes, *, modified: float | None = None) -> None:
    """Write a new file, and its folder where there is none, readable for its owner only.

    `modified` becomes its modification time (seconds since 1970). Raises OSError, and then leaves
    nothing behind.
    """
    folder = path.parent
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)
    temporary = folder / f".{os.urandom(8).hex()}.tmp"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if modified is not None:
                os.utime(temporary, (modified, modified))
            os.fsync(file.fileno())
        temporary.rename(path)
        sync_folder(folder)
    except OSError:
        for left in (temporary, path):
            with suppress(OSError):
                left.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make what was renamed in it durable; systems that can't open a folder do so themselves."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_abandoned(path: Path) -> None:
    """Remove a temporary file of ours whose writer was killed; anything else is left alone."""
    if not _TEMPORARY.fullmatch(path.name):
        return
    with suppress(OSError):
        if path.lstat().st_mtime + ABANDONED_S < time.time():
            path.unlink()
