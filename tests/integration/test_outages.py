"""An outage is in the metrics within the SLA and one scrape, whatever its kind; then it is over.

A watch goes on over the sandbox's event pipeline, which is then made wrong in one way after the
other. Each test prints how long it took to be seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_vdkprobe.config.toml import as_toml
from pytest_vdkprobe.sandbox.faults import Fault
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.plugin.watching import Watch
from tests.unit.events.streams import table

SLA_S = 2.0
INTERVAL_S = 0.1
SCRAPE_S = 0.25
SLACK_S = 10.0
"""Of a machine with other things to do; what was measured is printed."""
CHECK = '{check="events[pipeline]"}'
Metrics = dict[str, float]


def watch(sandbox: Sandbox, folder: Path) -> Watch:
    """A watch of the sandbox's pipeline, with quick rounds."""
    folder.mkdir(exist_ok=True)
    entry = table(
        sandbox,
        interval_s=INTERVAL_S,
        within_s=SLA_S,
        late_s=2.0,
        max_consecutive_errors=10**6,
    )
    tables = {
        "events": [entry],
        "watch": {"interval_s": 1.0, "state_folder": str(folder / "state")},
        "metrics": {"address": "127.0.0.1"},
    }
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "platform.toml").write_text(as_toml(tables))
    return Watch(folder, "--vdk-watch", "--vdk-scenarios=events")


class Watched(NamedTuple):
    """A pipeline and the watch over it."""

    sandbox: Sandbox
    watch: Watch

    def seconds_until(self, what: str, seen: Callable[[Metrics], bool]) -> float:
        """How long it takes from now until a scrape shows it."""
        began = time.monotonic()
        took: list[float] = []

        def look() -> bool:
            if seen(self.watch.metrics()):
                took.append(time.monotonic() - began)
            return bool(took)

        self.watch.wait(what, look)
        return took[0]

    def healthy(self) -> None:
        """Wait until nothing is overdue and events come out."""
        before = self.watch.metrics()
        name = f"vdkprobe_events_delivered_total{CHECK}"
        self.seconds_until(
            "events that come out in time",
            lambda now: (
                now[f"vdkprobe_events_overdue{CHECK}"] == 0
                and now[name] > before[name] + 10
                and now[f"vdkprobe_events_in_flight{CHECK}"] < 5
            ),
        )


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A pipeline that is well, and a watch that has seen it be so."""
    with (
        Sandbox(executor="instant") as sandbox,
        watch(sandbox, tmp_path_factory.mktemp("outages")) as watching,
    ):
        watching.wait_for("events[pipeline]  PASS")
        yield Watched(sandbox, watching)


def overdue(now: Metrics) -> bool:
    return now[f"vdkprobe_events_overdue{CHECK}"] > 0


def tell(kind: str, took_s: float) -> None:
    print(f"{kind}: seen after {took_s:.2f} s, SLA {SLA_S:g} s")
    assert took_s < SLA_S + SCRAPE_S + INTERVAL_S + SLACK_S


def test_a_stop_is_seen_within_the_sla_and_goes_on_growing(watched: Watched) -> None:
    watched.healthy()
    watched.sandbox.faults.plant(Fault(name="events-silent"))
    try:
        tell("stop", watched.seconds_until("the stop", overdue))
        now = watched.watch.metrics()
        assert now[f"vdkprobe_oldest_in_flight_seconds{CHECK}"] >= SLA_S
        assert now['probe_event_latency{app_id="pipeline"}'] >= SLA_S
        arrived = now[f"vdkprobe_events_delivered_total{CHECK}"]
        # Nothing is recorded of arrivals any more, and still it is told how long that has been so.
        watched.seconds_until(
            "an age that grows in silence",
            lambda later: (
                later['probe_event_latency{app_id="pipeline"}']
                > now['probe_event_latency{app_id="pipeline"}'] + 0.5
            ),
        )
        assert watched.watch.metrics()[f"vdkprobe_events_delivered_total{CHECK}"] == arrived
        watched.watch.wait_for("PASS -> FAIL")
    finally:
        watched.sandbox.faults.clear()


def test_a_partial_loss_is_seen_within_the_sla_and_then_counted_for_good(watched: Watched) -> None:
    watched.healthy()
    lost = f"vdkprobe_events_lost_total{CHECK}"
    before = watched.watch.metrics()[lost]
    watched.sandbox.faults.plant(Fault(name="events-loses", share=0.3))
    try:
        tell("partial loss", watched.seconds_until("the loss", overdue))
        watched.seconds_until("lost events", lambda now: now[lost] > before)
        delivered = f"vdkprobe_events_delivered_total{CHECK}"
        arrived = watched.watch.metrics()[delivered]
        watched.seconds_until("the others coming out", lambda now: now[delivered] > arrived)
    finally:
        watched.sandbox.faults.clear()


def test_a_slow_down_is_seen_within_the_sla_and_then_counted_as_late(watched: Watched) -> None:
    watched.healthy()
    late = f"vdkprobe_events_late_total{CHECK}"
    before = watched.watch.metrics()[late]
    watched.sandbox.faults.plant(Fault(name="events-late", delay_s=SLA_S + 1.0))
    try:
        tell("slow-down", watched.seconds_until("the slow-down", overdue))
        watched.seconds_until("late events", lambda now: now[late] > before)
    finally:
        watched.sandbox.faults.clear()


def test_what_never_started_is_seen_within_the_sla(tmp_path: Path) -> None:
    with Sandbox(executor="instant") as sandbox:
        sandbox.faults.plant(Fault(name="events-silent"))
        with watch(sandbox, tmp_path) as watching:
            watched = Watched(sandbox, watching)
            sent = f"vdkprobe_events_sent_total{CHECK}"
            watched.seconds_until("the first event", lambda now: now.get(sent, 0) > 0)
            tell("never started", watched.seconds_until("the outage", overdue))
            now = watching.metrics()
            assert now[f"vdkprobe_last_success_timestamp_seconds{CHECK}"] == 0
            assert now[f"vdkprobe_events_last_arrival_timestamp_seconds{CHECK}"] == 0
            watching.wait_for("events[pipeline]  FAIL")


def test_withdrawn_credentials_are_told_by_their_cause_and_not_as_a_loss(tmp_path: Path) -> None:
    with Sandbox(executor="instant") as sandbox, watch(sandbox, tmp_path) as watching:
        watching.wait_for("events[pipeline]  PASS")
        watched = Watched(sandbox, watching)
        good = sandbox.tokens.client_secret
        sandbox.tokens.client_secret = "another"
        sandbox.tokens.revoke()
        refused = 'vdkprobe_errors_total{cause="login",check="events[pipeline]"}'
        took_s = watched.seconds_until("the refused login", lambda now: now[refused] > 0)
        print(f"refused login: seen after {took_s:.2f} s")
        watching.wait_for("PASS -> ERROR")
        assert "Our login was refused" in watching.output
        sandbox.tokens.client_secret = good
        watching.wait_for("ERROR -> PASS")
        assert watching.metrics()[f"vdkprobe_events_lost_total{CHECK}"] == 0
