"""What a Kafka route says when something is not as it should be, and what it leaves alone."""

from __future__ import annotations

import gc
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.accounting.outcomes import Outcome
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection, driver
from pytest_vdkprobe.errors import ConfigError, PlatformFailure, ProbeError, TransportError
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.readers import kafka as kafka_reader
from pytest_vdkprobe.readers.kafka import KafkaReader, KafkaReaderSettings
from pytest_vdkprobe.records import Record
from pytest_vdkprobe.sandbox.engines.kafka import Kafka
from pytest_vdkprobe.targets.kafka import KafkaTarget, KafkaTargetSettings
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.route_faults import by_name, check, passage
from tests.integration.shared_engines import SharedEngines

COLUMNS = profile("small").columns
LIMIT_S = 30.0


@pytest.fixture
def topic(engines: SharedEngines) -> str:
    """A name that nobody else uses."""
    return f"{engines.topic_prefix}{secrets.token_hex(5)}"


@pytest.fixture
def leases(tmp_path: Path) -> LeaseStore:
    """A store of this test's own."""
    return LeaseStore(tmp_path / "leases", run_id="run-12345678")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """What is sent in this test."""
    with Ledger.create(
        tmp_path / "a.ledger",
        run_id="run-12345678",
        profile="small",
        start_us=time.time_ns() // 1000,
        rate_per_s=100.0,
    ) as ledger:
        yield ledger


def target_of(server: str, topic: str, **settings: object) -> KafkaTarget:
    wanted = {"partitions": 1, "connect_timeout_s": 2.0, **settings}
    return KafkaTarget(KafkaTargetSettings(servers=(server,), topic=topic, **wanted))  # type: ignore[arg-type]


def reader_of(server: str, topic: str, **settings: object) -> KafkaReader:
    wanted = {"connect_timeout_s": 2.0, **settings}
    return KafkaReader(KafkaReaderSettings(servers=(server,), topic=topic, **wanted))  # type: ignore[arg-type]


def send(ledger: Ledger, target: KafkaTarget, seqs: range) -> list[Outcome]:
    """Send these and note what became of them."""
    expectation = ledger.expectation(within_s=60, late_s=60)
    ledger.intend(seqs)
    records = [expectation.record(seq) for seq in seqs]
    results = target.send(records, deadline=Deadline.after(LIMIT_S))
    ledger.settle(seqs, results)
    return [result.outcome for result in results]


def observed(ledger: Ledger, reader: KafkaReader, count: int) -> Observation:
    """What the reader saw, once it saw so many."""

    def look() -> Observation:
        expectation = ledger.expectation(within_s=60, late_s=60)
        return reader.observe(expectation, deadline=Deadline.after(LIMIT_S))

    return wait_until(
        "records",
        look,
        done=lambda seen: len(seen.seen) >= count,
        deadline=Deadline.after(LIMIT_S),
        describe=lambda seen: f"{len(seen.seen)} seen",
    ).value


@pytest.mark.parametrize("make", [target_of, reader_of], ids=["target", "reader"])
def test_a_missing_topic_is_named(
    make: Callable[..., KafkaTarget | KafkaReader], engines: SharedEngines, topic: str
) -> None:
    with (
        make(engines.kafka.endpoint, topic) as side,
        pytest.raises(ConfigError, match=f"has no topic {topic}") as caught,
    ):
        side.prepare(COLUMNS)
    assert "create = true" in str(caught.value)


@pytest.mark.parametrize(
    ("server", "said"),
    [("127.0.0.1:1", "connection refused"), ("nowhere.invalid:9092", "the name is not known")],
    ids=["port", "name"],
)
@pytest.mark.parametrize("make", [target_of, reader_of], ids=["target", "reader"])
def test_a_broker_that_can_t_be_reached_is_told(
    make: Callable[..., KafkaTarget | KafkaReader], server: str, said: str
) -> None:
    started = time.monotonic()
    with make(server, "anything") as side, pytest.raises(TransportError, match=said):
        side.prepare(COLUMNS)
    assert time.monotonic() - started < LIMIT_S


def test_what_was_there_before_is_neither_counted_nor_removed(
    engines: SharedEngines, topic: str, leases: LeaseStore, tmp_path: Path
) -> None:
    server = engines.kafka.endpoint
    decoy = f"{topic}-decoy"
    clients = KafkaClients(KafkaConnection(servers=(server,)))
    admin = clients.admin()
    admin.create_topics({topic: {}, decoy: {}}, wait_for_metadata=True)
    try:
        with target_of(server, topic) as early:
            early.prepare(COLUMNS)
            old = profile("typed").make("an-old-run", 1, sent_at_us=1)
            early.send([old], deadline=Deadline.after(LIMIT_S))
        target = KafkaTarget(
            KafkaTargetSettings(servers=(server,), topic=topic, create=True), leases=leases
        )
        fault = by_name("one lost")
        reader = reader_of(server, topic)
        check(passage(target, reader, fault, folder=tmp_path, profile_name="small"), fault)
        assert {topic, decoy} <= set(admin.list_topics())
        assert leases.all() == []
    finally:
        admin.delete_topics([topic, decoy])
        admin.close()


