"""The pipeline's topic as the probe reads it: beside the consumers and in no group.

All of our own; of one that others use what comes from now on, and of that what is about our
websites.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.connections.kafka import KafkaClients, driver
from pytest_vdkprobe.connections.kafka_topics import refused
from pytest_vdkprobe.errors import ConfigError, PlatformFailure, TransportError
from pytest_vdkprobe.pipelines.account import MICROSECONDS, Id, Seen
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from kafka import KafkaConsumer

POLL_MS = 100
LIMIT_S = 30.0
"""For one look: kafka-python itself would wait for ever for brokers that do not come back."""
ENDS_LIMIT_MS = 5000
"""For the one answer that a look begins with."""


class _Message(msgspec.Struct):
    """What of a message is looked at."""

    site: int
    unix_timestamp: float
    returned_code: int | None
    regexp: bool | None
    error: str | None = None
    response_time: float | None = None


_decode = msgspec.json.Decoder(_Message).decode


class Topic:
    """Every message so far, read on with each look."""

    def __init__(
        self, clients: KafkaClients, name: str, *, only: Container[int] | None = None
    ) -> None:
        self.name = name
        self._only = only
        """The websites whose messages are kept, where others have theirs in the same topic."""
        self.messages: list[Seen] = []
        self.unreadable = 0
        self.trouble: str | None = None
        """Why the last look did not see everything; None when it did."""
        self._clients = clients
        self._consumer: KafkaConsumer | None = None
        self._parts: list[Any] = []

    def read(self) -> list[Seen]:
        """All messages that were there when this was called; fewer, and `trouble`, if brokers are
        away: one that restarts is read on with the next look.
        """
        errors = driver().errors
        deadline = Deadline.after(LIMIT_S, "time to read messages")
        self.trouble = None
        try:
            consumer = self._open()
            ends = consumer.end_offsets(self._parts, timeout_ms=ENDS_LIMIT_MS)
            while any(
                (consumer.position(part, timeout_ms=POLL_MS) or 0) < ends[part]
                for part in self._parts
            ):
                if deadline.expired:
                    self.trouble = f"messages that are there did not come within {LIMIT_S:g} s"
                    break
                for records in consumer.poll(timeout_ms=POLL_MS).values():
                    self._take(records)
        except (errors.KafkaError, TransportError) as exc:
            self.trouble = str(exc) or type(exc).__name__
        return self.messages

    def require_answer(self) -> None:
        """Raise PlatformFailure if the brokers did not answer the last look."""
        if self.trouble is None:
            return
        place, obstacle = self._clients.connection.place, self._clients.obstacle()
        raise PlatformFailure(
            f"Kafka at {place} stopped answering, so what became of the checks can't be told.",
            seen=f"{obstacle.what if obstacle else 'it can be reached'}\n{self.trouble}",
            expected="brokers that answer, or are back after a restart",
            checked=f"topic {self.name}",
            to_try="see whether the brokers run, and their logs",
        )

    def begin(self) -> int:
        """Read what comes from now on; how many partitions there are. Raises a ProbeError."""
        errors = driver().errors
        try:
            consumer = self._open(first="latest")
            # Asked for now, or "from now on" would begin with the first look.
            for part in self._parts:
                if consumer.position(part, timeout_ms=int(LIMIT_S * 1000)) is None:
                    raise errors.KafkaTimeoutError(f"partition {part.partition} has no end")
        except errors.KafkaError as exc:
            self.close()
            raise refused(
                f"The topic {self.name} can't be read", exc, self._clients.connection.place
            ) from exc
        if not self._parts:
            self.close()
            raise ConfigError(
                f"Kafka has no topic {self.name}.",
                key="pipeline.kafka.topic",
                value=self.name,
                to_try="name the topic that producers and consumers use, in [pipeline]",
            )
        return len(self._parts)

    def _open(self, *, first: str = "earliest") -> KafkaConsumer:
        if self._consumer is None:
            consumer = self._clients.consumer(auto_offset_reset=first, group_id=None)
            parts = consumer.partitions_for_topic(self.name) or ()
            self._parts = [driver().TopicPartition(self.name, part) for part in sorted(parts)]
            consumer.assign(self._parts)
            self._consumer = consumer
        return self._consumer

    def _take(self, records: list[Any]) -> None:
        for record in records:
            try:
                message = _decode(record.value or b"")
            except msgspec.MsgspecError:
                self.unreadable += 1
                continue
            if self._only is not None and message.site not in self._only:
                continue
            slot_us = round(message.unix_timestamp * MICROSECONDS)
            self.messages.append(
                Seen(
                    Id(message.site, slot_us),
                    message.returned_code,
                    message.regexp,
                    message.error,
                    record.timestamp * 1000,
                    message.response_time,
                )
            )

    def close(self) -> None:
        """Let go of the brokers. May be called again."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
