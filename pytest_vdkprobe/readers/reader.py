"""What every reader can do: get ready before the first record, look, and clean up after itself.

A route meets all its readers through this one protocol, ours and users' own alike: whether a reader
follows a stream or lets a database count is its own affair, and what it can't see (arrival times in
a table, say) it states in the observation instead of guessing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.accounting.observation import Observation
    from pytest_vdkprobe.records import ColumnType
    from pytest_vdkprobe.waiting import Deadline


class Reader(Protocol):
    """The read side of a route."""

    @property
    def losses(self) -> Mapping[str, str]:
        """What of a profile can't come back this way, each with why; anything else must."""

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Be proven ready for rows of `columns`, positions noted, before the first record is sent.

        Raises ConfigError where the place has other columns, ProbeError where it can't be read.
        """

    def observe(self, expectation: Expectation, *, deadline: Deadline) -> Observation:
        """All that was seen so far of what is expected. Called again and again, while and after
        records are sent, so it looks at what is there and never waits for more.

        Raises ProbeError when it could not look (before `deadline`), PlatformFailure when what it
        looks at broke; the caller keeps its last observation.
        """

    def remove(self) -> None:
        """Delete what this reader created, prove it gone, release its lease. May be called again.

        Where several have created, each removes its own.
        """

    def close(self) -> None:
        """Let go of connections and threads; nothing is deleted. May be called again."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
