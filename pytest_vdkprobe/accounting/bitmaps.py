"""How to go through a bitmap of numbers in a process that goes on for weeks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroaring import BitMap64


def each(numbers: BitMap64) -> Iterable[int]:
    """The numbers in their order.

    pyroaring (1.2.0 and before) never frees the iterator of an empty BitMap64, which a watch that
    looks ten times a second feels within the hour.
    """
    return numbers or ()
