"""The consumer: reads checks from Kafka, writes them to PostgreSQL, each once.

The order makes it so: rows are committed first, offsets after. Whatever dies between the two leads
to a second delivery, and the rows' key makes nothing of that. While the database is away it stays a
member of its group, fetches nothing more, and keeps what it has.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.connections.kafka import KafkaClients, driver
from pytest_vdkprobe.connections.kafka_topics import refused
from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.connections.sql import SqlError
from pytest_vdkprobe.errors import ConfigError, ProbeError, TransportError
from pytest_vdkprobe.pipeline.dead_letters import DeadLetters
from pytest_vdkprobe.pipeline.entry import let_in
from pytest_vdkprobe.pipeline.message import Check, MalformedError, decoded
from pytest_vdkprobe.pipeline.rows import Rows
from pytest_vdkprobe.pipeline.sites import finding
from pytest_vdkprobe.waiting import Deadline, pause

if TYPE_CHECKING:
    from kafka import KafkaConsumer

    from pytest_vdkprobe.pipeline.settings import PipelineSettings
    from pytest_vdkprobe.pipeline.stopping import Stop

POLL_MS = 200
WRITE_LIMIT_S = 30.0
RETRY_S = 0.5
COMMIT_LIMIT_MS = 3000
CLOSE_LIMIT_MS = 5000
METADATA_MS = 5000
"""How soon a topic that was made anew is noticed, at the latest."""
LAST_TRY_S = 10.0
"""How long an end in order waits for a database that is away."""
TELL_EVERY = 60
START_LIMIT_S = 120.0
"""A group shares out again when each member has come, be it from a write that takes its time, or
is found dead; who has no partition by then is one too many."""

REFUSED = ("22", "23503", "23514")
"""PostgreSQL's codes (appendix A) for a row that it will never take: a value that its encoding or
its types lack, one that a key or check of the table's owner forbids."""

_Read = tuple[Check, Any]
"""A check, and the message that it came in."""

_log = logging.getLogger(__name__)


class ConsumerAccount(msgspec.Struct, kw_only=True):
    """What a consumer did, as it tells it at its end."""

    messages: int = 0
    rows: int = 0
    """New ones."""
    known: int = 0
    """Checks whose row was there already: delivered again."""
    dead: int = 0
    """Messages that were no checks, or such as PostgreSQL refuses."""


class _Batch:
    """Messages to be kept: checks as rows, and what can be none, with the reason."""

    def __init__(self) -> None:
        self.checks: list[_Read] = []
        self.dead: list[tuple[Any, str]] = []

    def __len__(self) -> int:
        return len(self.checks) + len(self.dead)

    def add(self, records: list[Any]) -> None:
        """Sort more messages in."""
        for record in records:
            try:
                self.checks.append((decoded(record.value), record))
            except MalformedError as exc:
                self.dead.append((record, str(exc)))

    @property
    def waits_for(self) -> str:
        """Which server has not kept its part yet."""
        return "The database" if self.checks else "The dead-letter topic"


