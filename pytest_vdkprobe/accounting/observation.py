"""What a reader saw so far of what is expected; None where its place can't show a thing at all.

An observation is cumulative: each one replaces the one before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.accounting.latency import Latency

EXAMPLES = 5
"""Kept of each kind of trouble; the counts are exact."""
LONGEST_SHOWN = 80


def _bitmap() -> BitMap64:
    from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

    return BitMap64()


class Difference(NamedTuple):
    """One value that did not come back as it was sent."""

    seq: int
    field: str
    sent: str
    seen: str

    def __str__(self) -> str:
        return f"record {self.seq}, {self.field}: sent {self.sent}, seen {self.seen}"


def shown(value: object) -> str:
    """A value for a message: as Python writes it, cut."""
    text = repr(value)
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[:LONGEST_SHOWN]}... ({len(text)} characters)"


def shown_apart(sent: object, seen: object) -> tuple[str, str]:
    """Both values for a message; of long texts, the stretch around the first difference."""
    one, other = shown(sent), shown(seen)
    if one != other or not isinstance(sent, str) or not isinstance(seen, str):
        return one, other
    pairs = zip(sent, seen, strict=False)
    first = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(sent), len(seen)))
    start = max(0, first - LONGEST_SHOWN // 4)
    cut = slice(start, start + LONGEST_SHOWN // 2)
    return (
        f"{sent[cut]!r} from character {start} of {len(sent)}",
        f"{seen[cut]!r} from character {start} of {len(seen)}",
    )


@dataclass
class Observation:
    """Sets are of record numbers of our run. `late`, `reordered` and `latency` may be None: the
    place can't show them."""

    seen: BitMap64 = field(default_factory=_bitmap)
    """Each that came out at least once."""
    late: BitMap64 | None = None
    """Those that came after they were due."""
    duplicated: BitMap64 = field(default_factory=_bitmap)
    """Those that came out more than once."""
    duplicate: int = 0
    """Copies beyond the first of each."""
    reordered: int | None = None
    """First arrivals that came after one with a higher number, where order is kept at all."""
    displaced: BitMap64 = field(default_factory=_bitmap)
    """Which these were."""
    corrupted: BitMap64 = field(default_factory=_bitmap)
    """Those of which something came back changed."""
    differences: list[Difference] = field(default_factory=list)
    """Examples of that."""
    foreign: int = 0
    """What came out and was never sent: of other runs, of no run, of numbers not used."""
    foreign_examples: list[str] = field(default_factory=list)
    latency: Latency | None = None
    notes: list[str] = field(default_factory=list)
    """What the account should say of how this was seen."""

    def add_difference(self, difference: Difference) -> None:
        """Count its record as corrupted, and keep it if there are not yet enough examples."""
        self.corrupted.add(difference.seq)
        if len(self.differences) < EXAMPLES:
            self.differences.append(difference)

    def add_foreign(self, example: str, *, count: int = 1) -> None:
        """Count something that is not ours."""
        self.foreign += count
        if len(self.foreign_examples) < EXAMPLES:
            self.foreign_examples.append(example)
