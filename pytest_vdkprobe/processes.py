"""Telling a process from a later one that was given the same id.

A process id alone lies: it is used again after a while, means nothing on another machine or in
another container, and stays visible while a dead child waits to be reaped. With the start time and
the place it is true.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec


class Process(msgspec.Struct, frozen=True):
    """A process that can be told from a later one with the same id.

    `place` stands for host, boot and process namespace together: only inside one place does a
    process id say anything. `started` is the start time in clock ticks since boot (proc(5),
    /proc/pid/stat field 22), 0 where the system does not tell.
    """

    place: str
    pid: int
    started: int

    @classmethod
    def current(cls) -> Process:
        """This process."""
        return cls(_place(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this id now."""
        return cls(_place(), pid, _started(pid) or 0)

    def runs(self) -> bool | None:
        """Whether it still runs; None when that can't be known from here."""
        if self.place != _place() or not self.started:
            return None
        started = _started(self.pid)
        if started is not None:
            return started == self.started
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            pass
        # A zombie, or /proc hides other users' processes: the first is dead, the second unknown.
        return False if _is_zombie(self.pid) else None


def _place() -> str:
    """Host, boot and process namespace in 12 digits, the same for all who share process ids."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return hashlib.sha256("\0".join((host_name(), boot_id(), namespace)).encode()).hexdigest()[:12]


def host_name() -> str:
    """This machine's name, for people."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def boot_id() -> str:
    """The kernel's random name for the time since it started; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _stat_fields(pid: int) -> list[str] | None:
    """/proc/pid/stat from field 3 on; the name before may hold blanks and parentheses."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _started(pid: int) -> int | None:
    """When a live process began, in clock ticks since boot; None for none, and for a zombie."""
    fields = _stat_fields(pid)
    if fields is None or len(fields) < 20 or fields[0] in "ZXx":
        return None
    return int(fields[19])


def _is_zombie(pid: int) -> bool:
    fields = _stat_fields(pid)
    return bool(fields) and fields is not None and fields[0] in "ZXx"
