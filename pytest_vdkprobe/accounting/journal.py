"""An append-only file of short lines, each with its checksum, that a kill leaves readable.

What a kill or a full disk cut short is recognised, and cut off when the file is opened again. Lines
are handed to the kernel at once, which outlives our process; the disk is waited for at the first
line and at the close. One that is kept for months is begun anew now and then, with what all of its
lines amount to, or it would grow for ever and take ever longer to read.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Self

from pytest_vdkprobe.durable import sync_folder
from pytest_vdkprobe.errors import ProbeError

LARGE = 1 << 20
"""Bytes up to which no journal is begun anew; beyond, it is when it has doubled since."""


class Journal:
    """`Journal.create(path, head)`, or `Journal.open(path)`; `what` it is called in messages."""

    def __init__(self, path: Path, descriptor: int, *, what: str, written: int) -> None:
        self.path = path
        self._what = what
        self._descriptor: int | None = descriptor
        self._written = written
        """Bytes of whole lines."""
        self._first = written
        """Of the first line; or of all, where beginning anew came to nothing."""
        self._waiting = b""
        """Lines that nobody has to wait for."""

    @classmethod
    def create(cls, path: Path, head: str, *, what: str) -> Self:
        """A new one. Raises ProbeError where the file can't be written, or is there already."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as exc:
            raise _unusable(path, exc, what) from exc
        journal = cls(path, descriptor, what=what, written=0)
        try:
            journal.write(head)
            journal._first = journal._written
            os.fsync(descriptor)
            sync_folder(path.parent)
        except BaseException as exc:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            if isinstance(exc, OSError):
                raise _unusable(path, exc, what) from exc
            raise
        return journal

    @classmethod
    def open(cls, path: Path, *, what: str) -> tuple[Self, list[str]]:
        """One that an earlier process wrote, and its lines; what was cut short is removed.

        Raises ProbeError for one that is damaged before its end.
        """
        try:
            content = path.read_bytes()
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as exc:
            raise _unusable(path, exc, what) from exc
        lines: list[str] = []
        good = 0
        for line in content.splitlines(keepends=True):
            text = _checked(line)
            if text is None:
                break
            lines.append(text)
            good += len(line)
        if b"\n" in content[good:].rstrip(b"\n"):
            os.close(descriptor)
            raise ProbeError(
                f"The {what} is damaged before its end, so what it held is not known.",
                checked=f"{path}, byte {good}",
                to_try="move it away; the records of that run can't be accounted for",
            )
        os.ftruncate(descriptor, good)
        journal = cls(path, descriptor, what=what, written=good)
        journal._first = content.find(b"\n") + 1
        return journal, lines

    def write(self, text: str, *, soon: bool = False) -> None:
        """Add a line; with `soon`, when the next one is, or at a `flush`."""
        if self._descriptor is None:
            raise ProbeError(f"The {self._what} is closed.", checked=str(self.path))
        raw = text.encode()
        lines = self._waiting + b"%s %08x\n" % (raw, zlib.crc32(raw))
        if not soon:
            # One that can't be written never was; those that waited go on waiting for room.
            self._put(self._descriptor, lines)
            lines = b""
        self._waiting = lines

    @property
    def large(self) -> bool:
        """Whether it is worth beginning anew."""
        return self._written > max(LARGE, 2 * self._first)

    def begin_anew(self, head: str) -> None:
        """Replace all lines by this one, in one step: a kill leaves either the old or the new.

        Raises ProbeError where there is no room for it, and then goes on with what there is.
        """
        self._first = self._written
        fresh = self.path.with_name(self.path.name + ".new")
        with suppress(OSError):
            fresh.unlink(missing_ok=True)  # of one that was killed meanwhile
        made = type(self).create(fresh, head, what=self._what)
        try:
            fresh.replace(self.path)
        except OSError as exc:
            made.close()
            fresh.unlink(missing_ok=True)
            raise _unusable(self.path, exc, self._what) from exc
        before = self._descriptor
        self._descriptor, self._written = made._descriptor, made._written
        self._first, self._waiting = made._first, b""
        if before is not None:
            os.close(before)
        with suppress(OSError):  # or a power failure brings back the old one, which is as good
            sync_folder(self.path.parent)

    def flush(self) -> None:
        """Hand to the kernel what waits."""
        if self._waiting and self._descriptor is not None:
            self._put(self._descriptor, self._waiting)
            self._waiting = b""

    def _put(self, descriptor: int, lines: bytes) -> None:
        at = 0
        try:
            while at < len(lines):
                at += os.write(descriptor, lines[at:])
        except OSError as exc:
            # What went out of the line must not stand before the next one.
            with suppress(OSError):
                os.ftruncate(descriptor, self._written)
            raise _unusable(self.path, exc, self._what) from exc
        self._written += len(lines)

    def close(self) -> None:
        """Flush it to the disk. May be called again."""
        if self._descriptor is None:
            return
        descriptor = self._descriptor
        try:
            self.flush()
            os.fsync(descriptor)
        except OSError as exc:
            raise _unusable(self.path, exc, self._what) from exc
        finally:
            os.close(descriptor)
            self._descriptor = None


def _checked(line: bytes) -> str | None:
    """The line's text, or None if it is not whole."""
    if not line.endswith(b"\n"):
        return None
    raw, _, checksum = line[:-1].rpartition(b" ")
    if checksum != b"%08x" % zlib.crc32(raw):
        return None
    return raw.decode("utf-8", "replace")


def _unusable(path: Path, exc: OSError, what: str) -> ProbeError:
    return ProbeError(
        f"The {what} can't be written: {exc.strerror or exc}.",
        seen=f"{type(exc).__name__} at {path}",
        expected="a folder that can be written, with room in it",
        to_try="make room, or choose another folder (run.report_folder; of a watch, "
        "watch.state_folder)",
    )
