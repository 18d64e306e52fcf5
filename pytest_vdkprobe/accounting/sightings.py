"""What a stream's observer has seen, kept beside the ledger so that a kill forgets none of it.

Each look adds a line for what is new in it. A process that takes over reads them back, and knows
which events came already: none of them is lost then, and none that came before comes for a first
time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from pytest_vdkprobe.accounting.folded import Folded, packed
from pytest_vdkprobe.accounting.journal import Journal
from pytest_vdkprobe.accounting.ledger import ranges
from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.errors import ProbeError

if TYPE_CHECKING:
    from pyroaring import BitMap64

WHAT = "list of what was seen"
SETS = {"S": "seen", "T": "late", "D": "duplicated", "O": "displaced", "C": "corrupted"}
COUNTS = {"d": "duplicate", "o": "reordered", "f": "foreign"}


class _Head(msgspec.Struct, frozen=True, omit_defaults=True):
    run_id: str
    totals: dict[str, float]
    """What counters stood at when it was begun."""
    folded: Folded = Folded()
    """What came before all other lines."""


class Sightings:
    """`create` or `open`; then `note(observation)` after each look."""

    def __init__(self, journal: Journal, head: _Head, noted: Observation) -> None:
        self.run_id = head.run_id
        self.totals: Mapping[str, float] = head.totals
        self._head = msgspec.structs.replace(head, folded=Folded())
        self._journal = journal
        self._noted = noted

    @classmethod
    def create(cls, path: Path, *, run_id: str, totals: Mapping[str, float]) -> Self:
        """A new one. Raises ProbeError where the file can't be written."""
        head = _Head(run_id, dict(totals))
        journal = Journal.create(path, msgspec.json.encode(head).decode(), what=WHAT)
        return cls(journal, head, _empty())

    @classmethod
    def open(cls, path: Path) -> Self:
        """One that an earlier process wrote. Raises ProbeError for a file that is none."""
        journal, lines = Journal.open(path, what=WHAT)
        try:
            head = msgspec.json.decode(lines[0], type=_Head)
        except (IndexError, msgspec.MsgspecError) as exc:
            journal.close()
            raise ProbeError(f"This file is no {WHAT}.", checked=str(path)) from exc
        noted = _empty()
        for name in SETS.values():
            getattr(noted, name).update(head.folded.numbers(name))
        for name in COUNTS.values():
            setattr(noted, name, head.folded.counts.get(name, 0))
        for line in lines[1:]:
            letter, _, rest = line.partition(" ")
            if letter in SETS:
                first, _, last = rest.partition("-")
                getattr(noted, SETS[letter]).add_range(int(first), int(last) + 1)
            else:
                name = COUNTS[letter]
                setattr(noted, name, getattr(noted, name) + int(rest))
        return cls(journal, head, noted)

    def restored(self) -> Observation:
        """What was noted so far, as an observation to go on from."""
        noted = self._noted
        found = _empty()
        for name in SETS.values():
            getattr(found, name).update(getattr(noted, name))
        for name in COUNTS.values():
            setattr(found, name, getattr(noted, name))
        return found

    def note(self, observation: Observation) -> None:
        """Write down what is new in it."""
        noted = self._noted
        for letter, name in SETS.items():
            now: BitMap64 | None = getattr(observation, name)
            fresh = None if now is None else now - getattr(noted, name)
            if fresh:
                for first, last in ranges(fresh):
                    self._journal.write(f"{letter} {first}-{last}")
                getattr(noted, name).update(fresh)
        for letter, name in COUNTS.items():
            more = (getattr(observation, name) or 0) - getattr(noted, name)
            if more > 0:
                self._journal.write(f"{letter} {more}")
                setattr(noted, name, getattr(noted, name) + more)

    def fold(self, observation: Observation | None = None) -> None:
        """Put all lines together into one, when there are so many that it is worth it.

        An observation that goes on takes less memory afterwards, too.
        """
        if self._journal.large:
            noted = self._noted
            if observation is not None:
                observation.seen.run_optimize()
            sets = {name: packed(getattr(noted, name)) for name in SETS.values()}
            counts = {name: getattr(noted, name) for name in COUNTS.values()}
            head = msgspec.structs.replace(self._head, folded=Folded(sets, counts))
            self._journal.begin_anew(msgspec.json.encode(head).decode())

    def close(self) -> None:
        """Flush it to the disk. May be called again."""
        self._journal.close()


def _empty() -> Observation:
    from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

    return Observation(late=BitMap64(), reordered=0)
