"""What scenarios record: only what the catalogue has, at zero from the start, exact."""

from __future__ import annotations

import threading

import pytest

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.metrics.catalogue import CATALOGUE, EVENTS, Family, find
from pytest_vdkprobe.metrics.recorder import Recorder, edges_for
from pytest_vdkprobe.observe.exposition import FROM_STATE, Exposition

CHECK = "events[orders]"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def samples(recorder: Recorder) -> dict[str, float]:
    """Every series as a scrape shows it."""
    text = Exposition(recorder.cells.items).text().decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_a_counter_counts_from_zero(recorder: Recorder) -> None:
    counter = recorder.counter("vdkprobe_events_sent_total", check=CHECK)
    name = 'vdkprobe_events_sent_total{check="events[orders]"}'
    assert samples(recorder) == {name: 0}
    counter.inc()
    recorder.counter("vdkprobe_events_sent_total", check=CHECK).inc(2)
    assert samples(recorder) == {name: 3}


def test_a_ledger_can_only_raise_a_counter(recorder: Recorder) -> None:
    counter = recorder.counter("probe_events_posted", app_id="probe")
    counter.at_least(5)
    counter.at_least(3)
    assert counter.value == 5


def test_no_count_is_lost_between_threads(recorder: Recorder) -> None:
    counter = recorder.counter("probe_events_posted", app_id="probe")

    def count() -> None:
        for _ in range(5000):
            counter.inc()

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value == 40_000


def test_a_seeds_counter_goes_by_its_readmes_name_and_is_exported_with_total(
    recorder: Recorder,
) -> None:
    recorder.counter("probe_tasks_created", app_id="probe").inc()
    assert samples(recorder) == {'probe_tasks_created_total{app_id="probe"}': 1}


def test_the_sla_is_an_edge_of_the_histogram(recorder: Recorder) -> None:
    histogram = recorder.histogram("vdkprobe_delivery_latency_seconds", sla_s=20, check=CHECK)
    for latency_s in (0.1, 20.0, 20.001, 700.0):
        histogram.observe(latency_s)
    seen = samples(recorder)
    name = "vdkprobe_delivery_latency_seconds"
    assert seen[f'{name}_bucket{{check="{CHECK}",le="20.0"}}'] == 2
    assert seen[f'{name}_bucket{{check="{CHECK}",le="+Inf"}}'] == 4
    assert seen[f'{name}_count{{check="{CHECK}"}}'] == 4
    assert seen[f'{name}_sum{{check="{CHECK}"}}'] == pytest.approx(740.101)


@pytest.mark.parametrize("sla_s", [0.05, 0.3, 1, 20, 86_400, 1234567.25])
def test_edges_ascend_in_tenths_around_the_sla(sla_s: float) -> None:
    edges = edges_for(sla_s)
    assert list(edges) == sorted(set(edges))
    place = edges.index(sla_s)
    assert edges[place + 1] / sla_s <= 1.101
    assert sla_s / edges[place - 1] <= 1.101


def test_a_pipelines_series_exist_before_its_first_event(recorder: Recorder) -> None:
    recorder.declare_pipeline(CHECK, sla_s=20, app_id="probe")
    recorder.declare_tasks("endpoints[api]", sla_s=1)
    recorder.declare_check(CHECK, "arrive")
    seen = samples(recorder)
    assert set(seen.values()) == {0.0, 20.0}
    for family in EVENTS:
        assert any(name.startswith(family.name) for name in seen), family.name
    for verdict in ("pass", "fail", "error", "unknown"):
        assert f'vdkprobe_run_total{{check="{CHECK}",verdict="{verdict}"}}' in seen


def test_a_metric_or_label_outside_of_the_contract_is_refused(recorder: Recorder) -> None:
    with pytest.raises(ProbeError, match="There is no metric vdkprobe_events_sant_total"):
        recorder.counter("vdkprobe_events_sant_total", check=CHECK)
    with pytest.raises(ProbeError, match="with the labels check"):
        recorder.counter("vdkprobe_events_sent_total", run_id="1")
    with pytest.raises(ProbeError, match="is of the kind counter"):
        recorder.gauge("vdkprobe_events_sent_total", check=CHECK)


def test_everything_that_hangs_on_flights_is_worked_out() -> None:
    hanging = {family.name for family in CATALOGUE.values() if family.kind == "flights"}
    assert hanging == set(FROM_STATE)


@pytest.mark.parametrize("family", CATALOGUE.values(), ids=lambda family: family.name)
def test_names_follow_prometheus(family: Family) -> None:
    assert family.name.startswith(("probe_", "vdkprobe_"))
    assert family.name.endswith("_total") == (family.type == "counter")
    assert find(family.name.removesuffix("_total")) is family
    assert family.help.endswith(".")
