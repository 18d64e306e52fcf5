"""The observer of a stream: each arrival is looked at once, and told by identity.

Order is judged within a scope (a partition, a file, a connection): a first arrival is reordered
when one with a higher number came before it there. A copy is a duplicate, never reordered or late:
what counts is when the first came. A changed record is told by its number like any other, and
counted as corrupted beside its class, whichever of its copies was the changed one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_vdkprobe.accounting.differences import UNTOLD, differences
from pytest_vdkprobe.accounting.expectation import US
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
    sent_at_us: object = UNTOLD
    """When it says that it was meant to be sent, where the place carries that."""


class StreamObserver:
    """Collects arrivals into `observation`, or goes on with one that an earlier process `resumed`.

    `told` hears of each first arrival: its number, and microseconds from its intended time.

    `timed`, `ordered`: whether the place shows when and in which order records came out. `compared`
    and `measured` can be switched off where speed is worth more than digests or latencies.
    """

    def __init__(
        self,
        expectation: Expectation,
        *,
        losses: Collection[str] = (),
        timed: bool = True,
        ordered: bool = True,
        compared: bool = True,
        measured: bool = True,
        resumed: Observation | None = None,
        told: Callable[[int, int], None] | None = None,
    ) -> None:
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        self.expectation = expectation
        """May be replaced by a later one of the same run, when more was sent."""
        self._losses = losses
        self._compared = compared
        self._highest: dict[str, int] = {}
        self._durations: list[int] = []
        self._told = told
        self._observation = resumed or Observation(
            late=BitMap64() if timed else None,
            reordered=0 if ordered else None,
            latency=Latency() if timed and measured else None,
        )
        if resumed is not None and timed and measured:
            resumed.latency = Latency()

    @property
    def observation(self) -> Observation:
        """What was seen so far; goes on changing."""
        self._flush()
        return self._observation

    def see(self, arrival: Arrival) -> None:
        """Look at one arrival."""
        self.see_many((arrival,))

    def see_many(self, arrivals: Iterable[Arrival]) -> None:
        """Look at these, in their order; for many, much quicker than one by one."""
        # A million a second pass through this loop: what it needs is in local names.
        observation, expectation = self._observation, self.expectation
        ours, sent, seen = expectation.run_id, expectation.sent, observation.seen
        last = sent.max() if sent else -1
        add = seen.add
        late, highest = observation.late, self._highest
        ordered, timed, compared = (
            observation.reordered is not None,
            late is not None,
            self._compared,
        )
        measure = self._measure if observation.latency is not None else None
        told = self._told
        start_us, rate, within_us = (
            expectation.start_us,
            expectation.rate_per_s,
            expectation.within_us,
        )
        for arrival in arrivals:
            run_id, seq, body, digest, columns, at_us, scope, _, sent_at_us = arrival
            if run_id != ours or type(seq) is not int or not 0 <= seq <= last or seq not in sent:
                observation.add_foreign(_foreign(arrival, expectation))
                continue
            if seq in seen:
                observation.duplicate += 1
                observation.duplicated.add(seq)
            else:
                add(seq)
                if ordered:
                    if seq < highest.get(scope, -1):
                        self._displaced(seq)
                    else:
                        highest[scope] = seq
                if timed and at_us is not None:
                    # As Expectation.intended_us has it.
                    took_us = at_us - start_us - round(seq * US / rate)
                    if took_us > within_us and late is not None:
                        late.add(seq)
                    if measure is not None:
                        measure(took_us)
                    if told is not None:
                        told(seq, took_us)
            if compared:
                self._compare(seq, body, digest, columns, sent_at_us)

    def _displaced(self, seq: int) -> None:
        observation = self._observation
        observation.reordered = (observation.reordered or 0) + 1
        observation.displaced.add(seq)

    def _compare(
        self,
        seq: int,
        body: object,
        digest: object,
        columns: Mapping[str, Any] | None,
        sent_at_us: object,
    ) -> None:
        for difference in differences(
            self.expectation,
            seq,
            body=body,
            digest=digest,
            columns=columns,
            sent_at_us=sent_at_us,
            losses=self._losses,
        ):
            self._observation.add_difference(difference)

    def _measure(self, took_us: int) -> None:
        self._durations.append(took_us)
        if len(self._durations) >= FLUSH:
            self._flush()

    def _flush(self) -> None:
        if self._durations and self._observation.latency is not None:
            self._observation.latency.add(self._durations)
            self._durations.clear()


def _foreign(arrival: Arrival, expectation: Expectation) -> str:
    where = f" at {arrival.position}" if arrival.position else ""
    seq = arrival.seq
    if arrival.run_id != expectation.run_id:
        if arrival.run_id is None or seq is None:
            return f"no record: {shown(arrival.run_id)}{where}"
        return f"run {shown(arrival.run_id)}, number {shown(seq)}{where}"
    last = expectation.sent.max() if expectation.sent else None
    if type(seq) is not int:
        return f"number {shown(seq)} of this run, which is no whole number{where}"
    if last is None or seq > last:
        return f"number {shown(seq)} of this run, beyond what was sent{where}"
    return f"number {shown(seq)} of this run, which was never sent{where}"
