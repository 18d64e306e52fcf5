"""The temporary folder of a sandbox: its owner stands in it, so a killed one's can be removed.

A sandbox that is stopped takes its folder along. One that was killed can't; the next that starts
here finds the folder, sees that its process is gone, and removes it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec

from pytest_vdkprobe.processes import Process

PREFIX = "vdkprobe-sandbox-"
OWNER = "owner.json"


def make_folder() -> Path:
    """A new folder of this process's; those of processes that are gone are removed first."""
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # In one step: a folder whose owner is half written would belong to nobody.
    part = folder / f"{OWNER}.part"
    part.write_bytes(msgspec.json.encode(Process.current()))
    part.rename(folder / OWNER)
    return folder


def sweep() -> list[Path]:
    """Remove the folders whose owner is known to be gone; what can't be told is left alone."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            owner = msgspec.json.decode((folder / OWNER).read_bytes(), type=Process)
        except (OSError, msgspec.MsgspecError):
            continue
        if owner.runs() is False:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed
