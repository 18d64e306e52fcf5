"""Where scenarios record what they count and measure, whoever exports it and however.

It knows the catalogue and nothing of Prometheus. A series exists from the moment it is asked for,
at zero, so ask for all of them before the first is needed. Recording is safe from any thread, and
takes about a microsecond.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.metrics.catalogue import EVENTS, ROUNDS, TASKS, Family, find
from pytest_vdkprobe.metrics.cells import Cells
from pytest_vdkprobe.metrics.flights import Flights, width

AROUND_SLA = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.75, 0.83, 0.91)
BEYOND_SLA = (1.1, 1.21, 1.33, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Bucket edges as parts of the SLA: steps of a tenth around it, and the SLA itself always an edge,
so that the share within it is counted and not interpolated."""
STEP_EDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
FLIGHTS = "flights"


def edges_for(sla_s: float) -> tuple[float, ...]:
    """The bucket edges of a histogram whose values should stay within `sla_s`."""
    before = [float(f"{sla_s * part:.4g}") for part in AROUND_SLA]
    return (*before, sla_s, *(float(f"{sla_s * part:.4g}") for part in BEYOND_SLA))


class Counter:
    """Only ever goes up, over restarts as well."""

    def __init__(self, recorder: Recorder, index: int) -> None:
        self._recorder = recorder
        self._index = index

    def inc(self, by: float = 1) -> None:
        """Count."""
        with self._recorder.lock:
            self._recorder.cells.values[self._index] += by

    def at_least(self, total: float) -> None:
        """Go up to `total` if it is lower: what a ledger knows better after a restart."""
        with self._recorder.lock:
            values = self._recorder.cells.values
            values[self._index] = max(values[self._index], total)

    @property
    def value(self) -> float:
        """As it stands."""
        return self._recorder.cells.values[self._index]


class Gauge:
    """A number that goes up and down, or a moment whose age is shown."""

    def __init__(self, recorder: Recorder, index: int) -> None:
        self._recorder = recorder
        self._index = index

    def set(self, value: float) -> None:
        """What it is now."""
        with self._recorder.lock:
            self._recorder.cells.values[self._index] = value

    @property
    def value(self) -> float:
        """As it stands."""
        return self._recorder.cells.values[self._index]


class Histogram:
    """How often values fell between its edges."""

    def __init__(self, recorder: Recorder, index: int, edges: tuple[float, ...]) -> None:
        self._recorder = recorder
        self._index = index
        self._edges = edges

    def observe(self, value: float) -> None:
        """Take one in. A value on an edge belongs below it, as in Prometheus."""
        with self._recorder.lock:
            values = self._recorder.cells.values
            values[self._index + bisect_left(self._edges, value)] += 1
            values[self._index + len(self._edges) + 1] += value


class Recorder:
    """All series of one process."""

    def __init__(self, cells: Cells | None = None) -> None:
        self.cells = cells or Cells()
        self.lock = threading.RLock()
        self._flights: dict[str, Flights] = {}

    def counter(self, name: str, **labels: str) -> Counter:
        """The counter with these labels; `_total` may be left out of its name."""
        family = self._family(name, labels, "counter")
        return Counter(self, self._claim(family.name, labels))

    def gauge(self, name: str, **labels: str) -> Gauge:
        """The gauge with these labels. One that shows an age takes `time.monotonic()`, or 0."""
        family = self._family(name, labels, "gauge", "age")
        mark = "-" if family.kind == "age" else ""
        return Gauge(self, self._claim(family.name, labels, mark=mark))

    def histogram(self, name: str, *, sla_s: float | None = None, **labels: str) -> Histogram:
        """The histogram with these labels; its edges come from the SLA, if it has one."""
        family = self._family(name, labels, "histogram")
        edges = STEP_EDGES if sla_s is None else edges_for(sla_s)
        index = self._claim(family.name, labels, edges, width=len(edges) + 2)
        return Histogram(self, index, edges)

    def flights(self, check: str, *, sla_s: float, app_id: str | None = None) -> Flights:
        """What is under way through the pipeline of a check; `app_id` adds the seeds' gauges."""
        labels = {"check": check} | ({} if app_id is None else {"app_id": app_id})
        with self.lock:
            if check not in self._flights:
                index = self._claim(FLIGHTS, labels, [sla_s], mark="-", width=width(sla_s))
                self._flights[check] = Flights(self.cells, index, sla_s=sla_s, lock=self.lock)
            return self._flights[check]

    def has_flights(self, check: str) -> bool:
        """Whether the events of this check are recorded one by one, while they fly."""
        return check in self._flights

    def forget_flights(self) -> None:
        """Nobody looks any more: what was in flight is no concern of those who read this later."""
        for flights in self._flights.values():
            flights.restore(())

    def declare_check(self, check: str, *steps: str) -> None:
        """Every series of a check's rounds, at zero."""
        for family in ROUNDS:
            if "step" not in family.labels:
                self.declare(family, check=check)
        for step in steps:
            self.histogram("vdkprobe_step_duration_seconds", check=check, step=step)

    def declare_pipeline(self, check: str, *, sla_s: float, app_id: str | None = None) -> Flights:
        """Every series of an event pipeline, at zero; returns what is under way through it."""
        for family in EVENTS:
            if family.kind == "histogram":
                self.histogram(family.name, sla_s=sla_s, check=check)
            elif family.kind != FLIGHTS:
                self.declare(family, check=check)
        return self.flights(check, sla_s=sla_s, app_id=app_id)

    def declare_tasks(self, check: str, *, sla_s: float) -> None:
        """Every series of endpoint tasks, at zero."""
        for family in TASKS:
            if family.kind == "histogram":
                self.histogram(family.name, sla_s=sla_s, check=check)
            else:
                self.declare(family, check=check)

    def declare(self, family: Family, **labels: str) -> None:
        """The family's series with these labels, for each value that the others can have."""
        for name in family.labels:
            if name not in labels:
                for value in family.values[name]:
                    self.declare(family, **labels, **{name: value})
                return
        make = self.counter if family.kind == "counter" else self.gauge
        make(family.name, **labels)

    def _family(self, name: str, labels: dict[str, str], *kinds: str) -> Family:
        family = find(name)
        if family.kind not in kinds or set(labels) != set(family.labels):
            raise ProbeError(
                f"{family.name} is of the kind {family.kind}, with the labels "
                f"{', '.join(family.labels)}.",
                seen=f"a {kinds[0]} with {', '.join(sorted(labels)) or 'none'}",
            )
        return family

    def _claim(
        self,
        name: str,
        labels: dict[str, str],
        more: object = None,
        *,
        mark: str = "",
        width: int = 1,
    ) -> int:
        """Where its values are; the same call finds the same ones, in a later process too."""
        key = [name, dict(sorted(labels.items()))] + ([] if more is None else [more])
        with self.lock:
            return self.cells.claim(mark + json.dumps(key), width)
