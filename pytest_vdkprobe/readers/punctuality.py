"""What looks at a table prove of when its rows came, where the table itself keeps no times."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.accounting.expectation import Expectation


class Punctuality:
    """A look that saw a record and ended before it was due proves it in time; one that began after
    it was due and did not see it proves it late, should it come."""

    def __init__(self) -> None:
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        self._known = BitMap64()
        self._late = BitMap64()
        self._open = BitMap64()
        self._looked_us = 0

    @property
    def untold(self) -> int:
        """For how many it can't be told."""
        return len(self._open)

    def late(
        self, seen: BitMap64, expectation: Expectation, began_us: int, ended_us: int
    ) -> BitMap64 | None:
        """Those that came late; None when for some that can't be told."""
        from pyroaring import BitMap64  # noqa: PLC0415 - as above

        new = seen - self._known
        if new:
            # Those from here on were not due when this look had ended.
            in_time = expectation.due_before(ended_us)
            # Those before here were due before the last look began, which did not see them.
            missed = expectation.due_before(self._looked_us)
            self._late |= new & BitMap64(range(missed))
            self._open |= new & BitMap64(range(missed, in_time))
            self._known |= new
        self._looked_us = began_us
        return None if self._open and not self._late else self._late.copy()
