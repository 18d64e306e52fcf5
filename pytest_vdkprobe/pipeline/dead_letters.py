"""Messages that can't be rows: kept in a topic of their own, with the reason and their place."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.connections.kafka import KafkaClients, driver
from pytest_vdkprobe.connections.kafka_topics import refused
from pytest_vdkprobe.errors import TransportError

if TYPE_CHECKING:
    from kafka import KafkaProducer

    from pytest_vdkprobe.pipeline.settings import PipelineKafka

LIMIT_S = 30.0
LARGEST_BYTES = 512 * 1024
"""Of a value, and half of it of a key: what fills a message leaves no room for the reason."""

_log = logging.getLogger(__name__)


class DeadLetters:
    """Opens its producer with the first such message: most consumers never see one."""

    def __init__(self, settings: PipelineKafka, clients: KafkaClients) -> None:
        self._settings = settings
        self._clients = clients
        self._producer: KafkaProducer | None = None

    def bury(self, records: list[tuple[Any, str]]) -> None:
        """Write each with its reason; returns when the brokers have them all.

        Raises TransportError while they can't be written, LoginError where we may not: the batch
        must not be committed then.
        """
        errors = driver().errors
        topic = self._settings.dead_letters
        try:
            self._send(topic, records)
        except errors.KafkaError as exc:
            # What it still has would come beside what is sent next time.
            self.close()
            if isinstance(exc, errors.AuthorizationError):
                what = f"Dead letters can't be written to {topic}"
                raise refused(what, exc, self._settings.place) from exc
            raise TransportError(
                f"{len(records)} messages can't be rows, and can't be written to {topic} either.",
                seen=f"{records[0][1]}; {exc!r}",
                checked=self._settings.place,
                to_try="`vdkprobe pipeline configure-database CONFIG` creates the topic",
            ) from exc
        record, reason = records[0]
        _log.warning(
            "%d messages can't be rows and are in %s; the first, %s: %s",
            len(records),
            topic,
            _place(record),
            reason,
        )

    def _send(self, topic: str, records: list[tuple[Any, str]]) -> None:
        if self._producer is None:
            self._producer = self._clients.producer(acks="all", max_block_ms=10_000)
        sent = [
            self._producer.send(
                topic,
                key=record.key and record.key[: LARGEST_BYTES // 2],
                # A message without either can't be sent.
                value=(record.value or b"")[:LARGEST_BYTES],
                headers=_headers(record, reason),
            )
            for record, reason in records
        ]
        self._producer.flush(timeout=LIMIT_S)
        for one in sent:
            one.get(timeout=LIMIT_S)

    def close(self) -> None:
        """Let go of the brokers. May be called again."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            with suppress(driver().errors.KafkaError):
                producer.close(timeout=1)


def _place(record: Any) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _headers(record: Any, reason: str) -> list[tuple[str, bytes]]:
    size = len(record.value or b"")
    cut = f"; cut, it has {size} bytes" if size > LARGEST_BYTES else ""
    return [("reason", f"{reason}{cut}".encode()), ("place", _place(record).encode())]