@pytest.mark.parametrize(
    "settings",
    [{"idempotence": True}, {"compression": "gzip"}, {"acks": "leader"}, {"key": "{run_id}-{seq}"}],
    ids=["idempotence", "compression", "acks", "key"],
)
def test_records_pass_with_other_settings(
    settings: dict[str, object], engines: SharedEngines, topic: str, tmp_path: Path
) -> None:
    fault = by_name("none")
    target = target_of(
        engines.kafka.endpoint, topic, create=True, headers={"x-probe": "yes"}, **settings
    )
    check(passage(target, reader_of(engines.kafka.endpoint, topic), fault, folder=tmp_path), fault)


@pytest.mark.parametrize("batch_bytes", [1, 65536], ids=["batches of one", "one batch"])
def test_too_large_is_refused_and_the_others_pass(
    engines: SharedEngines, topic: str, batch_bytes: int
) -> None:
    limits = {"max.message.bytes": "2000"}
    # A broker refuses whole batches; the client then sends them again in parts.
    with target_of(
        engines.kafka.endpoint,
        topic,
        create=True,
        topic_settings=limits,
        batch_bytes=batch_bytes,
        key="one",
    ) as target:
        target.prepare(COLUMNS)
        try:
            make = profile("small").make
            records = [make("run-12345678", seq, sent_at_us=1) for seq in range(3)]
            records[1] = Record("run-12345678", 1, 1, {"n": 1, "word": "x" * 5000}, "{}", "0")
            results = target.send(records, deadline=Deadline.after(LIMIT_S))
        finally:
            target.remove()
    assert [result.outcome for result in results] == [
        Outcome.ACKNOWLEDGED,
        Outcome.REFUSED,
        Outcome.ACKNOWLEDGED,
    ]
    assert "MessageSizeTooLarge" in results[1].reason


def test_without_acks_nothing_is_known(engines: SharedEngines, topic: str) -> None:
    with target_of(engines.kafka.endpoint, topic, create=True, acks="none") as target:
        target.prepare(COLUMNS)
        try:
            record = profile("small").make("run-12345678", 0, sent_at_us=1)
            (result,) = target.send([record], deadline=Deadline.after(LIMIT_S))
        finally:
            target.remove()
    assert result.outcome is Outcome.UNKNOWN
    assert "acks = none" in result.reason


def test_partitions_that_are_added_meanwhile_are_read(
    engines: SharedEngines, topic: str, ledger: Ledger
) -> None:
    server = engines.kafka.endpoint
    with target_of(server, topic, create=True) as target, reader_of(server, topic) as reader:
        target.prepare(COLUMNS)
        try:
            reader.prepare(COLUMNS)
            send(ledger, target, range(10))
            admin = KafkaClients(KafkaConnection(servers=(server,))).admin()
            admin.create_partitions({topic: 4})
            admin.close()
            # A producer that connects now knows them all.
            with target_of(server, topic, key="{seq}") as later:
                later.prepare(COLUMNS)
                send(ledger, later, range(10, 60))
            observation = observed(ledger, reader, 60)
        finally:
            reader.remove()
            target.remove()
    assert observation.duplicate == 0
    assert observation.foreign == 0


def test_a_topic_that_is_made_anew_is_read_from_its_beginning_and_told(
    engines: SharedEngines, topic: str, ledger: Ledger
) -> None:
    server = engines.kafka.endpoint
    admin = KafkaClients(KafkaConnection(servers=(server,))).admin()
    admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
    try:
        with target_of(server, topic) as target, reader_of(server, topic) as reader:
            target.prepare(COLUMNS)
            reader.prepare(COLUMNS)
            send(ledger, target, range(10))
            observed(ledger, reader, 10)
            admin.delete_topics([topic])
            admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
            with target_of(server, topic) as later:
                later.prepare(COLUMNS)
                send(ledger, later, range(10, 13))
            observation = observed(ledger, reader, 13)
    finally:
        admin.delete_topics([topic])
        admin.close()
    assert observation.duplicate == 0
    assert any("partition 0 went back from offset 10" in note for note in observation.notes)


