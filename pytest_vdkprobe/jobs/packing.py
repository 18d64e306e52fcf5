"""A job's files as the zip that the Control Service takes, byte-identical each time.

Same content, same version is a promise of the platform that the heartbeat checks, so nothing of
this machine or this moment may get in: no clock, no owner, no order of a directory listing.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import PurePosixPath

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold (APPNOTE 4.4.6, MS-DOS date)."""
FILE_MODE = 0o100644
FOLDER_MODE = 0o40755
LEVEL = 6
_UNIX = 3


def pack(files: Mapping[str, bytes], top_folder: str) -> bytes:
    """A zip of `files` (relative POSIX paths) below one top folder.

    The service renames that folder to the job; without one it answers 500, with two it keeps one.
    Folders have entries of their own, as in the archives that vdkcli makes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(_entry(f"{top_folder}/", FOLDER_MODE), b"")
        for folder in sorted(_folders(files)):
            archive.writestr(_entry(f"{top_folder}/{folder}/", FOLDER_MODE), b"")
        for name in sorted(files):
            archive.writestr(
                _entry(f"{top_folder}/{name}", FILE_MODE),
                files[name],
                compress_type=zipfile.ZIP_DEFLATED,
                compresslevel=LEVEL,
            )
    return buffer.getvalue()


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 (hex) over names and contents, each preceded by its length so that none can blur."""
    found = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            found.update(len(part).to_bytes(8, "big"))
            found.update(part)
    return found.hexdigest()


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = _UNIX
    entry.external_attr = mode << 16 | (0x10 if mode == FOLDER_MODE else 0)
    return entry


def _folders(files: Mapping[str, bytes]) -> set[str]:
    return {
        str(parent)
        for name in files
        for parent in PurePosixPath(name).parents
        if str(parent) != "."
    }
