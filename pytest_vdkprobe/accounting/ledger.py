"""What the probe knows it sent: an append-only file, a line for each batch and each outcome.

A batch is noted before it is sent and settled after, so that whatever a kill leaves open is unknown
and nothing is forgotten. Each line ends in its checksum: what a kill or a full disk cut short is
recognised, and cut off when opened again; no record of it was sent.

Lines are handed to the kernel at once, which outlives our process. The disk is only waited for at
the first line and at the close: a wait for every batch would slow down what is measured. So a power
failure can lose the last lines; a run that it ended does not go on, and a new one has another id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.folded import Folded, packed
from pytest_vdkprobe.accounting.journal import Journal
from pytest_vdkprobe.accounting.outcomes import SendResult
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.errors import ProbeError

if TYPE_CHECKING:
    from pyroaring import BitMap64

WHAT = "ledger"
LONGEST_REASON = 300
RESTARTED = "the probe was restarted while it was under way"
BARRED = "our login was refused where it comes out, while it was under way"
FORGONE = (RESTARTED, BARRED)
"""Why nothing can be said of what was taken: nobody listened for it all the time."""
SETS = ("sent", "acknowledged", "refused", "forgone")
_LETTERS = {"I": "intended", "A": "acknowledged", "R": "refused", "U": "unknown"}


class _Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line: whose ledger it is, and the schedule of its records."""

    run_id: str
    profile: str
    start_us: int
    rate_per_s: float
    folded: Folded | None = None
    """What came before all other lines."""


