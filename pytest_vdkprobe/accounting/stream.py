"""The observer of a stream: each arrival is looked at once, and told by identity.

Order is judged within a scope (a partition, a file, a connection): a first arrival is reordered
when one with a higher number came before it there. A copy is a duplicate, never reordered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_vdkprobe.accounting.differences import differences
from pytest_vdkprobe.accounting.latency import Latency
from pytest_vdkprobe.accounting.observation import Observation, shown

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.expectation import Expectation

FLUSH = 10_000
"""Latencies collected before they are counted together."""


class Arrival(NamedTuple):
    """One thing that came out, as raw as the place gave it."""

    run_id: object
    seq: object
    body: object
    digest: object
    columns: Mapping[str, Any] | None
    """Typed columns as they were seen; None where there is but the text."""
    arrived_at_us: int | None = None
    """When it was seen; None where nobody can tell."""
    scope: str = ""
    """Within which order is kept: a partition's name, say."""
    position: str = ""
    """Where it lies, for messages."""


class StreamObserver:
    """Collects arrivals into `observation`."""

    def __init__(
        self,
        expectation: Expectation,
        *,
        losses: Collection[str] = (),
        timed: bool = True,
        ordered: bool = True,
    ) -> None:
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        self.expectation = expectation
        """May be replaced by a later one of the same run, when more was sent."""
        self._losses = losses
        self._timed = timed
        self._ordered = ordered
        self._highest: dict[str, int] = {}
        self._durations: list[int] = []
        self._observation = Observation(
            late=BitMap64() if timed else None,
            reordered=0 if ordered else None,
            latency=Latency() if timed else None,
        )

    @property
    def observation(self) -> Observation:
        """What was seen so far; goes on changing."""
        self._flush()
        return self._observation

    def see_many(self, arrivals: Iterable[Arrival]) -> None:
        """Look at these, in their order."""
        for arrival in arrivals:
            self.see(arrival)

    def see(self, arrival: Arrival) -> None:
        """Look at one arrival."""
        observation = self._observation
        seq = arrival.seq
        if (
            arrival.run_id != self.expectation.run_id
            or type(seq) is not int
            or seq not in self.expectation.sent
        ):
            observation.add_foreign(_foreign(arrival, self.expectation))
            return
        if seq in observation.seen:
            observation.duplicate += 1
            observation.duplicated.add(seq)
        else:
            self._first(seq, arrival)
        found = differences(
            self.expectation,
            seq,
            body=arrival.body,
            digest=arrival.digest,
            columns=arrival.columns,
            losses=self._losses,
        )
        for difference in found:
            observation.add_difference(difference)

    def _first(self, seq: int, arrival: Arrival) -> None:
        observation = self._observation
        observation.seen.add(seq)
        if self._ordered and observation.reordered is not None:
            if seq < self._highest.get(arrival.scope, -1):
                observation.reordered += 1
            else:
                self._highest[arrival.scope] = seq
        if self._timed and arrival.arrived_at_us is not None and observation.late is not None:
            took_us = arrival.arrived_at_us - self.expectation.intended_us(seq)
            if took_us > self.expectation.within_us:
                observation.late.add(seq)
            self._durations.append(took_us)
            if len(self._durations) >= FLUSH:
                self._flush()

    def _flush(self) -> None:
        if self._durations and self._observation.latency is not None:
            durations, self._durations = self._durations, []
            self._observation.latency.add(durations)


def _foreign(arrival: Arrival, expectation: Expectation) -> str:
    where = f" at {arrival.position}" if arrival.position else ""
    if arrival.run_id != expectation.run_id:
        return f"run {shown(arrival.run_id)}, number {shown(arrival.seq)}{where}"
    return f"number {shown(arrival.seq)} of this run, which was never sent{where}"
