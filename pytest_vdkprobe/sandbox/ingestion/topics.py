"""Landing in Kafka: one message for each record, answered only when the broker has them all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from pytest_vdkprobe.connections.kafka_sockets import Unopened, direct
from pytest_vdkprobe.sandbox.ingestion.bodies import Row, encoded
from pytest_vdkprobe.sandbox.ingestion.engines import Engines
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError, EngineDownError
from pytest_vdkprobe.waiting import Deadline

ENGINE = "kafka"
DELIVERY_LIMIT_S = 30.0
CALL_LIMIT_MS = 10_000
LINGER_MS = 2
BATCH_BYTES = 256 << 10
"""A call brings hundreds of records at once: few large requests instead of many small ones."""
CLOSE_LIMIT_S = 2.0
LARGEST_MESSAGE_BYTES = 64 << 20
"""For producer and new topics: a probe's record may hold a text of a megabyte, Kafka's limit."""


@cache
def load_driver() -> None:
    """Have kafka-python loaded, once: it changes the warnings' filters while it loads."""
    from pytest_vdkprobe.connections.kafka import driver  # noqa: PLC0415 - only with Kafka

    driver()


class Topics:
    """Produces to topics, and creates those that are missing, with one partition."""

    name = ENGINE

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._producer: Any = None
        self._admin: Any = None
        self._made: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False

    def land(self, topic: str, rows: Sequence[Row]) -> None:
        """Produce the rows, in their order. Raises EngineDownError unless all are delivered."""
        load_driver()
        from kafka.errors import KafkaError  # noqa: PLC0415 - loaded by now

        values = [encoded(row) for row in rows]
        try:
            with self._lock:
                producer = self._ready(topic)
            futures = [producer.send(topic, value) for value in values]
            deadline = Deadline.after(DELIVERY_LIMIT_S)
            for future in futures:
                future.get(timeout=deadline.remaining_s())
        except KafkaError as exc:
            raise EngineDownError(f"Kafka did not say that it took them: {exc!r}") from exc

    def close(self) -> None:
        """Close producer and admin, after the removal of the topics made here. Idempotent."""
        with self._lock:
            self._closed = True
            producer, self._producer = self._producer, None
            admin, self._admin = self._admin, None
        if producer is not None:
            producer.close(timeout=CLOSE_LIMIT_S)
        if admin is not None:
            with suppress(Exception):  # Kafka may be gone, and the topics with it
                admin.delete_topics(sorted(self._made))
            admin.close()

    def _ready(self, topic: str) -> Any:
        """The producer, with the topic there to take messages."""
        # Loaded by now.
        from kafka import KafkaProducer  # noqa: PLC0415
        from kafka.admin import KafkaAdminClient  # noqa: PLC0415
        from kafka.errors import InvalidTopicError, TopicAlreadyExistsError  # noqa: PLC0415

        if self._closed:
            raise EngineDownError("The sandbox stops.")
        if self._producer is None:
            where = {
                "bootstrap_servers": self._engines.address(ENGINE).endpoint,
                "client_id": "vdkprobe-sandbox-ingestion",
                "proxy_url": direct(),
            }
            with Unopened() as client:
                self._admin = KafkaAdminClient(
                    **where, request_timeout_ms=CALL_LIMIT_MS, kafka_client=client.make
                )
                client.opened()
            with Unopened() as client:
                self._producer = KafkaProducer(
                    **where,
                    acks="all",
                    linger_ms=LINGER_MS,
                    batch_size=BATCH_BYTES,
                    max_request_size=LARGEST_MESSAGE_BYTES,
                    max_block_ms=CALL_LIMIT_MS,
                    delivery_timeout_ms=int(DELIVERY_LIMIT_S * 1000),
                    request_timeout_ms=CALL_LIMIT_MS,
                    kafka_client=client.make,
                )
                client.opened()
        if topic not in self._admin.list_topics():
            wanted = {
                "num_partitions": 1,
                "replication_factor": 1,
                "configs": {"max.message.bytes": str(LARGEST_MESSAGE_BYTES)},
            }
            try:
                self._admin.create_topics({topic: wanted}, wait_for_metadata=True)
                self._made.add(topic)
            except TopicAlreadyExistsError:
                pass  # somebody else was quicker
            except InvalidTopicError as exc:
                raise BadRecordsError(f"{topic!r} can't be the name of a topic.") from exc
        return self._producer
