"""Kafka as a reader: every message of a topic from the moment of `prepare`, and the proof of it.

Positions are fixed before the first record is sent: by seeking each partition to its end, without a
group, so that nobody else's reading is disturbed; or inside a group where that is configured. A
client that can't reach its brokers reads nothing and says nothing, which would look like loss. So
the thread asks the brokers where each partition ends, and when they have been silent for too long
that is the finding, and not records that were never looked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_vdkprobe.connections.kafka import KafkaClients, driver
from pytest_vdkprobe.connections.kafka_topics import OwnGroup, OwnTopic, TopicSettings, refused
from pytest_vdkprobe.connections.versions import kafka_version
from pytest_vdkprobe.errors import PlatformFailure, ProbeError
from pytest_vdkprobe.readers.stream import StreamReader, arrival, decode
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition

    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.accounting.observation import Observation
    from pytest_vdkprobe.accounting.stream import Arrival
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.readers.collector import Collector
    from pytest_vdkprobe.records import ColumnType

POLL_MS = 100
ASK_EVERY_S = 0.5
"""How often the brokers are asked where the partitions end."""
ASK_LIMIT_MS = 2000
NEW_PARTITIONS_MS = 2000
"""How old the client's knowledge of the topic may get; kafka-python's own is five minutes."""
JOIN_LIMIT_S = 60.0
"""How long a group may take to give us its partitions: longer than an old member's session."""
ISOLATION = {"committed": "read_committed", "all": "read_uncommitted"}
GAPS_SHOWN = 5
LOG_APPEND_TIME = 1
"""`timestamp_type` of a message that has the broker's time (protocol guide, record batch)."""