class Ledger:
    """`with Ledger.create(path, ...) as ledger:`, or `Ledger.open(path)` for one that is there."""

    def __init__(self, journal: Journal, head: _Head) -> None:
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        self.path = journal.path
        self.sent: BitMap64 = BitMap64()
        self.acknowledged: BitMap64 = BitMap64()
        self.refused: BitMap64 = BitMap64()
        self.forgone: BitMap64 = BitMap64()
        """Of the unknown ones, those that were acknowledged, and then nobody listened for."""
        self.reasons: dict[str, str] = {}
        """The first reason for each outcome but acknowledged."""
        self._head = head
        self._journal = journal
        if head.folded is not None:
            for name in SETS:
                getattr(self, name).update(head.folded.numbers(name))
            self.reasons.update(head.folded.texts)
            self._head = msgspec.structs.replace(head, folded=None)

    @classmethod
    def create(
        cls, path: Path, *, run_id: str, profile: str, start_us: int, rate_per_s: float
    ) -> Self:
        """A new ledger. Raises ProbeError where the file can't be written, or is there already."""
        head = _Head(run_id, profile, start_us, rate_per_s)
        return cls(Journal.create(path, msgspec.json.encode(head).decode(), what=WHAT), head)

    @classmethod
    def open(cls, path: Path) -> Self:
        """One that an earlier process wrote; a last line that was cut short is removed.

        Raises ProbeError for a file that is no ledger, or is damaged before its end.
        """
        journal, lines = Journal.open(path, what=WHAT)
        try:
            head = msgspec.json.decode(lines[0], type=_Head)
        except (IndexError, msgspec.MsgspecError) as exc:
            journal.close()
            raise ProbeError("This file is no ledger.", checked=str(path)) from exc
        ledger = cls(journal, head)
        for line_text in lines[1:]:
            ledger._take(line_text)
        return ledger

    @property
    def run_id(self) -> str:
        """Whose records these are."""
        return self._head.run_id

    @property
    def profile(self) -> str:
        """What they carry."""
        return self._head.profile

    @property
    def start_us(self) -> int:
        """When record 0 is meant to be sent, microseconds since the epoch."""
        return self._head.start_us

    @property
    def rate_per_s(self) -> float:
        """How many follow each other in a second."""
        return self._head.rate_per_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Flush it to the disk. May be called again."""
        self._journal.close()

    @property
    def next_seq(self) -> int:
        """The first number that was never used."""
        return self.sent.max() + 1 if self.sent else 0

    def intend(self, seqs: range) -> None:
        """These are about to be sent. Raises ProbeError if one was before: no number twice."""
        if not seqs:
            return
        if seqs.start in self.sent or (
            len(seqs) > 1 and self.sent.intersection_cardinality(_bitmap(seqs))
        ):
            raise ProbeError(
                f"Records {seqs.start}-{seqs.stop - 1} are in the ledger already: a bug of ours.",
                checked=str(self.path),
            )
        self._journal.write(f"I {seqs.start}-{seqs.stop - 1}")
        self.sent.add_range(seqs.start, seqs.stop)

    def rebase(self, start_us: int) -> None:
        """The schedule began at `start_us` after all: a sender on another host says when."""
        self._journal.write(f"S {start_us}")
        self._head = msgspec.structs.replace(self._head, start_us=start_us)

    def settle(
        self, seqs: Sequence[int], results: Sequence[SendResult], *, soon: bool = False
    ) -> None:
        """What became of these, in the same order.

        With `soon` that is written with the next line, or at a `flush`; a kill before leaves them
        unknown, which they are for who takes over.
        """
        if len(seqs) != len(results):
            raise ProbeError(
                "A target gave another number of outcomes than it was given records.",
                seen=f"{len(results)} outcomes",
                expected=f"{len(seqs)}, one for each record",
            )
        if len(seqs) == 1:
            self._settle(seqs, results[0], soon=soon)
            return
        at = 0
        for result, group in groupby(results):
            count = len(list(group))
            members = seqs[at : at + count]
            at += count
            self._settle(members, result, soon=soon)

    def fold(self) -> None:
        """Put all lines together into one, when there are so many that it is worth it."""
        if self._journal.large:
            sets = {name: packed(getattr(self, name)) for name in SETS}
            folded = Folded(sets, texts=self.reasons)
            head = msgspec.structs.replace(self._head, folded=folded)
            self._journal.begin_anew(msgspec.json.encode(head).decode())

    def flush(self) -> None:
        """Write what `settle` was to write soon."""
        self._journal.flush()

    def expectation(
        self, *, within_s: float, late_s: float, losses: Collection[str] = (), ahead: int = 0
    ) -> Expectation:
        """What a reader is to look for, as things stand; `losses` are what both ends declare.

        With `ahead` so many more, which may be sent while it looks.
        """
        head = self._head
        sent = self.sent.copy()
        sent.add_range(self.next_seq, self.next_seq + ahead)
        return Expectation(
            head.run_id,
            profile(head.profile),
            sent=sent,
            acknowledged=self.acknowledged.copy(),
            refused=self.refused.copy(),
            start_us=head.start_us,
            rate_per_s=head.rate_per_s,
            within_s=within_s,
            late_s=late_s,
            reasons=dict(self.reasons),
            losses=losses,
        )

    def _settle(self, seqs: Sequence[int], result: SendResult, *, soon: bool) -> None:
        reason = " ".join(result.reason.split())[:LONGEST_REASON] if result.reason else ""
        letter = result.outcome[0].upper()
        for first, last in ((seqs[0], seqs[0]),) if len(seqs) == 1 else ranges(seqs):
            if not self.sent.contains_range(first, last + 1):
                raise ProbeError(
                    f"Records {first}-{last} have an outcome, but were never intended: a bug of "
                    "ours.",
                    checked=str(self.path),
                )
            line = f"{letter} {first}-{last}" + (f" {reason}" if reason else "")
            self._journal.write(line, soon=soon)
            self._note(letter, first, last + 1, reason)

    def _note(self, letter: str, start: int, stop: int, reason: str) -> None:
        """The last word counts: what a job's end tells replaces what was unknown before."""
        for known in (self.acknowledged, self.refused):
            known.remove_range(start, stop)
        if letter == "A":
            self.acknowledged.add_range(start, stop)
        elif letter == "R":
            self.refused.add_range(start, stop)
        elif reason in FORGONE:
            self.forgone.add_range(start, stop)
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
