"""Numbers by name in memory that other processes can read, and that outlives who writes them.

The process that runs a scenario writes, the one that answers scrapes reads, and neither ever waits
for the other: the file is mapped into both. What is written is in the kernel's hands at once, so a
SIGKILL loses nothing; only a power failure can take what was written since the last `flush`.

The file is a head (magic, the boot that its moments belong to, bytes in use) and after it, for each
name: its length and the number of its values, the name, the values as doubles. Names are only ever
added, and are in use only when all of them is there.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.processes import boot_id

_HEAD = struct.Struct("=8s40sQ")
_ENTRY = struct.Struct("=II")
_MAGIC = b"vdkcell1"
_FIRST_SIZE = 1 << 16
_HIDDEN = "!"


class Cells:
    """The writer's side. Without a path nobody else sees them.

    Values of an earlier process are taken over: by whoever claims their name again, and by the
    file that `publish` puts in the old one's place. Names that nobody has claimed by the time of
    `hide_unclaimed` are not shown any more, until somebody claims them.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._earlier = read(path) if path is not None else {}
        self._carried: dict[str, int] = {}
        """Where in the file the names begin that were taken over and are nobody's yet."""
        self._at: dict[str, tuple[int, int]] = {}
        self._used = _HEAD.size
        self._file: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
            self._file = os.open(_draft(path), flags, 0o600)
        self._map = self._mapped(_FIRST_SIZE)
        self.values: memoryview[float] = memoryview(self._map).cast("d")
        """What `claim` returns is an index into these. Replaced when there have to be more."""
        self._write_head()

    def claim(self, name: str, width: int) -> int:
        """Where the `width` values called `name` begin; 0 each, or what they were."""
        if name in self._at:
            if name in self._carried:
                place = self._carried.pop(name)
                self._map[place : place + 1] = name[:1].encode()
            return self._at[name][0]
        encoded = name.encode()
        encoded += b" " * (-len(encoded) % 8)
        start = self._used + _ENTRY.size + len(encoded)
        end = start + 8 * width
        self._make_room(end)
        _ENTRY.pack_into(self._map, self._used, len(encoded), width)
        self._map[self._used + _ENTRY.size : start] = encoded
        index = start // 8
        for offset, value in enumerate(self._earlier.pop(name, ())[:width]):
            self.values[index + offset] = value
        self._used = end
        self._write_head()
        self._at[name] = (index, width)
        return index

    def publish(self) -> None:
        """Let others read: everything that is to exist from the start has been claimed."""
        for name, values in list(self._earlier.items()):
            place = self._used + _ENTRY.size
            self.claim(name, len(values))
            self._carried[name] = place
        if self.path is not None:
            with suppress(FileNotFoundError):  # published before
                _draft(self.path).rename(self.path)

    def hide_unclaimed(self) -> None:
        """What an earlier process had and nobody has asked for in this one is history."""
        for place in self._carried.values():
            self._map[place : place + 1] = _HIDDEN.encode()

    def flush(self) -> None:
        """Write it to the disk."""
        if self._file is not None:
            self._map.flush()

    def close(self) -> None:
        """Let go of the file, which stays. May be called again."""
        if self._file is not None:
            self.flush()
            os.close(self._file)
            self._file = None

    def items(self) -> Mapping[str, list[float]]:
        """Every name with its values as they stand."""
        return {
            name: list(self.values[index : index + width])
            for name, (index, width) in self._at.items()
        }

    def _mapped(self, size: int) -> mmap.mmap:
        if self._file is None:
            return mmap.mmap(-1, size)
        # With its blocks: writing to one that a full disk has no room for would kill us by SIGBUS.
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file, 0, size)
            else:
                os.ftruncate(self._file, size)
        except OSError as exc:
            raise ProbeError(
                f"Metrics can't be kept: {exc.strerror or exc}.",
                seen=f"{type(exc).__name__} at {self.path}",
                to_try="make room, or choose another folder: watch.state_folder",
            ) from exc
        return mmap.mmap(self._file, size)

    def _make_room(self, end: int) -> None:
        size = len(self._map)
        if end <= size:
            return
        while size < end:
            size *= 2
        larger = self._mapped(size)
        if self._file is None:
            larger[: self._used] = self._map[: self._used]
        self.values.release()
        self._map.close()
        self._map = larger
        self.values = memoryview(larger).cast("d")

    def _write_head(self) -> None:
        _HEAD.pack_into(self._map, 0, _MAGIC, boot_id().encode()[:40], self._used)


def _draft(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def read(path: Path) -> dict[str, list[float]]:
    """Every name in the file with its values; none where there is no such file, or another.

    Moments on the clock of an earlier boot mean nothing now, so what holds them is left out: names
    that begin with a dash.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    return dict(_entries(content))


def _entries(content: bytes) -> Iterator[tuple[str, list[float]]]:
    if len(content) < _HEAD.size or not content.startswith(_MAGIC):
        return
    _, boot, used = _HEAD.unpack_from(content)
    same_boot = boot.rstrip(b"\0") == boot_id().encode()[:40]
    numbers: memoryview[float] = memoryview(content[: len(content) // 8 * 8]).cast("d")
    position = _HEAD.size
    while position + _ENTRY.size <= min(used, len(content)):
        length, width = _ENTRY.unpack_from(content, position)
        start = position + _ENTRY.size + length
        if not length or start + 8 * width > len(content):
            return
        name = content[position + _ENTRY.size : start].decode("utf-8", "replace").rstrip()
        position = start + 8 * width
        if not name.startswith(_HIDDEN if same_boot else (_HIDDEN, "-")):
            yield name, list(numbers[start // 8 : position // 8])
