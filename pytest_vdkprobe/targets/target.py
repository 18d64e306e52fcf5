"""What every target can do: get its place ready, send records once, say what became of each.

A route meets all its targets through this one protocol, ours and users' own alike. What a target
knows of a record's fate is one of three words, and the third is the honest one: a send that timed
out may have had its effect, so it is unknown until a reader sees the record or does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.outcomes import SendResult
    from pytest_vdkprobe.records import ColumnType, Record
    from pytest_vdkprobe.waiting import Deadline


class Target(Protocol):
    """The write side of a route."""

    @property
    def losses(self) -> Mapping[str, str]:
        """What of a profile can't travel this way, each with why; anything else must."""

    @property
    def batch(self) -> int:
        """How many records one `send` does best with."""

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Be ready for records of `columns`: find the place, or create it where that is allowed,
        with a lease taken before.

        Raises ConfigError where the place is missing or has other columns, ProbeError where it
        can't be reached or we may not use it.
        """

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        """Send each record once and say what became of it, in the same order, by `deadline`.

        Nothing is repeated: what timed out or was cut is unknown. Raises nothing that a platform
        can cause, since the records before the cause have their results.
        """

    def remove(self) -> None:
        """Delete what this target created, prove it gone, release its lease. May be called again.

        Where several have created, each removes its own.
        """

    def close(self) -> None:
        """Let go of connections and threads; nothing is deleted. May be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
