"""Events that come out in Kafka, PostgreSQL and Trino are accounted for like a websocket's."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.accounting.account import Account
from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.events.books import Books
from pytest_vdkprobe.events.find import Pipeline
from pytest_vdkprobe.events.findings import Round
from pytest_vdkprobe.events.stream import EventStream
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, pause
from tests.integration.shared_engines import SharedEngines

LIMIT_S = 120.0
Ends = tuple[dict[str, Any], dict[str, Any]]


def through_kafka(engines: SharedEngines) -> Ends:
    topic = f"{engines.topic_prefix}events-{{run}}"
    kafka = {"kind": "kafka", "servers": [engines.kafka.endpoint], "topic": topic}
    return {**kafka, "create": True}, kafka


def into_postgres(engines: SharedEngines) -> Ends:
    address = engines.postgres
    table = {
        "kind": "postgres",
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "database": engines.database,
        "table": "events_{run}",
    }
    return {**table, "create": True}, table


def into_trino(engines: SharedEngines) -> Ends:
    address = engines.trino
    table = {
        "kind": "trino",
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "table": f"memory.{engines.schema}.events_{{run}}",
    }
    return {**table, "create": True}, table


def posted(ends: Ends, folder: Path, *, within_s: float = 60.0) -> Round:
    """A run of events between these ends, which are gone afterwards."""
    target, reader = ends
    entry = {
        "name": "events",
        "target": target,
        "reader": reader,
        "interval_s": 0.1,
        "events": 20,
        "within_s": within_s,
        "late_s": 1.0,
        "quiet_s": 0.2,
    }
    pipeline = Pipeline(from_tables("test.toml", {"events": [entry]}, environ={}), 0)
    run_id = secrets.token_hex(4)
    leases = LeaseStore(folder / "leases", run_id=run_id)
    stream = EventStream(
        pipeline.settings,
        Books(pipeline.settings, folder / f"{run_id}.ledger", run_id=run_id),
        make_end=lambda side, of: pipeline.make(side, of, leases=leases),
        limit=pipeline.settings.events,
    )
    try:
        stream.open()
        stream.start()
        return stream.finish(deadline=Deadline.after(LIMIT_S))
    finally:
        stream.remove()
        stream.close()
        assert leases.all() == []


@pytest.mark.parametrize("ends", [through_kafka, into_postgres, into_trino])
def test_every_event_is_accounted_for(
    ends: Callable[[SharedEngines], Ends], engines: SharedEngines, tmp_path: Path
) -> None:
    found = posted(ends(engines), tmp_path)
    found.require()
    assert found.account.delivered == 20


def test_event_that_an_http_pipeline_loses_on_its_way_into_a_table_is_missed(
    engines: SharedEngines, tmp_path: Path
) -> None:
    _, table = into_postgres(engines)
    name = str(table["table"])
    with Sandbox(engines=engines.run) as sandbox:
        sandbox.plant("ingest-loses", skip=5, times=1)
        target = {
            "kind": "http",
            "url": f"{sandbox.url}/sandbox/ingest/postgres/{engines.database}/public",
            "table": name,
        }
        found = posted((target, {**table, "create": True}), tmp_path, within_s=10.0)
    assert (found.account.lost, found.account.delivered) == (1, 19)
    with pytest.raises(PlatformFailure, match="1 lost"):
        found.require()


def test_table_is_read_by_the_clock_that_nobody_sets(
    engines: SharedEngines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)
    found = posted(into_postgres(engines), tmp_path)
    assert (found.account.delivered, found.account.late or 0) == (20, 0)


def test_rows_that_come_while_a_table_is_asked_are_nobody_elses(
    engines: SharedEngines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_up, looked = EventStream._expectation, EventStream.look
    foreign: list[int] = []

    def slowly(stream: EventStream, ahead: int = 0) -> Expectation:
        found = drawn_up(stream, ahead)
        pause(0.3, deadline=Deadline.after(LIMIT_S))  # several rows are inserted meanwhile
        return found

    def look(stream: EventStream, *, deadline: Deadline | None = None) -> Account:
        account = looked(stream, deadline=deadline)
        foreign.append(account.foreign)
        return account

    monkeypatch.setattr(EventStream, "_expectation", slowly)
    monkeypatch.setattr(EventStream, "look", look)
    posted(into_postgres(engines), tmp_path).require()
    assert max(foreign) == 0
