"""A pipeline with one thing wrong: the account names it, at the hop at which it happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.connections.kafka import driver
from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase
from pytest_vdkprobe.errors import PlatformFailure, ProbeError
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.pipelines.pipeline import Pipeline
from pytest_vdkprobe.sandbox.engines.kafka import Kafka
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration import crooked_pipeline
from tests.integration.gate import Gate
from tests.integration.shared_engines import SharedEngines


def table(engines: SharedEngines, **settings: object) -> dict[str, Any]:
    """A small pipeline on the session's engines."""
    postgres = engines.postgres
    return {
        "name": "small",
        "kafka": {"servers": [engines.kafka.endpoint]},
        "database": {
            "host": postgres.host,
            "port": postgres.port,
            "user": postgres.user,
            "database": engines.database,
        },
        "shards": 1,
        "consumers": 1,
        "sites": 2,
        "check_every_s": 0.25,
        "checks_s": 2.0,
        "within_s": 40.0,
        "session_timeout_s": 1.0,
        **settings,
    }


@contextmanager
def started(engines: SharedEngines, tmp_path: Path, **settings: object) -> Iterator[Pipeline]:
    """A pipeline that runs; nothing is left of it."""
    tables = {"pipelines": [table(engines, **settings)]}
    store = LeaseStore(tmp_path / "leases", run_id="run-12345678")
    run_id = os.urandom(4).hex()
    with Pipeline(
        from_tables("test", tables, environ={}), "small", run_id=run_id, leases=store
    ) as pipeline:
        pipeline.configure()
        pipeline.start()
        yield pipeline
    assert store.all() == []


FOUND = {
    "check-not-made": ("hop check", "checks were not made"),
    "message-lost": ("hop message", "checks were made and are no message in Kafka"),
    "message-altered": ("hop message", "messages say of a website what it did not do"),
    "row-lost": ("hop row", "messages are no row in PostgreSQL"),
    "row-altered": ("hop row", "rows say something else than their message"),
    "row-twice": ("hop row", "rows are of no check that was made"),
    "commits-first": ("hop row", "messages are no row in PostgreSQL"),
}

NEVER_COMES = {"check-not-made", "message-lost", "row-lost", "commits-first"}
WAITED_FOR_S = 6.0
"""For what never comes; all the rest must have come by then, on a loaded machine, too."""


@pytest.mark.parametrize("fault", crooked_pipeline.FAULTS)
def test_each_fault_is_found_at_its_hop(fault: str, engines: SharedEngines, tmp_path: Path) -> None:
    command = [sys.executable, crooked_pipeline.__file__, fault]
    kills = fault == "commits-first"
    # So long that what the consumer holds when it is killed is of the window.
    more = {"checks_s": 3 * crooked_pipeline.BEFORE_ROWS_S} if kills else {}
    with started(engines, tmp_path, command=command, **more) as pipeline:
        if fault in NEVER_COMES:
            pipeline.settings = msgspec.structs.replace(pipeline.settings, within_s=WAITED_FOR_S)
        account = pipeline.flow("consumer-killed" if kills else "none")
        with pytest.raises(PlatformFailure) as raised:
            account.require()
    hop, words = FOUND[fault]
    assert hop in str(raised.value)
    assert words in str(raised.value)
    assert "website " in str(raised.value), "an example is named"


def test_a_sound_pipeline_is_accounted_for_whatever_happens(
    engines: SharedEngines, tmp_path: Path
) -> None:
    with started(engines, tmp_path, shards=2, consumers=2, sites=4) as pipeline:
        for interruption in ("consumer-killed", "producer-twice"):
            account = pipeline.flow(interruption)
            account.require()
            assert account.rows >= 20
        assert account.hops[0].twice, "two producers made some checks both"
        whole, lines = pipeline.stop()
        whole.require()
        assert whole.rows == whole.hops[0].expected
        assert "delivered again" in lines[-1]


def test_a_broker_that_stays_away_is_told_instead_of_what_it_may_have(
    engines: SharedEngines, tmp_path: Path
) -> None:
    driver()
    with Kafka() as broker:
        settings = {"kafka": {"servers": [broker.address.endpoint], "request_timeout_s": 3.0}}
        with started(engines, tmp_path, **settings) as pipeline:
            pipeline.flow("none").require()
            pipeline.settings = msgspec.structs.replace(pipeline.settings, within_s=3.0)
            broker.finish(signal.SIGKILL, 10)
            with pytest.raises(PlatformFailure) as raised:
                pipeline.flow("none")
            broker.restart()
    text = str(raised.value)
    assert text.startswith(f"Kafka at {broker.address.endpoint} stopped answering")
    assert f"Kafka at {broker.address.endpoint} can't be reached: connection refused" in text


