"""The real engines: they do what they are for, and nothing of them is left."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from pytest_vdkprobe.connections.kafka import driver
from pytest_vdkprobe.sandbox.engines import engine as engine_module
from pytest_vdkprobe.sandbox.engines.catalogue import engine_class
from pytest_vdkprobe.sandbox.engines.engine import Engine
from pytest_vdkprobe.sandbox.engines.engine_process import (
    EngineDiedError,
    free_port,
    memory_or_temp,
)
from pytest_vdkprobe.sandbox.engines.kafka import Kafka
from pytest_vdkprobe.sandbox.engines.postgres import Postgres
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.shared_engines import SharedEngines


def test_postgres_gives_each_worker_a_database_of_its_own(engines: SharedEngines) -> None:
    import psycopg2

    where = engines.postgres
    connection = psycopg2.connect(
        host=where.host, port=where.port, user=where.user, dbname=engines.database
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("select current_database(), current_setting('server_version')")
            found = cursor.fetchone()
    finally:
        connection.close()

    assert found is not None
    assert found[0] == engines.database
    assert found[1].startswith("18.")


def test_kafka_takes_records_and_gives_them_back_in_order(engines: SharedEngines) -> None:
    kafka = driver()
    where = engines.kafka.endpoint
    topic = f"{engines.topic_prefix}round-trip"
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=where)
    admin.create_topics([kafka.admin.NewTopic(topic, 1, 1)])
    producer = kafka.KafkaProducer(bootstrap_servers=where)
    for number in range(10):
        producer.send(topic, str(number).encode())
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=where, consumer_timeout_ms=10_000)
    consumer.assign([kafka.TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    seen = [next(consumer).value for _ in range(10)]
    consumer.close()
    admin.delete_topics([topic])
    admin.close()

    assert seen == [str(number).encode() for number in range(10)]


def test_trino_gives_each_worker_a_schema_of_its_own(engines: SharedEngines) -> None:
    import trino

    where = engines.trino
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]
        host=where.host, port=where.port, user=where.user, catalog="memory", schema=engines.schema
    )
    try:
        cursor = connection.cursor()
        for statement in (
            "create table round_trip as select 1 a, 'x' b",
            "select a, b from round_trip",
        ):
            cursor.execute(statement)
            rows = cursor.fetchall()
        cursor.execute("drop table round_trip")
        cursor.fetchall()
    finally:
        connection.close()

    assert rows == [[1, "x"]]


def folder_of(engine: Engine) -> Path:
    process = engine._process
    assert process is not None
    return process.folder


@pytest.mark.parametrize("name", ["postgres", "kafka", "trino"])
def test_a_stopped_engine_leaves_no_process_no_port_and_no_folder(name: str) -> None:
    engine = engine_class(name)()
    with engine:
        address = engine.address
        folder = folder_of(engine)
        assert folder.is_dir()
        os.kill(address.pid, 0)
    engine.close()

    with pytest.raises(ProcessLookupError):
        os.kill(address.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port), timeout=2)
    assert not folder.exists()
    assert not list(Path(tempfile.gettempdir()).glob(f".java_pid{address.pid}"))


def test_an_engine_that_dies_is_missed_with_the_end_of_its_log() -> None:
    with Postgres() as engine:
        os.kill(engine.address.pid, signal.SIGKILL)

        def died() -> str:
            try:
                engine.require_alive()
            except EngineDiedError as error:
                return str(error)
            return ""

        said = wait_until("its end", died, done=bool, deadline=Deadline.after(10)).value

    assert "postgres ended by itself (killed by signal 9)" in said
    assert "ready to accept connections" in said


def test_a_taken_port_is_left_to_who_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        choices = iter([taken])
        monkeypatch.setattr(engine_module, "free_port", lambda: next(choices, None) or free_port())
        with Postgres() as engine:
            assert engine.address.port != taken


def test_a_damaged_archive_of_classes_only_costs_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "classes.aot"
    damaged.write_bytes(b"not an archive" * 1000)
    monkeypatch.setattr(Kafka, "archive_options", lambda _: [f"-XX:AOTCache={damaged}"])

    with Kafka() as engine:
        assert engine.address.pid


def test_an_engine_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN_OF_OURS", "must not leak")
    with Postgres() as engine:
        seen = Path(f"/proc/{engine.address.pid}/environ").read_text()

    assert "A_TOKEN_OF_OURS" not in seen


def test_settings_of_a_caller_reach_the_server() -> None:
    import psycopg2

    with Postgres(settings={"max_connections": "17"}) as engine:
        where = engine.address
        connection = psycopg2.connect(
            host=where.host, port=where.port, user=where.user, dbname="postgres"
        )
        with connection.cursor() as cursor:
            cursor.execute("show max_connections")
            found = cursor.fetchone()
        connection.close()

    assert found == ("17",)
    assert memory_or_temp().is_dir()
