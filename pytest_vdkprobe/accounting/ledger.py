"""What the probe knows it sent: an append-only file, a line for each batch and each outcome.

A batch is noted before it is sent and settled after, so that whatever a kill leaves open is unknown
and nothing is forgotten. Each line ends in its checksum: what a kill or a full disk cut short is
recognised, and cut off when opened again; no record of it was sent.

Lines are handed to the kernel at once, which outlives our process. The disk is only waited for at
the first line and at the close: a wait for every batch would slow down what is measured. So a power
failure can lose the last lines; a run that it ended does not go on, and a new one has another id.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.outcomes import SendResult
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.durable import sync_folder
from pytest_vdkprobe.errors import ProbeError

if TYPE_CHECKING:
    from pyroaring import BitMap64

LONGEST_REASON = 300
_LETTERS = {"I": "intended", "A": "acknowledged", "R": "refused", "U": "unknown"}


class _Head(msgspec.Struct, frozen=True):
    """The first line: whose ledger it is, and the schedule of its records."""

    run_id: str
    profile: str
    start_us: int
    rate_per_s: float


class Ledger:
    """`with Ledger.create(path, ...) as ledger:`, or `Ledger.open(path)` for one that is there."""

    def __init__(self, path: Path, head: _Head, descriptor: int) -> None:
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        self.path = path
        self.sent: BitMap64 = BitMap64()
        self.acknowledged: BitMap64 = BitMap64()
        self.refused: BitMap64 = BitMap64()
        self.reasons: dict[str, str] = {}
        """The first reason for each outcome but acknowledged."""
        self._head = head
        self._descriptor: int | None = descriptor
        self._written = 0
        """Bytes of whole lines."""

    @classmethod
    def create(
        cls, path: Path, *, run_id: str, profile: str, start_us: int, rate_per_s: float
    ) -> Self:
        """A new ledger. Raises ProbeError where the file can't be written, or is there already."""
        head = _Head(run_id, profile, start_us, rate_per_s)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as exc:
            raise _unusable(path, exc) from exc
        ledger = cls(path, head, descriptor)
        try:
            ledger._write(msgspec.json.encode(head).decode())
            os.fsync(descriptor)
            sync_folder(path.parent)
        except BaseException:
            ledger._abandon()
            raise
        return ledger

    @classmethod
    def open(cls, path: Path) -> Self:
        """One that an earlier process wrote; a last line that was cut short is removed.

        Raises ProbeError for a file that is no ledger, or is damaged before its end.
        """
        try:
            content = path.read_bytes()
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        except OSError as exc:
            raise _unusable(path, exc) from exc
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
                "The ledger is damaged before its end, so what was sent is not known.",
                checked=f"{path}, byte {good}",
                to_try="move it away; the records of that run can't be accounted for",
            )
        try:
            head = msgspec.json.decode(lines[0], type=_Head)
        except (IndexError, msgspec.MsgspecError) as exc:
            os.close(descriptor)
            raise ProbeError("This file is no ledger.", checked=str(path)) from exc
        os.ftruncate(descriptor, good)
        ledger = cls(path, head, descriptor)
        ledger._written = good
        for line_text in lines[1:]:
            ledger._take(line_text)
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Flush it to the disk. May be called again."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def next_seq(self) -> int:
        """The first number that was never used."""
        return self.sent.max() + 1 if self.sent else 0

    def intend(self, seqs: range) -> None:
        """These are about to be sent. Raises ProbeError if one was before: no number twice."""
        if not seqs:
            return
        if self.sent.intersection_cardinality(_bitmap(seqs)):
            raise ProbeError(
                f"Records {seqs.start}-{seqs.stop - 1} are in the ledger already: a bug of ours.",
                checked=str(self.path),
            )
        self._write(f"I {seqs.start}-{seqs.stop - 1}")
        self.sent.add_range(seqs.start, seqs.stop)

    def rebase(self, start_us: int) -> None:
        """The schedule began at `start_us` after all: a sender on another host says when."""
        self._write(f"S {start_us}")
        self._head = msgspec.structs.replace(self._head, start_us=start_us)

    def settle(self, seqs: Sequence[int], results: Sequence[SendResult]) -> None:
        """What became of these, in the same order."""
        if len(seqs) != len(results):
            raise ProbeError(
                "A target gave another number of outcomes than it was given records.",
                seen=f"{len(results)} outcomes",
                expected=f"{len(seqs)}, one for each record",
            )
        at = 0
        for result, group in groupby(results):
            count = len(list(group))
            members = seqs[at : at + count]
            at += count
            self._settle(members, result)

    def expectation(
        self, *, within_s: float, late_s: float, losses: Collection[str] = ()
    ) -> Expectation:
        """What a reader is to look for, as things stand; `losses` are what both ends declare."""
        head = self._head
        return Expectation(
            head.run_id,
            profile(head.profile),
            sent=self.sent.copy(),
            acknowledged=self.acknowledged.copy(),
            refused=self.refused.copy(),
            start_us=head.start_us,
            rate_per_s=head.rate_per_s,
            within_s=within_s,
            late_s=late_s,
            reasons=dict(self.reasons),
            losses=losses,
        )

    def _settle(self, seqs: Sequence[int], result: SendResult) -> None:
        reason = " ".join(result.reason.split())[:LONGEST_REASON]
        letter = result.outcome[0].upper()
        for first, last in ranges(seqs):
            if not self.sent.contains_range(first, last + 1):
                raise ProbeError(
                    f"Records {first}-{last} have an outcome, but were never intended: a bug of "
                    "ours.",
                    checked=str(self.path),
                )
            self._write(f"{letter} {first}-{last}" + (f" {reason}" if reason else ""))
            self._note(letter, first, last + 1, reason)

    def _note(self, letter: str, start: int, stop: int, reason: str) -> None:
        """The last word counts: what a job's end tells replaces what was unknown before."""
        for known in (self.acknowledged, self.refused):
            known.remove_range(start, stop)
        if letter == "A":
            self.acknowledged.add_range(start, stop)
        elif letter == "R":
            self.refused.add_range(start, stop)
        if reason:
            self.reasons.setdefault(_LETTERS[letter], reason)

    def _take(self, text: str) -> None:
        """One line of a file that is opened again."""
        letter, _, rest = text.partition(" ")
        if letter == "S":
            self._head = msgspec.structs.replace(self._head, start_us=int(rest))
            return
        numbers, _, reason = rest.partition(" ")
        first, _, last = numbers.partition("-")
        start, stop = int(first), int(last) + 1
        if letter == "I":
            self.sent.add_range(start, stop)
        else:
            self._note(letter, start, stop, reason)

    def _write(self, text: str) -> None:
        if self._descriptor is None:
            raise ProbeError("The ledger is closed.", checked=str(self.path))
        raw = text.encode()
        line = b"%s %08x\n" % (raw, zlib.crc32(raw))
        at = 0
        try:
            while at < len(line):
                at += os.write(self._descriptor, line[at:])
        except OSError as exc:
            # What went out of the line must not stand before the next one.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._written)
            raise _unusable(self.path, exc) from exc
        self._written += len(line)

    def _abandon(self) -> None:
        """Leave nothing of a ledger that could not be begun."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self.path.unlink(missing_ok=True)


def ranges(seqs: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Sorted numbers as (first, last) of each stretch without gaps."""
    first = last = None
    for seq in seqs:
        if last is not None and seq == last + 1:
            last = seq
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = seq
    if first is not None and last is not None:
        yield first, last


def _bitmap(seqs: range) -> BitMap64:
    from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

    return BitMap64(seqs)


def _checked(line: bytes) -> str | None:
    """The line's text, or None if it is not whole."""
    if not line.endswith(b"\n"):
        return None
    raw, _, checksum = line[:-1].rpartition(b" ")
    if checksum != b"%08x" % zlib.crc32(raw):
        return None
    return raw.decode("utf-8", "replace")


def _unusable(path: Path, exc: OSError) -> ProbeError:
    return ProbeError(
        f"The ledger can't be written: {exc.strerror or exc}.",
        seen=f"{type(exc).__name__} at {path}",
        expected="a folder that can be written, with room in it",
        to_try="make room, or choose another folder (run.report_folder)",
    )
