"""Durable notes of what a run creates, written before it is created.

A run that is killed can't clean up after itself. What it wrote down beforehand, a later run finds:
one small file per remote object, on the disk before the object exists, with who holds it. A lease
is stale when its holder is known to be dead; on the holder's own machine that is decided by process
id and start time, elsewhere (a shared folder) by an expiry which the holder keeps pushing ahead.

A file is `<run id>.<lease id>.json`; its modification time *is* the expiry, so that renewing a
thousand leases writes no file and can't bring back one that was removed. A sweeper claims a stale
lease by renaming it, with itself in the new name: of two sweepers one rename succeeds, and a claim
whose sweeper died is claimed again in the same way.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote

import msgspec

from pytest_vdkprobe.durable import remove_abandoned, write_durably
from pytest_vdkprobe.errors import LeaseError
from pytest_vdkprobe.processes import Process, boot_id, host_name

TTL_S = 900.0
"""How long a lease outlives its holder in the eyes of another machine."""
LARGEST_NOTE_BYTES = 64 * 1024

_FILE = re.compile(
    r"(?P<run>[^/]+?)\.(?P<id>[0-9a-f]{12,64})\.json"
    r"(?:\.claimed-(?P<place>[0-9a-f]{12})-(?P<pid>[0-9]+)-(?P<started>[0-9]+))?"
)
_HOST = re.compile(r"(?:\[[^]@]*\]|[^:@\[\]]*)(?::[0-9]*)?")
_MARK = re.compile(r"\[vdkprobe lease ([0-9a-f]{12,64})\]")


class LeaseState(StrEnum):
    """What is known of a lease's holder, or of the sweeper that claimed it."""

    ALIVE = "alive"
    STALE = "stale"


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is written down. Later versions may add fields; unknown ones are ignored."""

    id: str
    kind: str
    name: str
    where: dict[str, str]
    run_id: str
    pid: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    pid_started: Annotated[int, msgspec.Meta(ge=0)]
    place: str
    host: str
    boot_id: str
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]


class Unreadable(msgspec.Struct, frozen=True):
    """A file in the store that is not a lease of ours, or no longer; it is left as it is."""

    path: Path
    why: str
    damaged: bool = False  # a lease by its name; what it named may be left for ever


class Lease:
    """One remote object that a run creates, or has created, as read from or written to the store.

    `kind` and `name` say what the object is, `where` on which platform (`url` without user and
    query, `team`); `run_id`, `holder` and `host` say who took the lease, `created_at` when.
    """

    def __init__(
        self,
        store: LeaseStore,
        note: _Note,
        path: Path,
        *,
        expiry: float,
        claimant: Process | None = None,
    ) -> None:
        self.id = note.id
        self.kind = note.kind
        self.name = note.name
        self.where: Mapping[str, str] = note.where
        self.run_id = note.run_id
        self.holder = Process(note.place, note.pid, note.pid_started)
        self.host = note.host
        self.created_at = note.created_at
        self.path = path
        self._note = note
        self._store = store
        self._expiry = expiry
        self._claimant = claimant

    def __repr__(self) -> str:
        return f"<lease {self.id}: {self.kind} {self.name} of run {self.run_id}>"

    @property
    def mark(self) -> str:
        """What the object carries, so that cleanup can tell it from a namesake."""
        return f"[vdkprobe lease {self.id}]"

    @property
    def expires_at(self) -> datetime:
        """When another machine takes its holder for dead, unless it is renewed before."""
        return datetime.fromtimestamp(self._expiry, UTC)

    @property
    def state(self) -> LeaseState:
        """Whether somebody alive still answers for it: its holder, or a sweeper that claimed it."""
        runs = (self._claimant or self.holder).runs()
        if runs is None:
            runs = self._expiry > time.time()
        return LeaseState.ALIVE if runs else LeaseState.STALE

    def add(self, **where: str) -> None:
        """Write down by what the object is told, which is known only now that it is there."""
        self._store._add(self, where)

    def claim(self) -> bool:
        """Take it over for sweeping; False if it is not stale, or somebody else was quicker.

        Only after True may the object be removed, and then `release()` called.
        """
        return self._store._claim(self)

    def release(self) -> None:
        """Forget it, because its object is gone or never came. May be called again."""
        self._store._release(self)


class LeaseStore:
    """The leases in one folder, which runs and machines may share."""

    def __init__(self, folder: Path, *, run_id: str, ttl_s: float = TTL_S) -> None:
        self.folder = folder
        self.run_id = run_id
        self.ttl_s = ttl_s
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise LeaseError unless a lease could be written now; leaves nothing behind."""
        path = self.folder / f".{os.urandom(8).hex()}.tmp"
        try:
            write_durably(path, b"x" * 512)
            path.unlink()
        except OSError as exc:
            raise self._unusable("The lease store can't be written", exc) from exc

    def take(self, kind: str, name: str, *, where: Mapping[str, str]) -> Lease:
        """Write down that this process is about to create an object; durable on return.

        Raises LeaseError when it can't be, and then nothing may be created.
        """
        me = Process.current()
        now = time.time()
        note = _Note(
            id=os.urandom(8).hex(),
            kind=kind,
            name=name,
            where={key: clean_url(value) for key, value in where.items()},
            run_id=self.run_id,
            pid=me.pid,
            pid_started=me.started,
            place=me.place,
            host=host_name(),
            boot_id=boot_id(),
            created_at=datetime.fromtimestamp(now, UTC),
            expires_at=datetime.fromtimestamp(now + self.ttl_s, UTC),
        )
        path = self.folder / f"{quote(self.run_id, safe='')}.{note.id}.json"
        try:
            write_durably(path, msgspec.json.encode(note), modified=now + self.ttl_s)
        except OSError as exc:
            raise self._unusable(f"No lease could be written for {kind} {name}", exc) from exc
        lease = Lease(self, note, path, expiry=now + self.ttl_s)
        with self._lock:
            self._held[note.id] = lease
        return lease

    def _add(self, lease: Lease, where: Mapping[str, str]) -> None:
        lease._note = msgspec.structs.replace(lease._note, where={**lease.where, **where})
        lease.where = lease._note.where
        try:
            write_durably(lease.path, msgspec.json.encode(lease._note), modified=lease._expiry)
        except OSError as exc:
            raise self._unusable(f"The lease {lease.id} can't be written", exc) from exc

    def renew(self) -> list[Lease]:
        """Push the expiry of this process's leases ahead; returns those that are no longer there.

        Raises LeaseError when the store has become unusable.
        """
        with self._lock:
            held = list(self._held.values())
        lost = []
        for lease in held:
            expiry = time.time() + self.ttl_s
            try:
                os.utime(lease.path, (expiry, expiry))
            except FileNotFoundError:
                with self._lock:
                    # Not lost when another thread released it meanwhile.
                    if self._held.pop(lease.id, None):
                        lost.append(lease)
            except OSError as exc:
                raise self._unusable("The leases can't be renewed", exc) from exc
            else:
                lease._expiry = expiry
        return lost

    def all(self) -> list[Lease]:
        """Every readable lease, of all runs, oldest first."""
        return self._read()[0]

    def mine(self) -> list[Lease]:
        """The leases that this process holds, oldest first."""
        me = Process.current()
        return [lease for lease in self.of_run(self.run_id) if lease.holder == me]

    def of_run(self, run_id: str) -> list[Lease]:
        """The leases of a run's processes, alive or dead: a controller's, after its workers."""
        return self._read(run_id)[0]

    def stale(self) -> list[Lease]:
        """The leases whose holder is dead and which no living sweeper has claimed."""
        return [lease for lease in self.all() if lease.state is LeaseState.STALE]

    def unreadable(self) -> list[Unreadable]:
        """Files that are not leases, or were cut short; to be reported, never touched."""
        return self._read()[1]

    def _claim(self, lease: Lease) -> bool:
        me = Process.current()
        if me in (lease._claimant, lease.holder):
            return lease.path.exists()
        name = lease.path.name.partition(".claimed-")[0]
        target = self.folder / f"{name}.claimed-{me.place}-{me.pid}-{me.started}"
        expiry = time.time() + self.ttl_s
        try:
            # Its holder elsewhere may have come back since we looked.
            lease._expiry = max(lease._expiry, lease.path.stat().st_mtime)
            if lease.state is not LeaseState.STALE:
                return False
            # Before the rename: after it, our claim would look expired for a moment.
            os.utime(lease.path, (expiry, expiry))
            lease.path.rename(target)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise self._unusable(f"The lease {lease.id} can't be claimed", exc) from exc
        lease.path, lease._claimant, lease._expiry = target, me, expiry
        with self._lock:
            self._held[lease.id] = lease
        return True

    def _release(self, lease: Lease) -> None:
        with self._lock:
            self._held.pop(lease.id, None)
        try:
            lease.path.unlink(missing_ok=True)
        except OSError as exc:
            raise self._unusable(f"The lease {lease.id} can't be removed", exc) from exc

    def _read(self, run_id: str | None = None) -> tuple[list[Lease], list[Unreadable]]:
        leases: list[Lease] = []
        unreadable: list[Unreadable] = []
        try:
            entries = list(os.scandir(self.folder))
        except FileNotFoundError:
            entries = []
        except OSError as exc:
            raise self._unusable("The lease store can't be read", exc) from exc
        for entry in entries:
            path = self.folder / entry.name
            if entry.name.startswith("."):
                remove_abandoned(path)
                continue
            matched = _FILE.fullmatch(entry.name)
            if matched is None:
                unreadable.append(Unreadable(path, "its name is not a lease's"))
            elif run_id is None or unquote(matched["run"]) == run_id:
                found = self._read_one(entry, path, matched)
                if isinstance(found, Lease):
                    leases.append(found)
                elif found is not None:
                    unreadable.append(found)
        leases.sort(key=lambda lease: (lease.created_at, lease.id))
        return leases, sorted(unreadable, key=lambda found: found.path)

    def _read_one(
        self, entry: os.DirEntry[str], path: Path, matched: re.Match[str]
    ) -> Lease | Unreadable | None:
        """The lease in one file; None when it was released or claimed while we looked."""
        try:
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_NOTE_BYTES:
                # Not even opened: a pipe would wait for ever.
                return Unreadable(path, f"not a small file: {stat.filemode(status.st_mode)}")
            note = msgspec.json.decode(path.read_bytes(), type=_Note)
        except FileNotFoundError:
            return None
        except OSError as exc:
            return Unreadable(path, f"can't be read: {exc}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            return Unreadable(path, f"cut short or not a lease: {exc}", damaged=True)
        if note.id != matched["id"] or note.run_id != unquote(matched["run"]):
            return Unreadable(path, "its name and its content are of different leases")
        claimant = None
        if matched["place"]:
            claimant = Process(matched["place"], int(matched["pid"]), int(matched["started"]))
        # Where modification times are not kept, the expiry of the beginning still holds.
        expiry = max(status.st_mtime, note.expires_at.timestamp())
        return Lease(self, note, path, expiry=expiry, claimant=claimant)

    def _unusable(self, what: str, exc: OSError) -> LeaseError:
        return LeaseError(
            f"{what}: {exc.strerror or exc}.",
            seen=f"{type(exc).__name__} at {exc.filename or self.folder}",
            expected="a folder that can be written, with room in it",
            checked=f"lease store {self.folder}",
            to_try="make room, correct its permissions, or choose another folder for the leases;"
            " nothing was created without one",
        )


def marked_leases(text: str) -> list[str]:
    """The ids of the leases whose marks `text` carries."""
    return _MARK.findall(text)


def clean_url(text: str) -> str:
    """`text`, when it is a URL, without user, password, query and fragment."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if not _HOST.fullmatch(authority):
        # Up to the very last @: a password may hold any character that nobody escaped.
        rest = rest.rpartition("@")[2]
    return scheme + separator + re.split("[?#]", rest, maxsplit=1)[0]


def default_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The user's own store, where programs keep their state (XDG base directory specification)."""
    environ = os.environ if environ is None else environ
    state = environ.get("XDG_STATE_HOME", "")
    if Path(state).is_absolute():
        return Path(state) / "vdkprobe" / "leases"
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError as exc:
        raise LeaseError(
            "There is no place for the leases: this user has no home directory.",
            to_try="set HOME or XDG_STATE_HOME, or configure a folder for the leases",
        ) from exc
    return home / ".local" / "state" / "vdkprobe" / "leases"
