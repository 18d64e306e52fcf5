"""What the readers of streams share: collect in a thread, look at each arrival once when asked."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import msgspec

from pytest_vdkprobe.accounting.stream import Arrival, StreamObserver
from pytest_vdkprobe.readers.collector import Collector
from pytest_vdkprobe.secrets import redact

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.accounting.observation import Observation
    from pytest_vdkprobe.waiting import Deadline

T = TypeVar("T")

LANDING = ("run_id", "seq", "sent_at_us", "body", "digest")
LONGEST_EXCERPT = 60


class StreamReader(ABC, Generic[T]):
    """A reader that sees each record by itself, at the time when it comes.

    `T` is what the thread collects: as raw as it came, so that it takes little of the time in which
    the next may come.
    """

    losses: Mapping[str, str] = {}
    ordered = True
    """Whether the place keeps an order within each arrival's scope."""
    compared = True
    """Whether what comes carries our record, to be held against what was sent."""

    def __init__(self, name: str) -> None:
        self._collector: Collector[T] = Collector(f"vdkprobe-{name}", self._collect)
        self._gathered: list[tuple[T, int]] | None = None
        self._observer: StreamObserver | None = None
        self._resumed: Observation | None = None
        self.told: Callable[[int, int], None] | None = None
        """Hears of each first arrival: its number, and microseconds from its intended time."""

    def resume(self, observation: Observation) -> None:
        """Go on from what an earlier process saw; before the first `observe`."""
        self._resumed = observation

    @abstractmethod
    def _collect(self, collector: Collector[T]) -> None:
        """One round of the thread: add what has come, or wait a moment."""

    @abstractmethod
    def _arrivals(self, item: T, arrived_at_us: int) -> Iterable[Arrival]:
        """What one collected item holds."""

    def _check(self) -> None:
        """Raise what keeps this reader from seeing all that has come out."""
        self._collector.check()

    def gather(self) -> None:
        """Let the next `observe` look at what has come by now, and at nothing later.

        For whoever sends meanwhile: what is sent and comes between drawing up an expectation and
        looking would be none of its records.
        """
        self._gathered = [*(self._gathered or ()), *self._collector.taken()]

    def observe(self, expectation: Expectation, *, deadline: Deadline) -> Observation:
        """All that has arrived since `prepare`."""
        if self._observer is None:
            self._observer = StreamObserver(
                expectation,
                losses=self.losses,
                ordered=self.ordered,
                compared=self.compared,
                resumed=self._resumed,
                told=self.told,
            )
        self._observer.expectation = expectation
        # First what has come, then what is wrong: an account counts all there is.
        taken, self._gathered = self._gathered, None
        if taken is None:
            taken = self._collector.taken()
        self._observer.see_many(
            chain.from_iterable(self._arrivals(item, at_us) for item, at_us in taken)
        )
        self._check()
        return self._observer.observation

    def remove(self) -> None:
        """Nothing was created."""

    def close(self) -> None:
        """End the thread."""
        self._collector.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def arrival(found: object, arrived_at_us: int, *, scope: str = "", position: str = "") -> Arrival:
    """One object that came out, as the observer wants it; what is no record of ours is shown."""
    if not isinstance(found, dict):
        return Arrival(excerpt(found), None, None, None, None, arrived_at_us, scope, position)
    columns = {name: value for name, value in found.items() if name not in LANDING}
    return Arrival(
        found.get("run_id"),
        found.get("seq"),
        found.get("body"),
        found.get("digest"),
        columns,
        arrived_at_us,
        scope,
        position,
        found.get("sent_at_us"),
    )


def decode(content: bytes | str | None) -> object:
    """The JSON in a message, or the bytes themselves where it is none."""
    if content is None:
        return None
    try:
        return msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            # Python's own writes NaN and Infinity, which are not JSON.
            return json.loads(content)
        except (ValueError, RecursionError):
            return content


def excerpt(found: object) -> str:
    """What came where a record belongs, for messages."""
    text = redact(repr(found))
    return text if len(text) <= LONGEST_EXCERPT else f"{text[:LONGEST_EXCERPT]}..."
