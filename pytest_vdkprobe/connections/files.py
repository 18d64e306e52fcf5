"""Files of JSON objects: the two layouts they are written in, and whose the file is.

VDK's file ingestion appends one indented object after another with nothing between (`}{`), which no
JSON reader takes as it is; but an object's own last brace is the only one that begins a line, so
that the end of each is found without reading its inside. `lines` is one object a line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pytest_vdkprobe.errors import ConfigError, PlatformFailure, ProbeError
from pytest_vdkprobe.processes import host_name

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import Lease, LeaseStore

Layout = Literal["vdk", "lines"]

INDENT = 4
"""As vdk-ingest-file writes: `json.dumps(payload, indent=4)`."""
INODE = "inode"
"""In a lease's `where`: the file's number."""
HEAD = 1 << 16
"""Bytes in which a file of records has shown whose they are."""
END_OF_INDENTED = b"\n}"
START_OF_INDENTED = b'{\n    "'


class Torn(msgspec.Struct, frozen=True):
    """Bytes where an object belongs, which are none: cut short, or never one of ours."""

    content: bytes


def encode(document: dict[str, Any], layout: Layout) -> bytes:
    """One object as it is appended to a file of this layout."""
    if layout == "vdk":
        return json.dumps(document, indent=INDENT).encode()
    return msgspec.json.encode(document) + b"\n"


class Splitter:
    """Takes a file's bytes as they come and gives back the objects that are complete."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._end = END_OF_INDENTED if layout == "vdk" else b"\n"
        self._rest: list[bytes] = []

    @property
    def rest(self) -> bytes:
        """What came last and has no end yet."""
        return b"".join(self._rest)

    def feed(self, content: bytes) -> Iterator[dict[str, Any] | Torn]:
        """The objects that end in `content`, begun here or before."""
        # An end may itself be cut in two, by one byte at most.
        last = self._rest[-1][-1:] if self._rest else b""
        if self._end not in last + content:
            self._rest += [content] if content else []
            return
        *ended, rest = (self.rest + content).split(self._end)
        self._rest = [rest] if rest else []
        for piece in ended:
            yield from self._objects(piece + self._end)

    def _objects(self, piece: bytes) -> Iterator[dict[str, Any] | Torn]:
        if not piece.strip():
            return
        found = _decode(piece)
        if found is not None:
            yield found
            return
        # A writer that was cut off may stand before another that went on.
        start = piece.rfind(START_OF_INDENTED) if self._layout == "vdk" else -1
        found = _decode(piece[start:]) if start > 0 else None
        yield Torn(piece[:start] if found is not None else piece)
        if found is not None:
            yield found


def _decode(piece: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(piece)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            # VDK writes what Python's json does: NaN and Infinity too, which are not JSON.
            found = json.loads(piece)
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


class OwnFile:
    """One file: found, or created where that is allowed, and then removed with its new folders."""

    def __init__(self, path: Path, *, leases: LeaseStore | None, key: str) -> None:
        self.path = path
        self._leases = leases
        self._key = key
        self._lease: Lease | None = None
        self._folders: list[Path] = []
        self._created = False

    def ensure(self, *, create: bool) -> None:
        """Return when the file is there and is a file.

        Raises ConfigError for one that is missing and may not be created, or is none; ProbeError
        when this machine does not let us create it.
        """
        if self.path.is_dir():
            raise self._wrong("is a folder", "name a file in it")
        if self.path.exists():
            return
        if not create:
            raise self._wrong("is not there", "check its name, or let it be created: create = true")
        new = [each for each in self.path.parents if not each.exists()]
        if self._leases is not None:
            topmost = {"folder": str(new[-1])} if new else {}
            where = {"host": host_name(), **topmost}
            self._lease = self._leases.take("file", str(self.path), where=where)
        try:
            for folder in reversed(new):
                if not folder.is_dir():
                    folder.mkdir()
                    self._folders.append(folder)
            self.path.touch(mode=0o600, exist_ok=False)
            self._created = True
            if self._lease is not None:
                self._lease.add(**{INODE: str(self.path.stat().st_ino)})
        except FileExistsError:
            # Somebody was quicker: it is theirs.
            self.remove()
            if not self.path.exists():
                raise self._wrong("lies below a file", "name another folder") from None
        except OSError as exc:
            self.remove()
            raise ProbeError(
                f"The file {self.path} can't be created: {exc.strerror}.",
                checked=f"key {self._key}.path",
                to_try="look at the folder's permissions and at the room on its disk",
            ) from exc

    def _wrong(self, what: str, to_try: str) -> ConfigError:
        return ConfigError(f"The file {self.path} {what}.", key=f"{self._key}.path", to_try=to_try)

    def remove(self) -> None:
        """Delete what `ensure` created, see it gone, release its lease. May be called again."""
        if self._created:
            _delete(self.path)
            self._created = False
        _remove_empty(reversed(self._folders))
        self._folders.clear()
        if self._lease is not None:
            self._lease.release()
            self._lease = None


def remove_file(lease: Lease) -> bool:
    """Delete the file that a lease names, and the folders made for it if they are empty by now.

    False where another has its name by now, which is left.
    """
    path = Path(lease.name)
    if path.exists() and not _is_ours(path, lease):
        return False
    _delete(path)
    if (made := lease.where.get("folder")) is not None:
        topmost = Path(made)
        _remove_empty(each for each in path.parents if each.is_relative_to(topmost))
    return True


def _is_ours(path: Path, lease: Lease) -> bool:
    """Whether this is the file that the run made: with its number, and of records of the run.

    Numbers are given again, and a file may be empty, so neither tells alone.
    """
    try:
        with path.open("rb") as file:
            inode, begin = str(os.fstat(file.fileno()).st_ino), file.read(HEAD)
    except OSError as exc:
        raise ProbeError(
            f"The file {path}, which a run may have created, can't be read: {exc.strerror}.",
            to_try="remove it by hand",
        ) from exc
    known = lease.where.get(INODE)
    if known not in (None, inode):
        return False
    if begin:
        return lease.run_id.encode() in begin
    return known is not None or lease.run_id in lease.name


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove these, innermost first, up to one in which somebody keeps something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise ProbeError(
            f"The file {path}, which a run created, can't be removed: {exc.strerror}.",
            to_try="remove it by hand",
        ) from exc
    if path.exists():
        raise PlatformFailure(
            f"The file {path} is there again after it was removed.",
            to_try="who else writes to it?",
        )
