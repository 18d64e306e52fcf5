"""A target and a reader that meet in memory, and may be told what to do to records on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec

from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.stream import Arrival, StreamObserver
from pytest_vdkprobe.records import ColumnType, Record
from pytest_vdkprobe.routes.schedule import Schedule
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.expectation import Expectation

ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)


class PipeSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="pipe"
):
    """Either end of a pipe."""

    name: str = "pipe"


class Pipe:
    """Both ends; `alter` makes of a record what comes out, `judge` says what its sender is told."""

    losses: Mapping[str, str] = {}
    batch = 10

    def __init__(
        self,
        settings: PipeSettings | None = None,
        *,
        alter: Callable[[Record], Sequence[Record]] = lambda record: [record],
        judge: Callable[[Record], SendResult] = lambda _record: ACKNOWLEDGED,
        **_more: Any,
    ) -> None:
        self.settings = settings or PipeSettings()
        self.alter = alter
        self.judge = judge
        self.calls: list[str] = []
        self.sent: list[Record] = []
        self._arrived: list[Arrival] = []
        self._observer: StreamObserver | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        self.calls.append(f"prepare {','.join(columns)}")

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        self.sent += records
        for record in records:
            for seen in self.alter(record):
                self._arrived.append(
                    Arrival(
                        *(seen.run_id, seen.seq, seen.body, seen.digest, dict(seen.payload)),
                        arrived_at_us=Schedule.clock_us(),
                    )
                )
        return [self.judge(record) for record in records]

    def observe(self, expectation: Expectation, *, deadline: Deadline) -> Observation:
        if self._observer is None:
            self._observer = StreamObserver(expectation)
        arrived, self._arrived = self._arrived, []
        self._observer.see_many(arrived)
        return self._observer.observation

    def remove(self) -> None:
        self.calls.append("remove")

    def close(self) -> None:
        self.calls.append("close")
