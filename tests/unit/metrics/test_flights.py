"""What is in flight, asked for later than anything was recorded: silence shows."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.metrics import flights as flights_module
from pytest_vdkprobe.metrics.flights import Flights, State, state, width
from pytest_vdkprobe.metrics.recorder import Recorder

SLA_S = 20.0


class Clock:
    """`time.monotonic` that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 50_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now + 1e9


class Pipeline:
    """Flights, and their state at the clock's time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.recorder = Recorder()
        self.flights: Flights = self.recorder.flights("events[x]", sla_s=SLA_S)

    def send(self) -> float:
        self.flights.opened(self.clock.now)
        return self.clock.now

    def state(self) -> State:
        (values,) = self.recorder.cells.items().values()
        return state(values, sla_s=SLA_S, now=self.clock.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(flights_module, "time", clock)
    return clock


@pytest.fixture
def pipeline(clock: Clock) -> Pipeline:
    return Pipeline(clock)


def test_nothing_sent_is_nothing_missing(pipeline: Pipeline) -> None:
    shares = dict.fromkeys(("1m", "10m", "1h"), 0.0)
    assert pipeline.state() == (0, 0, 0.0, 0.0, 0.0, shares)


def test_a_delivered_event_leaves_its_latency_and_nothing_else(pipeline: Pipeline) -> None:
    at = pipeline.send()
    pipeline.flights.arrived(at, 0.3)
    pipeline.clock.now += 3600
    assert pipeline.state()[:5] == (0, 0, 0.0, 0.3, 1e9 + 50_000)


def test_the_age_of_the_oldest_grows_while_nothing_is_recorded(pipeline: Pipeline) -> None:
    pipeline.send()
    pipeline.clock.now += 7.25
    assert pipeline.state().oldest_s == 7.25
    pipeline.clock.now += 100
    assert pipeline.state().oldest_s == 107.25
    assert pipeline.state().latency_s == 107.25


def test_an_event_is_overdue_from_the_sla_on(pipeline: Pipeline) -> None:
    pipeline.send()
    pipeline.clock.now += SLA_S - 0.01
    assert pipeline.state().overdue == 0
    pipeline.clock.now += 0.01
    assert pipeline.state().overdue == 1


def test_events_on_their_way_are_neither_overdue_nor_missing(pipeline: Pipeline) -> None:
    for _ in range(15):
        pipeline.send()
        pipeline.clock.now += 1
    assert pipeline.state().in_flight == 15
    assert pipeline.state().overdue == 0
    assert pipeline.state().missing["1m"] == 0


def test_a_full_outage_is_all_missing_and_one_of_half_is_half(pipeline: Pipeline) -> None:
    for number in range(600):
        at = pipeline.send()
        if number < 300 or number % 2:
            pipeline.flights.arrived(at, 0.1)
        pipeline.clock.now += 1
    pipeline.clock.now += SLA_S + 1
    now = pipeline.state()
    assert now.overdue == now.in_flight == 150
    assert now.missing["1m"] == pytest.approx(0.5, abs=0.02)
    assert now.missing["10m"] == pytest.approx(0.25, abs=0.01)
    for _ in range(60):
        pipeline.send()
        pipeline.clock.now += 1
    pipeline.clock.now += SLA_S
    assert pipeline.state().missing["1m"] == pytest.approx(1.0, abs=0.02)


def test_an_hour_later_an_outage_is_out_of_the_shares_and_still_overdue(
    pipeline: Pipeline,
) -> None:
    pipeline.send()
    pipeline.clock.now += 3600 + SLA_S + 2
    now = pipeline.state()
    assert now.missing == {"1m": 0, "10m": 0, "1h": 0}
    assert now.overdue == 1


def test_a_late_one_is_missing_no_more_and_a_lost_one_stays_so(pipeline: Pipeline) -> None:
    late, lost = pipeline.send(), pipeline.send()
    pipeline.clock.now += 30
    assert pipeline.state().missing["1m"] == 1
    pipeline.flights.arrived(late, 30)
    pipeline.flights.given_up(lost)
    assert pipeline.state().missing["1m"] == 0.5
    assert pipeline.state().in_flight == 0


def test_a_refused_one_never_counts_as_missing(pipeline: Pipeline) -> None:
    pipeline.flights.withdrawn(pipeline.send())
    pipeline.clock.now += 30
    assert pipeline.state() == (0, 0, 0.0, 0.0, 0.0, {"1m": 0, "10m": 0, "1h": 0})


def test_the_ring_goes_round(pipeline: Pipeline) -> None:
    turns = width(SLA_S) // 3 * 2
    for _ in range(turns):
        pipeline.flights.arrived(pipeline.send(), 0.1)
        pipeline.clock.now += 1
    last = pipeline.send()
    pipeline.clock.now += SLA_S + 1
    now = pipeline.state()
    assert now.in_flight == now.overdue == 1
    assert now.missing["1h"] == pytest.approx(1 / 3581, rel=0.02)
    pipeline.flights.arrived(last, 21)
    assert pipeline.state().missing["1h"] == 0


def test_after_a_restart_only_what_the_ledger_has_open_is_in_flight(pipeline: Pipeline) -> None:
    first = pipeline.send()
    pipeline.clock.now += 1.5
    second = pipeline.send()
    pipeline.flights.restore([second, first])
    pipeline.clock.now += 2
    assert pipeline.state()[:3] == (2, 0, 3.5)
    pipeline.flights.arrived(first, 3.5)
    assert pipeline.state()[:3] == (1, 0, 2.0)


def test_the_oldest_is_the_oldest_of_those_that_are_left(pipeline: Pipeline) -> None:
    first = pipeline.send()
    pipeline.clock.now += 0.5
    pipeline.send()
    pipeline.flights.arrived(first, 0.5)
    pipeline.clock.now += SLA_S - 0.1
    assert pipeline.state().oldest_s == pytest.approx(SLA_S - 0.1)
    assert pipeline.state().overdue == 0
