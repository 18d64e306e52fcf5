"""Checks on their way into Kafka: kept until the brokers have acknowledged each, within a bound.

kafka-python blocks its caller while brokers are away, so it is called from a thread of its own. A
check may be written twice when an acknowledgement is lost; the key of its row makes one of it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.connections.kafka import KafkaClients, driver
from pytest_vdkprobe.connections.kafka_topics import refused
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipeline.message import Check, encoded, key_of
from pytest_vdkprobe.waiting import Deadline, pause

if TYPE_CHECKING:
    from kafka import KafkaProducer

    from pytest_vdkprobe.pipeline.settings import PipelineKafka

ROOM = 100_000
"""Checks that wait at most; some 30 MB."""
BLOCK_MS = 5000
RETRY_S = 0.5
TELL_EVERY = 20
"""Every how many vain tries it is said again that brokers are away."""

_log = logging.getLogger(__name__)


class Outbox:
    """`put` from the loop, from then on it is the thread's."""

    def __init__(self, settings: PipelineKafka, clients: KafkaClients) -> None:
        self._settings = settings
        self._clients = clients
        self._waiting: deque[Check] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._unacknowledged = 0
        self.written = 0
        """Checks that the brokers have acknowledged."""
        self._troubles = 0
        self._producer = self._open()
        self._thread = threading.Thread(target=self._work, name="vdkprobe-outbox", daemon=True)

    def start(self) -> None:
        """Check that the topic is there, then begin to write. Raises ConfigError, LoginError."""
        errors = driver().errors
        topic = self._settings.topic
        try:
            known = self._producer.partitions_for(topic)
        except errors.KafkaTimeoutError:
            known = None
        except errors.KafkaError as exc:
            raise refused(f"The topic {topic} can't be used", exc, self._settings.place) from exc
        if not known:
            raise ConfigError(
                f"Kafka has no topic {topic}, or doesn't show it to us.",
                key="pipeline.kafka.topic",
                value=topic,
                to_try="`vdkprobe pipeline configure-database CONFIG` creates it",
            )
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether no more can be kept: then no check is to be made."""
        return self.pending >= ROOM

    @property
    def pending(self) -> int:
        """Checks that are not acknowledged yet."""
        return len(self._waiting) + self._unacknowledged

    def put(self, check: Check) -> None:
        """Have it written."""
        with self._changed:
            self._waiting.append(check)
            self._changed.notify_all()

    def close(self, *, limit_s: float) -> int:
        """Wait until all is acknowledged, at most `limit_s`; how many checks are not."""
        deadline = Deadline.after(limit_s)
        with self._changed:
            while self.pending and not deadline.expired:
                self._changed.wait(min(0.5, deadline.remaining_s()))
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(timeout=2 + BLOCK_MS / 1000)
        _let_go(self._producer, limit_s=1)
        return self.pending

    def _open(self) -> KafkaProducer:
        return self._clients.producer(
            acks="all",
            enable_idempotence=True,
            linger_ms=20,
            batch_size=65536,
            max_block_ms=BLOCK_MS,
            delivery_timeout_ms=60_000,
        )

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                check = self._waiting.popleft()
                self._unacknowledged += 1
            try:
                sent = self._producer.send(
                    self._settings.topic, key=key_of(check.site), value=encoded(check)
                )
            except Exception as exc:  # noqa: BLE001 - whatever it is, the check must not be lost
                self._again(check, exc)
                self._renew(exc)
                continue
            sent.add_callback(self._acknowledged)
            sent.add_errback(self._failed, check)

    def _acknowledged(self, _metadata: Any) -> None:
        with self._changed:
            self._unacknowledged -= 1
            self.written += 1
            self._troubles = 0
            self._changed.notify_all()

    def _failed(self, check: Check, exc: BaseException) -> None:
        self._again(check, exc)

    def _again(self, check: Check, exc: BaseException) -> None:
        with self._changed:
            if self._troubles % TELL_EVERY == 0:
                _log.warning("a check could not be written yet, and is kept: %r", exc)
            self._troubles += 1
            self._unacknowledged -= 1
            self._waiting.append(check)
            self._changed.notify_all()

    def _renew(self, exc: BaseException) -> None:
        """After a trouble that is the client's own, take another; and never try in a tight loop."""
        pause(RETRY_S)
        if isinstance(exc, driver().errors.KafkaTimeoutError) or self._closing:
            return
        try:
            fresh = self._open()
        except Exception as again:  # noqa: BLE001 - the next try may do better
            _log.warning("no new connection to Kafka yet: %s", again)
            return
        old, self._producer = self._producer, fresh
        _let_go(old, limit_s=0)


def _let_go(producer: KafkaProducer, *, limit_s: float) -> None:
    """Close it; what it could not write in time is told by the count of what is pending."""
    with suppress(driver().errors.KafkaError):
        producer.close(timeout=limit_s)
