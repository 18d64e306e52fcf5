"""From Kafka into tables: the topic `to-postgres.<table>` ends in that table, as does `to-trino.`.

It is to the sandbox what Kafka Connect's JDBC sink is to a platform. A topic's offset is committed
after its rows are, so nothing is lost when the sandbox or an engine dies in between; what was
written last may then come twice (at least once). A message that can't land is noted and left out.
Partitions are assigned by hand: a new topic needs no rebalance, and is noticed in half a second.
"""

from __future__ import annotations

import threading
from typing import Any

from pytest_vdkprobe.connections.kafka_sockets import Unopened, direct
from pytest_vdkprobe.sandbox.engines.addresses import Address
from pytest_vdkprobe.sandbox.ingestion.bodies import TABLE, Row, parsed
from pytest_vdkprobe.sandbox.ingestion.engines import Engines
from pytest_vdkprobe.sandbox.ingestion.landing import Batches, Landing
from pytest_vdkprobe.sandbox.ingestion.topics import load_driver
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError, EngineDownError
from pytest_vdkprobe.waiting import Deadline

LOOK_S = 0.5
"""How often to look for new topics, and for Kafka before it runs."""
POLL_MS = 100
RETRY_S = 0.2
LONGEST_BATCH = 2000
FETCH_BYTES = 16 << 20
CLOSE_LIMIT_S = 10.0
CALL_LIMIT_MS = 10_000
REACH_LIMIT_MS = 2_000
"""Kafka is on this machine. The next look tries again, and the end of the sandbox waits for one."""


class Sink:
    """Empties the topics of one engine, on a thread of its own, from `start()` to `close()`."""

    def __init__(self, engine: str, *, landing: Landing, engines: Engines, prefix: str) -> None:
        self.engine = engine
        self.prefix = f"{prefix}{engine}."
        self.landed: dict[str, int] = {}
        """Topic -> messages that have landed."""
        self._landing = landing
        self._engines = engines
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to wait for Kafka and for topics; starts neither. Idempotent."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._live, name=f"sandbox-sink-{self.engine}", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Begin no other batch."""
        self._stopping.set()

    def close(self) -> None:
        """Stop, and wait until the batch under way has landed. Idempotent."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(CLOSE_LIMIT_S)

    def _live(self) -> None:
        while not self._stopping.wait(LOOK_S):
            address = self._engines.running("kafka")
            if address is not None:
                try:
                    self._empty(address)
                except Exception as exc:  # noqa: BLE001 - Kafka may come back; it is noted
                    self._landing.fail(f"{self.prefix}*", exc)

    def _empty(self, kafka: Address) -> None:
        load_driver()
        from kafka import KafkaConsumer  # noqa: PLC0415 - loaded by now

        with Unopened() as client:
            consumer = KafkaConsumer(
                bootstrap_servers=kafka.endpoint,
                client_id=f"vdkprobe-{self.prefix}sink",
                group_id=f"vdkprobe-{self.prefix}sink",
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                max_poll_records=LONGEST_BATCH,
                max_partition_fetch_bytes=FETCH_BYTES,
                bootstrap_timeout_ms=REACH_LIMIT_MS,
                proxy_url=direct(),
                kafka_client=client.make,
            )
            client.opened()
        try:
            while not self._stopping.is_set():
                self._follow_topics(consumer)
                self._drain(consumer)
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def _follow_topics(self, consumer: Any) -> None:
        from kafka import TopicPartition  # noqa: PLC0415 - loaded by now

        topics = [topic for topic in consumer.topics() if topic.startswith(self.prefix)]
        wanted = {
            TopicPartition(topic, partition)
            for topic in topics
            for partition in consumer.partitions_for_topic(topic) or ()
        }
        if wanted != consumer.assignment():
            consumer.assign(sorted(wanted))

    def _drain(self, consumer: Any) -> None:
        """Land what comes until it is time to look for topics again."""
        if not consumer.assignment():
            self._stopping.wait(LOOK_S)
            return
        from kafka.structs import OffsetAndMetadata  # noqa: PLC0415 - loaded by now

        until = Deadline.after(LOOK_S)
        while not (until.expired or self._stopping.is_set()):
            for partition, messages in consumer.poll(timeout_ms=POLL_MS).items():
                if not self._land(partition.topic, messages):
                    return
                offset = OffsetAndMetadata(messages[-1].offset + 1, "", -1)
                consumer.commit({partition: offset}, timeout_ms=CALL_LIMIT_MS)

    def _land(self, topic: str, messages: list[Any]) -> bool:
        """Land one partition's messages, as often as it takes; whether they have."""
        called = topic.removeprefix(self.prefix)
        rows = [row for message in messages for row in self._row(topic, message)]
        while not self._stopping.is_set():
            try:
                batches, _ = self._landing.altered(self.engine, {called: rows})
            except EngineDownError as exc:
                self._wait(topic, exc)
            except BadRecordsError as exc:
                self._landing.fail(topic, exc, messages=len(messages))
                return True
            else:
                pieces = self._landing.pieces(self.engine, batches)
                return all(self._insert(topic, piece) for piece in pieces)
        return False

    def _insert(self, topic: str, batches: Batches) -> bool:
        while not self._stopping.is_set():
            try:
                self._landing.into_tables(self.engine, batches)
            except EngineDownError as exc:
                self._wait(topic, exc)
            except BadRecordsError as exc:
                return self._one_by_one(topic, batches, exc)
            else:
                count = sum(map(len, batches.values()))
                self.landed[topic] = self.landed.get(topic, 0) + count
                return True
        return False

    def _one_by_one(self, topic: str, batches: Batches, exc: BadRecordsError) -> bool:
        """Find the records that are to blame; the others land."""
        pieces = [{called: [row]} for called, rows in batches.items() for row in rows]
        if len(pieces) == 1:
            self._landing.fail(topic, exc, messages=1)
            return True
        return all(self._insert(topic, piece) for piece in pieces)

    def _row(self, topic: str, message: Any) -> list[Row]:
        try:
            rows = parsed(message.value or b"", alone=True)
        except BadRecordsError as exc:
            self._landing.fail(topic, exc, partition=message.partition, offset=message.offset)
            return []
        rows[0].pop(TABLE, None)
        return rows

    def _wait(self, topic: str, exc: EngineDownError) -> None:
        self._landing.fail(topic, exc)
        self._stopping.wait(RETRY_S)