def test_a_database_that_stays_away_is_told_instead_of_what_it_may_have(
    engines: SharedEngines, tmp_path: Path
) -> None:
    with Gate(engines.postgres.port) as gate:
        database = {**table(engines)["database"], "port": gate.port}
        with started(engines, tmp_path, database=database) as pipeline:
            pipeline.flow("none").require()
            pipeline.settings = msgspec.structs.replace(pipeline.settings, within_s=3.0)
            gate.shut()
            with pytest.raises(PlatformFailure) as raised:
                pipeline.flow("none")
            gate.open()
    text = str(raised.value)
    assert text.startswith(f"PostgreSQL at 127.0.0.1:{gate.port}/{engines.database} stopped")
    assert "closed the connection" in text


def test_what_can_t_be_reached_is_not_said_to_be_left_behind(
    engines: SharedEngines, tmp_path: Path
) -> None:
    store = LeaseStore(tmp_path / "leases", run_id="run-12345678")
    postgres = {**table(engines)["database"], "user": "nobody_at_all"}
    for settings in ({"kafka": {"servers": ["127.0.0.1:1"]}}, {"database": postgres}):
        tables = {"pipelines": [table(engines, **settings)]}
        configuration = from_tables("test", tables, environ={})
        with Pipeline(configuration, "small", run_id="12345678", leases=store) as pipeline:
            with pytest.raises(ProbeError, match=r"can't be reached|refuses our login"):
                pipeline.configure()
            assert store.all() == []


def test_the_case_of_the_pipeline_before_is_one_row(engines: SharedEngines, tmp_path: Path) -> None:
    tables = {"pipelines": [table(engines)]}
    with Pipeline(from_tables("test", tables, environ={}), "small", run_id="12345678") as pipeline:
        pipeline.configure()
        assert pipeline.example().startswith("1 messages, 1 rows, 2 websites told as invalid")


def test_a_killed_run_leaves_nothing_that_a_sweep_does_not_remove(
    engines: SharedEngines, tmp_path: Path
) -> None:
    settings = table(engines)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    postgres = settings["database"]
    (tmp_path / "platform.toml").write_text(
        "[run]\nlease_folder = 'leases'\n[[pipelines]]\n"
        + "".join(
            f"{key} = {json.dumps(value)}\n"
            for key, value in settings.items()
            if not isinstance(value, dict)
        )
        + f"kafka = {{ servers = {json.dumps(settings['kafka']['servers'])} }}\n"
        + "database = { "
        + ", ".join(f"{key} = {json.dumps(value)}" for key, value in postgres.items())
        + " }\n"
    )
    command = [sys.executable, "-m", "pytest", "--vdk-config=platform.toml", "-v"]
    command += ["-p", "no:cacheprovider", "--vdk-scenarios=pipeline"]
    with (tmp_path / "out.txt").open("w") as out:
        run = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out)
    output = tmp_path / "out.txt"
    database = PostgresDatabase(PostgresConnection(**postgres))

    def schemas() -> list[str]:
        rows = database.run(
            "select nspname from pg_namespace where nspname like 'vdkprobe%small'",
            deadline=Deadline.after(30),
        )
        return [str(row[0]) for row in rows]

    def clients() -> int:
        rows = database.run(
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and query like '%vdkprobe%small%'",
            deadline=Deadline.after(30),
        )
        return int(rows[0][0])

    try:
        wait_until(
            "the pipeline runs",
            output.read_text,
            done=lambda text: "::start PASS" in text or run.poll() is not None,
            deadline=Deadline.after(120),
        )
        run.send_signal(signal.SIGKILL)
        run.wait(30)
        assert schemas(), output.read_text()
        wait_until(
            "its processes end", clients, done=lambda count: count == 0, deadline=Deadline.after(60)
        )
        done = subprocess.run(
            [*command[:4], "--vdk-sweep"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert schemas() == []
        for what in ("schema", "topic", "group"):
            assert f"{what} vdkprobe_" in done.stdout
        assert list((tmp_path / "leases").iterdir()) == []
    finally:
        run.kill()
        database.close()
