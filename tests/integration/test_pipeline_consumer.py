"""Real consumers: each check becomes one row, whatever is delivered twice, broken, or away."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.connections.kafka_topics import remove_topic
from pytest_vdkprobe.pipeline.message import encoded
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.gate import Gate
from tests.integration.pipelines import Bench, checks
from tests.integration.shared_engines import SharedEngines


@pytest.fixture
def bench(engines: SharedEngines, tmp_path: Path) -> Iterator[Bench]:
    """A configured pipeline."""
    made = Bench(engines, tmp_path, batch="500")
    made.configure()
    yield made
    made.close()


def wait_for_rows(bench: Bench, count: int) -> None:
    wait_until(
        "rows",
        lambda: bench.sql("select count(*) from {s}.availability_monitor_metrics")[0][0],
        done=lambda found: found >= count,
        deadline=soon(),
        longest_pause_s=0.1,
    )


def soon() -> Deadline:
    return Deadline.after(90)


def test_rows_are_what_messages_say(bench: Bench) -> None:
    sent = checks(1200)
    bench.send(*sent)
    account = bench.run("start-consumer", "--once").account
    assert account == {"messages": 1200, "rows": 1200, "known": 0, "dead": 0}
    assert bench.rows() == sorted(
        (one.site, one.slot_us, one.returned_code, one.regexp, one.error) for one in sent
    )
    parts = bench.sql(
        "select distinct tableoid::regclass::text from {s}.availability_monitor_metrics"
    )
    assert "20261128" in str(parts) or "default" in str(parts)


def test_redelivery_changes_nothing(bench: Bench) -> None:
    bench.send(*checks(300))
    bench.send(*checks(300))
    account = bench.run("start-consumer", "--once").account
    assert (account["rows"], account["known"]) == (300, 300)
    # As if nothing had been committed.
    text = bench.config.read_text()
    bench.config.write_text(text.replace(f'group = "{bench.topic}"', f'group = "{bench.topic}-2"'))
    assert bench.run("start-consumer", "--once").account["known"] == 600
    assert len(bench.rows()) == 300
    bench.config.write_text(text)


def test_what_is_no_check_goes_to_the_dead_letters_with_its_reason(bench: Bench) -> None:
    good = checks(3)
    bad = (b"{", b"\xff\xfe", encoded(good[0]).replace(b'"site"', b'"sight"'))
    bench.send(good[0], bad[0], good[1], bad[1], bad[2], good[2])
    account = bench.run("start-consumer", "--once").account
    assert account == {"messages": 6, "rows": 3, "known": 0, "dead": 3}
    dead = bench.messages(f"{bench.topic}.dead")
    assert sorted(record.value for record in dead) == sorted(bad)
    for record in dead:
        headers = dict(record.headers)
        assert headers["place"].startswith(f"{bench.topic}/".encode())
        assert headers["reason"]
    assert bench.run("start-consumer", "--once").account["messages"] == 0


def test_a_message_of_nothing_and_one_as_large_as_can_be_stop_no_consumer(bench: Bench) -> None:
    large = b"." * (1024 * 1024 - 100)
    bench.send(large, *checks(1))
    producer = bench.clients.producer(acks="all")
    # With neither a key nor a value, which kafka-python sends only if it is not aware of it.
    producer._serialize = lambda *_: None
    producer.send(bench.topic, value=b".")
    producer.flush()
    producer.close()
    account = bench.run("start-consumer", "--once").account
    assert account == {"messages": 3, "rows": 1, "known": 0, "dead": 2}
    dead = {record.value for record in bench.messages(f"{bench.topic}.dead")}
    assert dead == {b"", large[: 512 * 1024]}


def test_a_killed_consumer_costs_no_row(bench: Bench) -> None:
    first = bench.start("start-consumer", "--duration", "120")
    second = bench.start("start-consumer", "--duration", "120")
    try:
        bench.send(*checks(2000))
        wait_for_rows(bench, 1)
        first.kill()
        bench.send(*checks(2000, first=2000))
        wait_for_rows(bench, 4000)
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert len(bench.rows()) == 4000
    assert bench.run("start-consumer", "--once").account["rows"] == 0


def test_a_database_that_is_away_costs_a_pause_and_no_row(
    bench: Bench, engines: SharedEngines
) -> None:
    postgres = engines.postgres
    with Gate(postgres.port) as gate:
        bench.write(port=str(gate.port))
        consumer = bench.start("start-consumer", "--duration", "120")
        try:
            bench.send(*checks(100))
            wait_for_rows(bench, 100)
            # It knows of its rows, too.
            wait_until("offsets", bench.committed, done=lambda found: found == 100, deadline=soon())
            gate.shut()
            bench.send(*checks(700, first=100))
            (log,) = bench.folder.glob("start-consumer-*.log")
            wait_until(
                "its word that the database is away",
                log.read_text,
                done=lambda text: "the database is away" in text,
                deadline=Deadline.after(60),
            )
            assert len(bench.rows()) == 100
            gate.open()
            wait_for_rows(bench, 800)
            consumer.send_signal(signal.SIGTERM)
            out, _ = consumer.communicate(timeout=60)
        finally:
            consumer.kill()
            consumer.communicate()
    assert consumer.returncode == 0
    assert "what was away is back" in log.read_text()
    assert '"rows":800' in out
    bench.write()
    assert len(bench.rows()) == 800
    assert bench.run("start-consumer", "--once").account["messages"] == 0


def test_a_topic_that_is_made_anew_is_read_from_its_beginning(bench: Bench) -> None:
    consumer = bench.start("start-consumer", "--duration", "300")
    try:
        bench.send(*checks(500))
        wait_for_rows(bench, 500)
        # Frozen, it sees the new topic only when that is longer than the old one was.
        consumer.send_signal(signal.SIGSTOP)
        remove_topic(bench.clients, bench.topic)
        bench.configure()
        bench.send(*checks(3000, first=500))
        consumer.send_signal(signal.SIGCONT)
        wait_for_rows(bench, 3500)
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=60)
        assert consumer.returncode == 0
    finally:
        consumer.kill()
        consumer.communicate()
    assert len(bench.rows()) == 3500
