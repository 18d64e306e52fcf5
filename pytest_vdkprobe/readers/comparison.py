"""Rows of a table compared, value by value, with what was sent: all, or as many as are asked for.

A digest shows that a body is as it was digested; that both are as they were sent, and the typed
columns too, only a comparison shows. Each row is fetched once, however often a table is looked at,
and a few at a time; and once more at the end, for what was changed after it had come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.accounting.bitmaps import each
from pytest_vdkprobe.accounting.differences import differences
from pytest_vdkprobe.accounting.observation import EXAMPLES, Difference, Observation

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.readers.tally import Tally
    from pytest_vdkprobe.waiting import Deadline


class Comparison:
    """Which records were compared with what was sent, and what was found of them."""

    def __init__(self, tally: Tally, at_most: int, *, losses: Mapping[str, str]) -> None:
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        self._tally = tally
        self._at_most = at_most
        self._losses = losses
        self.compared = BitMap64()
        """The numbers of those that were."""
        self._doubled = BitMap64()
        self.corrupted = BitMap64()
        self.examples: list[Difference] = []

    def forget(self) -> None:
        """Compare all once more with the next look; what was found wrong stays so."""
        self.compared.clear()
        self._doubled.clear()

    def look(self, found: Observation, expectation: Expectation, *, deadline: Deadline) -> None:
        """Compare what is new: records, second copies, rows that the engine found wrong."""
        at_most = self._at_most
        seen = found.seen & expectation.sent
        chosen = _spread(expectation, at_most)
        todo = seen & _numbers(chosen)
        todo -= self.compared
        # A copy may have come after its record was compared.
        new_copies = found.duplicated - self._doubled
        single = [*each(new_copies[: min(at_most, EXAMPLES)])]
        if not self.examples:
            single += each((found.corrupted - self.corrupted - todo - new_copies)[:EXAMPLES])
        for numbers in (*_stretches(todo, chosen.step), single):
            if numbers:
                self._fetch(numbers, expectation, deadline)
        self.compared |= todo
        self._doubled |= found.duplicated

    def _fetch(self, numbers: Sequence[int], expectation: Expectation, deadline: Deadline) -> None:
        names = list(expectation.profile.columns)

        def take(row: Sequence[Any]) -> None:
            seq, sent_at_us, body, digest, *values = row
            for difference in differences(
                expectation,
                int(seq),
                body=body,
                digest=digest,
                sent_at_us=sent_at_us,
                columns=dict(zip(names, values, strict=True)),
                losses=self._losses,
            ):
                self.corrupted.add(difference.seq)
                if len(self.examples) < EXAMPLES and difference not in self.examples:
                    self.examples.append(difference)

        self._tally.fetch(expectation.run_id, numbers, names, take, deadline=deadline)


def _spread(expectation: Expectation, at_most: int) -> range:
    """`at_most` of the run's numbers, evenly spread; which ones differs from run to run."""
    count = (expectation.sent.max() + 1) if expectation.sent else 0
    if at_most <= 0 or not count:
        return range(0)
    step = -(-count // at_most)
    return range(sum(expectation.run_id.encode()) % step, count, step)


def _numbers(chosen: range) -> BitMap64:
    from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

    return BitMap64(chosen)


def _stretches(numbers: BitMap64, step: int) -> list[range]:
    """Numbers `step` apart, as one range; those between that are missing are not there anyway."""
    return [range(numbers.min(), numbers.max() + 1, step)] if numbers else []
