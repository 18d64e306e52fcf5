"""What many lines of a journal amount to, put together into one: sets of numbers as bytes.

A set without gaps takes a few bytes, however large it is; one with gaps at random two to eight
bytes for each, and at the very most an eighth of a byte for each number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pyroaring import BitMap64


class Folded(msgspec.Struct, frozen=True, omit_defaults=True):
    """Part of a journal's first line."""

    sets: dict[str, bytes] = {}
    counts: dict[str, int] = {}
    texts: dict[str, str] = {}

    def numbers(self, name: str) -> BitMap64:
        """One of the sets."""
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        packed = self.sets.get(name)
        return BitMap64() if packed is None else BitMap64.deserialize(packed)


def packed(numbers: BitMap64) -> bytes:
    """The set for `Folded`; it takes less memory afterwards, too."""
    numbers.run_optimize()
    return bytes(numbers.serialize())