class KafkaReaderSettings(
    TopicSettings,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="kafka",
):
    """A topic to read."""

    group: str | None = None
    """Read as this consumer group, which must have no other members. Left out, without any."""
    arrival: Literal["reader", "broker"] = "reader"
    """Whose clock says when a record came out: ours when we have it, or the broker's when it wrote
    it, for topics with message.timestamp.type = LogAppendTime."""
    isolation: Literal["committed", "all"] = "committed"
    """Whether messages of transactions are seen when these are committed, or all at once."""
    silent_after_s: float = 15.0
    """How long the brokers may be silent before that is the finding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.silent_after_s < float("inf"):
            raise ValueError("silent_after_s: must be more than 0 seconds")


class KafkaReader(StreamReader[list[Any]]):
    """Reads a topic."""

    def __init__(
        self,
        settings: KafkaReaderSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        super().__init__("kafka-reader")
        self.settings = settings
        self._clients = KafkaClients(settings, base_dir=base_dir, key="reader")
        self._topic = OwnTopic(self._clients, settings, leases=leases, key="reader")
        self._group = OwnGroup(
            self._clients, settings.group or "", topic=settings.topic, leases=leases
        )
        self._consumer: KafkaConsumer | None = None
        self._next: dict[int, int] = {}
        """The offset of each partition's next message: a group may be given some twice."""
        self._ends: dict[int, int] = {}
        """Where each partition ended when the brokers were asked last, if we were not there yet."""
        self._gone: dict[int, list[str]] = {}
        """Of each partition the offsets that could not be read any more."""
        self._begun_anew: dict[int, str] = {}
        self._alive_at = 0.0
        self._asked_at = 0.0
        self._trouble = "no answer"
        self._unreadable = ""
        """Why messages that were there could not be had, when that happened last."""
        self._missing_since: float | None = None

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Know the position of each partition. Raises ProbeError where it can't be known."""
        errors = driver().errors
        settings = self.settings
        self._topic.ensure()
        if settings.group:
            self._group.claim()
        self._consumer = consumer = self._clients.consumer(
            group_id=settings.group,
            # For partitions that are added later; the others are sought to their end.
            auto_offset_reset="earliest",
            enable_auto_commit=bool(settings.group),
            isolation_level=ISOLATION[settings.isolation],
            metadata_max_age_ms=NEW_PARTITIONS_MS,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        try:
            partitions = self._partitions(consumer)
            if settings.group:
                self._join(consumer, partitions)
            else:
                consumer.assign(partitions)
            ends = consumer.end_offsets(partitions, timeout_ms=self._limit_ms)
            for partition in partitions:
                consumer.seek(partition, ends[partition])
                self._next[partition.partition] = consumer.position(partition)
            if settings.group:
                consumer.commit(timeout_ms=self._limit_ms)
        except errors.KafkaError as exc:
            place = settings.place
            raise refused(f"The topic {settings.topic} can't be read", exc, place) from exc
        self._alive_at = time.monotonic()
        self._collector.start()

    @property
    def _limit_ms(self) -> int:
        return int(self.settings.request_timeout_s * 1000)

    def _partitions(self, consumer: KafkaConsumer) -> list[TopicPartition]:
        topic = self.settings.topic
        numbers = sorted(consumer.partitions_for_topic(topic))
        return [driver().TopicPartition(topic, number) for number in numbers]

    def _join(self, consumer: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Be given all partitions by the group."""
        consumer.subscribe([self.settings.topic])
        deadline = Deadline.after(JOIN_LIMIT_S)
        while set(consumer.assignment()) != set(partitions):
            if deadline.expired:
                raise self._not_alone(len(consumer.assignment()), len(partitions))
            # What it may bring is older than the positions that are fixed next.
            consumer.poll(timeout_ms=POLL_MS)

    def _not_alone(self, ours: int, all_of_them: int) -> ProbeError:
        return ProbeError(
            f"The group {self.settings.group} does not let us read the whole topic.",
            seen=f"{ours} of {all_of_them} partitions are ours",
            expected="a group without other members",
            checked=self.settings.place,
            to_try="name another group, or leave group out: then none is needed",
        )

    def _collect(self, collector: Collector[list[Any]]) -> None:
        errors = driver().errors
        consumer = self._consumer
        if consumer is None:
            raise RuntimeError("the reader collects after prepare()")
        try:
            for partition, messages in self._polled(consumer).items():
                self._alive_at = time.monotonic()
                first = self._next.get(partition.partition, 0)
                new = [message for message in messages if message.offset >= first]
                if new:
                    if new[0].offset > first:
                        gone = self._gone.setdefault(partition.partition, [])
                        gone.append(f"{first}-{new[0].offset - 1}")
                    self._next[partition.partition] = new[-1].offset + 1
                    collector.add(new)
            if time.monotonic() - self._asked_at >= ASK_EVERY_S:
                self._ask(consumer)
                self._asked_at = time.monotonic()
        except errors.KafkaError as exc:
            # It tries again by itself; how long that may go on is decided in `_check`.
            self._trouble = str(exc) or type(exc).__name__
            collector.pause(POLL_MS / 1000)

    def _polled(self, consumer: KafkaConsumer) -> Mapping[TopicPartition, list[Any]]:
        try:
            return consumer.poll(timeout_ms=POLL_MS)  # type: ignore[no-any-return]  # has no types
        except driver().errors.KafkaError as exc:
            self._unreadable = str(exc) or type(exc).__name__
            raise

    def _ask(self, consumer: KafkaConsumer) -> None:
        """See that the brokers are there, and take up partitions that were added."""
        partitions = self._partitions(consumer)
        if not self.settings.group and len(partitions) > len(consumer.assignment()):
            consumer.assign(partitions)
        ends = consumer.end_offsets(partitions, timeout_ms=ASK_LIMIT_MS)
        self._alive_at = time.monotonic()
        for partition, end in ends.items():
            first = self._next.get(partition.partition, 0)
            if end < first and partition in consumer.assignment():
                # Another topic of this name by now, all of which is new, or one that was cut.
                self._begun_anew[partition.partition] = f"from offset {first} to {end}"
                self._next[partition.partition] = 0
                consumer.seek(partition, 0)
        self._ends = {
            one.partition: end
            for one, end in ends.items()
            # The position is also behind the ends of transactions, which are no messages.
            if one in consumer.assignment() and (consumer.position(one) or 0) < end
        }
        missing = len(consumer.assignment()) < len(partitions)
        if not missing:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = self._alive_at

    def observe(self, expectation: Expectation, *, deadline: Deadline) -> Observation:
        """All that has arrived since `prepare`, with what is known of what has not."""
        found = super().observe(expectation, deadline=deadline)
        found.notes[:] = self._notes()
        return found

    def _notes(self) -> list[str]:
        """Why something may be missing that the broker has, or had."""
        notes = [
            f"partition {number} went back {how}: somebody made the topic anew, or its log was cut"
            for number, how in sorted(self._begun_anew.items())
        ]
        notes += [
            f"partition {number} had no messages any more, or never, at the offsets "
            f"{', '.join(gone[:GAPS_SHOWN])}: deleted before we could read them (retention), "
            "compacted, or a transaction's own"
            for number, gone in sorted(self._gone.items())
        ]
        unread = sum(max(0, end - self._next.get(one, 0)) for one, end in self._ends.items())
        if unread:
            why = "the way from the brokers to this machine may be too slow"
            if self._unreadable:
                why = f"they could not be read: {self._unreadable}"
            notes.append(
                f"{unread} messages of the topic had not reached this reader when it last "
                f"looked: what is missing may be among them, and {why}"
            )
        return notes

    def _check(self) -> None:
        super()._check()
        settings = self.settings
        silent_s = time.monotonic() - self._alive_at
        if silent_s > settings.silent_after_s:
            raise PlatformFailure(
                f"Kafka at {settings.place} has not answered the reader for {silent_s:.0f} s.",
                seen=self._trouble,
                expected=f"the messages of topic {settings.topic}, or word that there are none",
                checked=f"positions {self._next}",
                to_try="look at the brokers: are they up, and can this machine reach them all?",
            )
        since = self._missing_since
        if since is not None and time.monotonic() - since > settings.silent_after_s:
            raise self._not_alone(0, len(self._next))

    def _arrivals(self, item: list[Any], arrived_at_us: int) -> Iterable[Arrival]:
        by_broker = self.settings.arrival == "broker"
        partition = f"{self.settings.topic}[{item[0].partition}]"
        for message in item:
            if by_broker:
                if message.timestamp_type != LOG_APPEND_TIME:
                    raise self._no_broker_time()
                arrived_at_us = message.timestamp * 1000
            yield arrival(
                decode(message.value),
                arrived_at_us,
                scope=partition,
                position=f"{partition}, offset {message.offset}",
            )

    def _no_broker_time(self) -> ProbeError:
        return ProbeError(
            f"The messages of topic {self.settings.topic} have the sender's time.",
            expected="the broker's, as reader.arrival = broker says",
            to_try="leave arrival out, or set message.timestamp.type=LogAppendTime on the topic",
        )

    def versions(self) -> Mapping[str, str]:
        """The brokers'."""
        return kafka_version(self._clients)

    def remove(self) -> None:
        """Delete the topic and the group, as far as they were created here, and see them gone."""
        # A group with a member can't be deleted.
        self.close()
        self._group.remove()
        self._topic.remove()

    def close(self) -> None:
        """End the thread and let go of the brokers."""
        super().close()
        if self._consumer is not None and not self._collector.alive:
            consumer, self._consumer = self._consumer, None
            consumer.close(autocommit=False, timeout_ms=ASK_LIMIT_MS)
