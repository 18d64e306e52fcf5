"""A watch in a real Prometheus: alert rules, dashboards, a Pushgateway."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ci.monitoring import DASHBOARDS, RULES, Prometheus, Server, tools
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.plugin.watching import Watch, prepare

PATIENCE_S = 90.0

RECORDING = """
import time

@step
def test_record(vdk_step, vdk_metrics):
    check, run = "mine[hello-platform]", vdk_step.run
    flights = vdk_metrics.declare_pipeline(check, sla_s=20, app_id="probe")
    vdk_metrics.declare_tasks(check, sla_s=1)
    for name in ("events_posted", "events_received", "events_lost", "events_duplicates",
                 "event_post_errors", "wrong_appid", "tasks_created", "tasks_succeeded",
                 "tasks_failed", "requests_created", "requests_succeeded", "requests_failed"):
        vdk_metrics.counter("probe_" + name, app_id="probe")
    for name in ("task_duration", "request_duration", "event_listeners_count",
                 "event_listeners_connected_count"):
        vdk_metrics.gauge("probe_" + name, app_id="probe").set(1)
    at = time.monotonic()
    flights.opened(at)
    vdk_metrics.counter("vdkprobe_events_sent_total", check=check).inc()
    flights.arrived(at, 0.25)
    vdk_metrics.counter("vdkprobe_events_delivered_total", check=check).inc()
    vdk_metrics.counter("probe_events_posted", app_id="probe").inc()
    vdk_metrics.histogram("vdkprobe_delivery_latency_seconds", sla_s=20, check=check).observe(0.25)
    vdk_metrics.histogram("vdkprobe_ack_latency_seconds", sla_s=20, check=check).observe(0.05)
    vdk_metrics.histogram("vdkprobe_task_duration_seconds", sla_s=1, check=check).observe(0.1)
    vdk_step.evidence("recorded")
"""


@contextmanager
def held_port() -> Iterator[int]:
    """A port that the system gives to nobody else, and on which a program of ours may listen."""
    with socket.socket() as held:
        # As Go's listeners have it: two that want so may share a port while one of them listens.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is held for as long as the test runs."""
    with held_port() as held:
        yield held


def promtool(*args: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [tools() / "promtool", *args], input=given, capture_output=True, check=False
    )


def queries() -> Iterator[tuple[str, str]]:
    """Every query of every shipped dashboard, as Grafana would send it."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield (
                    f"{path.stem}: {panel['title']}",
                    re.sub(r"\$(check|app_id)", ".*", target["expr"]),
                )


def test_alerts_fire_on_each_outage_within_their_time_and_never_on_a_clean_day() -> None:
    folder = RULES.parent
    checked = promtool("check", "rules", str(RULES))
    assert checked.returncode == 0, checked.stderr.decode()
    tested = promtool("test", "rules", str(folder / "tests.yml"), str(folder / "clean_day.yml"))
    assert tested.returncode == 0, tested.stderr.decode()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Watch, Prometheus]]:
    """A watch that records something of everything, and Prometheus that scrapes it."""
    folder = tmp_path_factory.mktemp("watched")
    prepare(folder, RECORDING, more="interval_s = 0.5")
    with (
        held_port() as port,
        Watch(folder, "--vdk-watch", "--", "test_mine.py") as watch,
        Prometheus(
            folder / "prometheus",
            port=port,
            targets=[f"127.0.0.1:{port_of(watch)}"],
            every="1s",
        ) as prometheus,
    ):
        watch.wait_for("PASS")
        # increase() and rate() need two samples.
        wait_until(
            "several scrapes of the watch",
            lambda: prometheus.query("count_over_time(vdkprobe_events_sent_total[5m])"),
            done=lambda found: bool(found) and float(found[0]["value"][1]) >= 4,
            deadline=Deadline.after(PATIENCE_S),
        )
        yield watch, prometheus


def port_of(watch: Watch) -> int:
    """Where its metrics are."""
    watch.wait_for("/metrics")
    found = re.search(r"http://[^:]+:(\d+)/metrics", watch.output)
    assert found
    return int(found[1])


def test_every_query_of_every_dashboard_returns_series(
    watched: tuple[Watch, Prometheus],
) -> None:
    _, prometheus = watched
    empty = [(title, query) for title, query in queries() if not prometheus.query(query)]
    assert empty == []
    assert len(list(queries())) > 50


def test_the_rules_work_on_what_is_really_exported(watched: tuple[Watch, Prometheus]) -> None:
    _, prometheus = watched

    def rules() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{prometheus.url}/api/v1/rules", timeout=30) as answer:
            groups = json.load(answer)["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_until(
        "each rule evaluated",
        rules,
        done=lambda found: all(rule["health"] != "unknown" for rule in found),
        deadline=Deadline.after(PATIENCE_S),
        describe=lambda found: str({rule["health"] for rule in found}),
    )
    assert {rule["health"] for rule in rules()} == {"ok"}
    assert {rule["name"] for rule in rules() if rule["state"] == "firing"} <= set()


def test_promtool_has_nothing_against_the_metrics(watched: tuple[Watch, Prometheus]) -> None:
    watch, _ = watched
    url = f"http://127.0.0.1:{port_of(watch)}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read()
    checked = promtool("check", "metrics", given=text)
    objections = (checked.stdout + checked.stderr).decode().splitlines()
    # The names are the seeds', and stay.
    seeds = ("probe_event_listeners_count ", "probe_event_listeners_connected_count ")
    assert [line for line in objections if not line.startswith(seeds)] == []


def test_a_pushgateway_has_the_group_while_the_watch_goes_on_and_no_longer(
    tmp_path: Path, port: int
) -> None:
    prepare(
        tmp_path,
        RECORDING,
        more="interval_s = 0.5\n[metrics]\nevery_s = 0.5\n"
        'remove_at_end = true\ngrouping = { instance = "blue" }',
    )
    url = f"http://127.0.0.1:{port}"

    def pushed() -> str:
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    with Watch(tmp_path, "--vdk-watch", f"--vdk-pushgateway={url}", "test_mine.py") as watch:
        watch.wait_for("pushgateway does not get through, the watch goes on")
        with Server(
            [str(tools() / "prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}"],
            ready=f"{url}/-/ready",
            log=tmp_path / "pushgateway.log",
        ):
            watch.wait_for("pushgateway gets through again")
            name = 'vdkprobe_run_total{check="mine[hello-platform]",instance="blue",job="vdkprobe"'
            watch.wait("the group on the Pushgateway", lambda: name in pushed())
            assert watch.end() == 0
            assert "vdkprobe_run_total" not in pushed()