class Consumer:
    """One member of the group; `run` once."""

    def __init__(self, settings: PipelineSettings, *, base_dir: Path) -> None:
        self.account = ConsumerAccount()
        self._settings = settings
        self._clients = KafkaClients(settings.kafka, base_dir=base_dir, key="pipeline.kafka")
        self._database = PostgresDatabase(
            settings.database, base_dir=base_dir, key="pipeline.database"
        )
        self._rows = Rows(settings.database.schema)
        self._dead_letters = DeadLetters(settings.kafka, self._clients)
        self._topic_id: object = None
        self._held: dict[Any, list[Any]] = {}
        """Messages that are not committed yet, by partition."""

    def run(self, stop: Stop, *, once: bool = False) -> ConsumerAccount:
        """Consume until `stop`, or until all is written that was there when it began."""
        kafka = self._settings.kafka
        consumer = self._clients.consumer(
            group_id=kafka.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(kafka.session_timeout_s * 1000),
            heartbeat_interval_ms=int(kafka.session_timeout_s * 1000 / 4),
            max_partition_fetch_bytes=4 * 1024 * 1024,
            metadata_max_age_ms=METADATA_MS,
        )
        try:
            self._require_topic(consumer)
            if let_in(lambda: self._write([]), stop):
                consumer.subscribe([kafka.topic])
                _log.info("consumer of %s in group %s is ready", kafka.topic, kafka.group)
                self._consume(consumer, stop, once=once)
        finally:
            self._dead_letters.close()
            with suppress(driver().errors.KafkaError):
                consumer.close(autocommit=False, timeout_ms=CLOSE_LIMIT_MS)
            self._database.close()
        return self.account

    def _require_topic(self, consumer: KafkaConsumer) -> None:
        topic = self._settings.kafka.topic
        try:
            known = consumer.partitions_for_topic(topic)
        except driver().errors.KafkaError as exc:
            place = self._settings.kafka.place
            raise refused(f"The topic {topic} can't be used", exc, place) from exc
        if not known:
            raise ConfigError(
                f"Kafka has no topic {topic}, or doesn't show it to us.",
                key="pipeline.kafka.topic",
                value=topic,
                to_try="`vdkprobe pipeline configure-database CONFIG` creates it",
            )

    def _consume(self, consumer: KafkaConsumer, stop: Stop, *, once: bool) -> None:
        ends: dict[Any, int] | None = None
        idle = Deadline.after(START_LIMIT_S + self._settings.kafka.session_timeout_s)
        while not stop.wanted:
            self._fetch(consumer)
            anew = self._begin_anew_with_the_topic(consumer)
            if self._held:
                self._settle(consumer, stop, commit=not anew)
            assigned = consumer.assignment()
            if once and assigned:
                ends = ends if ends and assigned <= ends.keys() else self._ends(consumer, assigned)
                if ends and all(self._reached(consumer, one, ends[one]) for one in assigned):
                    return
            if once and not assigned and idle.expired:
                _log.info("all partitions are other consumers': there is nothing to do")
                return

    def _begin_anew_with_the_topic(self, consumer: KafkaConsumer) -> bool:
        """Where the topic was deleted and made again, how far we were in the old one says nothing:
        go to the beginning, and tell that offsets of what is held are not to be committed.

        What comes twice by that changes nothing. (kafka-python keeps the id to itself.)
        """
        found = consumer._cluster.topic_id(self._settings.kafka.topic)
        if found is None or found == self._topic_id:
            return False
        known, self._topic_id = self._topic_id, found
        if known is None:
            return False
        _log.warning("the topic was made anew, and is read from its beginning")
        if assigned := consumer.assignment():
            consumer.seek_to_beginning(*assigned)
        return True

    def _ends(self, consumer: KafkaConsumer, assigned: set[Any]) -> dict[Any, int] | None:
        """Where the partitions end now; None while the brokers do not say."""
        try:
            return dict(consumer.end_offsets(list(assigned), timeout_ms=COMMIT_LIMIT_MS))
        except driver().errors.KafkaError as exc:
            _log.warning("the brokers do not say what there is, and are asked again: %r", exc)
            return None

    def _reached(self, consumer: KafkaConsumer, partition: Any, end: int) -> bool:
        try:
            position = consumer.position(partition, timeout_ms=COMMIT_LIMIT_MS)
        except driver().errors.KafkaError:
            return False
        return position is not None and position >= end

    def _fetch(self, consumer: KafkaConsumer) -> None:
        try:
            found = consumer.poll(timeout_ms=POLL_MS, max_records=self._settings.batch)
        except driver().errors.AuthorizationError as exc:
            place = self._settings.kafka.place
            raise refused("Nothing can be consumed", exc, place) from exc
        except driver().errors.KafkaError as exc:
            _log.warning("nothing could be fetched, and it is tried again: %r", exc)
            pause(RETRY_S)
            return
        for partition, records in found.items():
            self._held.setdefault(partition, []).extend(records)

    def _settle(self, consumer: KafkaConsumer, stop: Stop, *, commit: bool) -> None:
        """See what is held kept, and then committed; or leave it to whoever comes after."""
        batch = _Batch()
        for records in self._held.values():
            batch.add(records)
        if not self._keep_in_the_end(consumer, batch, stop):
            left = sum(map(len, self._held.values()))
            raise ProbeError(
                f"{batch.waits_for} is away: {left} messages are left to the next consumer.",
                checked=f"{self._settings.database.place}, {self._settings.kafka.place}",
                to_try="nothing is lost: they are not committed, and will be delivered again",
            )
        self.account.messages += sum(map(len, self._held.values()))
        if commit:
            self._commit(consumer)
        self._held.clear()

    def _keep_in_the_end(self, consumer: KafkaConsumer, batch: _Batch, stop: Stop) -> bool:
        """Keep it, however often it takes; False when the end is wanted and a server away."""
        tries = 0
        last: Deadline | None = None
        while True:
            try:
                self._keep(batch, last)
            except TransportError as exc:
                if tries % TELL_EVERY == 0:
                    what = batch.waits_for.lower()
                    _log.warning("%s is away, %d messages wait: %s", what, len(batch), exc)
                tries += 1
            else:
                if tries:
                    _log.info("what was away is back")
                    consumer.resume(*consumer.paused())
                return True
            if stop.wanted:
                last = last or Deadline.after(LAST_TRY_S)
                if last.expired:
                    return False
            self._stay(consumer, batch)
            stop.wait(RETRY_S)

    def _keep(self, batch: _Batch, last: Deadline | None = None) -> None:
        """Checks as rows, the rest as dead letters; what is kept leaves the batch."""
        if batch.checks:
            batch.dead += self._write(batch.checks, last)
            batch.checks.clear()
        if batch.dead:
            self._dead_letters.bury(batch.dead)
            self.account.dead += len(batch.dead)
            batch.dead.clear()

    def _stay(self, consumer: KafkaConsumer, batch: _Batch) -> None:
        """Remain a member of the group without being given more."""
        consumer.pause(*consumer.assignment())
        before = {one: len(records) for one, records in self._held.items()}
        self._fetch(consumer)
        # Partitions that came with a rebalance were not paused yet.
        for partition, records in self._held.items():
            batch.add(records[before.get(partition, 0) :])

    def _write(self, checks: list[_Read], last: Deadline | None = None) -> list[tuple[Any, str]]:
        """Commit them to the database, by `last`; without any, see that it could be done.

        Returns the messages that it would never take, with its reason. Raises TransportError for
        what may pass, another ProbeError for what does not.
        """
        limit_s = WRITE_LIMIT_S if last is None else min(WRITE_LIMIT_S, last.remaining_s())
        deadline = Deadline.after(limit_s, "time to write a batch")
        batch = [check for check, _ in checks]
        try:
            new = self._database.do(
                lambda connection: self._rows.write(connection, batch), deadline=deadline
            )
        except SqlError as exc:
            if not checks or not exc.code.startswith(REFUSED):
                raise finding(self._settings.database, exc) from exc
            if len(checks) == 1:
                return [(checks[0][1], f"PostgreSQL refuses it: {exc}")]
            # One of them spoils it for all: the halves tell which.
            half = len(checks) // 2
            return self._write(checks[:half], last) + self._write(checks[half:], last)
        self.account.rows += new
        self.account.known += len(checks) - new
        return []

    def _commit(self, consumer: KafkaConsumer) -> None:
        """Let the group know; what fails here is delivered again, and changes nothing."""
        kafka = driver()
        assigned = consumer.assignment()
        offsets = {
            partition: kafka.structs.OffsetAndMetadata(records[-1].offset + 1, "", -1)
            for partition, records in self._held.items()
            if partition in assigned and records
        }
        self._held.clear()
        try:
            if offsets:
                # Without a limit it would go on for ever while the group takes in a new member,
                # and that waits for us.
                consumer.commit(offsets, timeout_ms=COMMIT_LIMIT_MS)
        except kafka.errors.KafkaError as exc:
            _log.warning("offsets could not be committed, the checks will come again: %r", exc)
