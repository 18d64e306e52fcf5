"""Metrics as Prometheus reads them: what was recorded, and what follows from it at this moment.

Ages, what is overdue and which share is missing are worked out here, when somebody asks, from the
moments that the recorder keeps: in an outage they go on growing although nothing is recorded any
more.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.metrics.catalogue import CATALOGUE, Family
from pytest_vdkprobe.metrics.flights import State, state
from pytest_vdkprobe.metrics.recorder import FLIGHTS

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

Source = Callable[[], Mapping[str, list[float]]]
"""Gives every name with its values, as a recorder's cells or a file of them hold them."""
Sample = tuple[dict[str, str], list[float], Any]
"""Labels, values, and what else the name says of them."""

FROM_STATE: Mapping[str, Callable[[State, float], float]] = {
    "vdkprobe_events_in_flight": lambda now, _sla_s: now.in_flight,
    "vdkprobe_events_overdue": lambda now, _sla_s: now.overdue,
    "vdkprobe_oldest_in_flight_seconds": lambda now, _sla_s: now.oldest_s,
    "vdkprobe_events_last_arrival_timestamp_seconds": lambda now, _sla_s: now.arrived_at,
    "vdkprobe_sla_seconds": lambda _now, sla_s: sla_s,
    "probe_event_latency": lambda now, _sla_s: now.latency_s,
    "probe_events_missing_1m_share": lambda now, _sla_s: now.missing["1m"],
    "probe_events_missing_10m_share": lambda now, _sla_s: now.missing["10m"],
    "probe_events_missing_1h_share": lambda now, _sla_s: now.missing["1h"],
}
"""How each gauge that hangs on what is in flight follows from it."""


class Exposition:
    """A collector for `prometheus_client`, over any number of sources."""

    def __init__(self, *sources: Source) -> None:
        self.sources = list(sources)

    def collect(self) -> Iterator[Metric]:
        """Every family that has a series, as things are now."""
        by_name: dict[str, list[Sample]] = {}
        seen: set[tuple[Any, ...]] = set()
        for source in self.sources:
            for key, values in source().items():
                name, labels, *more = json.loads(key.removeprefix("-"))
                series = (name, *labels.items())
                if series in seen:
                    continue  # of an earlier process, with another SLA: what is claimed is first
                seen.add(series)
                by_name.setdefault(name, []).append((labels, values, more[0] if more else None))
        now = time.monotonic()
        states = [
            (labels, state(values, sla_s=sla_s, now=now), sla_s)
            for labels, values, (sla_s,) in by_name.pop(FLIGHTS, ())
        ]
        for family in CATALOGUE.values():
            if family.kind == FLIGHTS:
                found = _of_states(family, states)
            else:
                found = _metric(family, by_name.get(family.name, ()), now)
            if found.samples:
                yield found

    def registry(self) -> CollectorRegistry:
        """What `prometheus_client` exports from; of this alone."""
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - only who exports loads it

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return registry

    def text(self) -> bytes:
        """As a scrape is answered."""
        from prometheus_client import generate_latest  # noqa: PLC0415 - only who exports loads it

        return generate_latest(self.registry())


def _of_states(family: Family, states: Iterable[tuple[dict[str, str], State, float]]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - only who exports loads it

    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, now, sla_s in states:
        if all(name in labels for name in family.labels):
            values = [labels[name] for name in family.labels]
            metric.add_metric(values, FROM_STATE[family.name](now, sla_s))
    return metric


def _metric(family: Family, samples: Iterable[Sample], now: float) -> Metric:
    from prometheus_client.core import (  # noqa: PLC0415 - only who exports loads it
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.utils import floatToGoString  # noqa: PLC0415 - as above

    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, values, edges in samples:
            *counts, total = values
            bounds = [floatToGoString(edge) for edge in (*edges, math.inf)]  # type: ignore[no-untyped-call]
            histogram.add_metric(
                [labels[name] for name in family.labels],
                list(zip(bounds, accumulate(counts), strict=True)),
                total,
            )
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, (value,), _ in samples:
        shown = max(0.0, now - value) if family.kind == "age" and value else value
        metric.add_metric([labels[name] for name in family.labels], shown)
    return metric