def test_messages_that_were_deleted_before_they_were_read_are_told(
    engines: SharedEngines, topic: str, ledger: Ledger
) -> None:
    server = engines.kafka.endpoint
    admin = KafkaClients(KafkaConnection(servers=(server,))).admin()
    with target_of(server, topic, create=True) as target, reader_of(server, topic) as reader:
        target.prepare(COLUMNS)
        try:
            reader.prepare(COLUMNS)
            # Its thread has ended, so nothing is read meanwhile.
            reader._collector.stop()
            send(ledger, target, range(10))
            admin.delete_records({driver().TopicPartition(topic, 0): 8})

            def look() -> Observation:
                reader._collect(reader._collector)
                return observed(ledger, reader, 0)

            found = wait_until(
                "what is left",
                look,
                done=lambda seen: len(seen.seen) >= 2,
                deadline=Deadline.after(LIMIT_S),
                describe=lambda seen: f"{len(seen.seen)} seen",
            ).value
        finally:
            target.remove()
            admin.close()
    assert list(found.seen) == [8, 9]
    assert any("offsets 0-7: deleted before we could read" in note for note in found.notes)


def test_messages_that_are_spoilt_on_the_way_are_told_as_that(
    engines: SharedEngines, topic: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = engines.kafka.endpoint

    def spoilt(**_: object) -> None:
        raise driver().errors.CorruptRecordError("record batch failed crc check")

    with target_of(server, topic, create=True) as target, reader_of(server, topic) as reader:
        target.prepare(COLUMNS)
        try:
            reader.prepare(COLUMNS)
            reader._collector.stop()
            monkeypatch.setattr(reader._consumer, "poll", spoilt)
            send(ledger, target, range(3))
            reader._collect(reader._collector)
            assert reader._consumer is not None
            reader._ask(reader._consumer)
            found = observed(ledger, reader, 0)
        finally:
            target.remove()
    assert any("3 messages" in note and "failed crc check" in note for note in found.notes)


def test_the_broker_s_clock_may_say_when_a_record_came(
    engines: SharedEngines, topic: str, ledger: Ledger
) -> None:
    server = engines.kafka.endpoint
    settings = {"message.timestamp.type": "LogAppendTime"}
    with (
        target_of(server, topic, create=True, topic_settings=settings) as target,
        reader_of(server, topic, arrival="broker") as reader,
    ):
        target.prepare(COLUMNS)
        try:
            reader.prepare(COLUMNS)
            send(ledger, target, range(5))
            observation = observed(ledger, reader, 5)
        finally:
            target.remove()
    assert observation.latency is not None
    assert len(observation.latency) == 5


def test_a_topic_without_the_broker_s_clock_is_told(
    engines: SharedEngines, topic: str, ledger: Ledger
) -> None:
    server = engines.kafka.endpoint
    with (
        target_of(server, topic, create=True) as target,
        reader_of(server, topic, arrival="broker") as reader,
    ):
        target.prepare(COLUMNS)
        try:
            reader.prepare(COLUMNS)
            send(ledger, target, range(5))
            with pytest.raises(ProbeError, match="have the sender's time"):
                observed(ledger, reader, 5)
        finally:
            target.remove()


def test_a_group_with_another_member_is_told(
    engines: SharedEngines, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = engines.kafka.endpoint
    group = f"{topic}-group"
    with target_of(server, topic, create=True, partitions=2) as target:
        target.prepare(COLUMNS)
        try:
            with reader_of(server, topic, group=group) as first:
                first.prepare(COLUMNS)
                monkeypatch.setattr(kafka_reader, "JOIN_LIMIT_S", 3.0)
                with (
                    reader_of(server, topic, group=group) as second,
                    pytest.raises(ProbeError, match="does not let us read the whole topic"),
                ):
                    second.prepare(COLUMNS)
                first.remove()
        finally:
            target.remove()


def test_a_broker_that_dies_is_told_and_what_was_seen_is_kept(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    # Records of its log would keep its exceptions, and these its sockets.
    caplog.set_level(logging.CRITICAL, logger="kafka")
    lose_the_broker(ledger)
    gc.collect()


def lose_the_broker(ledger: Ledger) -> None:
    """Send, kill the broker, send and look again."""
    driver()
    with Kafka() as broker:
        server = broker.address.endpoint
        target = target_of(server, "doomed", create=True, request_timeout_s=2.0)
        reader = reader_of(server, "doomed", silent_after_s=2.0)
        with target, reader:
            target.prepare(COLUMNS)
            reader.prepare(COLUMNS)
            assert set(send(ledger, target, range(10))) == {Outcome.ACKNOWLEDGED}
            seen = observed(ledger, reader, 10)
            broker.kill()
            started = time.monotonic()
            assert set(send(ledger, target, range(10, 20))) == {Outcome.UNKNOWN}
            with pytest.raises(PlatformFailure, match="has not answered the reader") as caught:
                observed(ledger, reader, 20)
            assert time.monotonic() - started < LIMIT_S
            assert len(seen.seen) == 10
            assert "look at the brokers" in str(caught.value)
