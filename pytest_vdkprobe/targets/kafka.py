"""Kafka as a target: each record is one message, and the delivery report decides its outcome.

By default a batch goes over the wire once. A Kafka client usually repeats what failed, and with
idempotence the broker drops what it had already: then nothing is written twice, but what was lost
and saved by a repeat is not seen either. So repeats are off, unless `idempotence = true` says that
the client's usual behaviour is what is to be measured. Either way a `seq` is handed over once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import msgspec

from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.config.placeholders import remedy, unknown
from pytest_vdkprobe.connections.kafka import KafkaClients, driver
from pytest_vdkprobe.connections.kafka_topics import LARGEST_BYTES, OwnTopic, TopicSettings
from pytest_vdkprobe.connections.versions import kafka_version
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.records import wire_json

if TYPE_CHECKING:
    from kafka import KafkaProducer

    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.records import ColumnType, Record
    from pytest_vdkprobe.waiting import Deadline

BATCH = 500
CLOSE_S = 2.0

_FIELD = re.compile(r"\{(\w+)\}")


class KafkaTargetSettings(TopicSettings, frozen=True, kw_only=True, tag_field="kind", tag="kafka"):
    """A topic to send to."""

    filled_later: ClassVar[tuple[str, ...]] = ("key",)
    """Its braces are filled from each record."""
    key: str | None = None
    """The message's key: text with {seq}, {run_id} or {COLUMN} in it. Records with the same key
    keep their order; without a key they are spread over the partitions."""
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    acks: Literal["all", "leader", "none"] = "all"
    """Who must have a record before it counts as acknowledged. After `none` nothing is known."""
    idempotence: bool = False
    """Let the client repeat what failed, and the brokers drop what they had already."""
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = None
    linger_ms: int = 5
    """How long a record waits for company."""
    batch_bytes: int = 65536
    batch: int = BATCH
    """Records handed over before their delivery reports are waited for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.idempotence and self.acks != "all":
            raise ValueError('idempotence: needs acks = "all", which is the default')
        for name in ("batch", "batch_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        if self.linger_ms < 0:
            raise ValueError("linger_ms: must be 0 or more")

    def check_columns(
        self, columns: Collection[str], *, file: str | None = None, key: str = "target"
    ) -> None:
        """Raise ConfigError unless records with these columns can be sent."""
        known = sorted({"seq", "run_id", *columns})
        for found in unknown(self.key, dict.fromkeys(known, ""), ()):
            raise ConfigError(
                f"No record has a {found.name} for the key of its message.",
                file=file,
                key=f"{key}.key",
                value=self.key,
                expected="names in braces out of: " + ", ".join(known),
                to_try=remedy(found.name, known),
            )


class KafkaTarget:
    """Sends records to a topic."""

    losses: Mapping[str, str] = {}

    def __init__(
        self,
        settings: KafkaTargetSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        self.settings = settings
        self.batch = settings.batch
        self._clients = KafkaClients(settings, base_dir=base_dir, key="target")
        self._topic = OwnTopic(self._clients, settings, leases=leases, key="target")
        self._producer: KafkaProducer | None = None
        self._headers = [(name, value.encode()) for name, value in settings.headers.items()]
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Find or create the topic, and connect."""
        self.settings.check_columns(columns)
        self._topic.ensure()
        if self._producer is None:
            self._producer = self._clients.producer(**self._producer_settings())

    def _producer_settings(self) -> dict[str, Any]:
        settings = self.settings
        wanted = {
            "acks": {"all": "all", "leader": 1, "none": 0}[settings.acks],
            "enable_idempotence": settings.idempotence,
            "compression_type": settings.compression,
            "linger_ms": settings.linger_ms,
            "batch_size": settings.batch_bytes,
            "max_request_size": LARGEST_BYTES,
            "max_block_ms": int(settings.connect_timeout_s * 1000),
            "delivery_timeout_ms": settings.linger_ms + int(settings.request_timeout_s * 1000),
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
        }
        if not settings.idempotence:
            wanted["retries"] = 0
        return wanted

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        """Hand all over, then wait for their delivery reports until `deadline`."""
        errors = driver().errors
        producer = self._producer
        if producer is None:
            raise RuntimeError("send() comes after prepare()")
        results: list[SendResult | None] = []
        reports: list[Any] = []
        stuck: SendResult | None = None
        for record in records:
            report = None
            result = stuck or (EXPIRED if deadline.expired else None)
            if result is None:
                try:
                    report = producer.send(
                        self.settings.topic,
                        value=self._encode(wire_json(record)),
                        key=self._key(record),
                        headers=self._headers,
                    )
                except errors.KafkaTimeoutError as exc:
                    # It never left us; nor would the next ones, each after as long a wait.
                    result = stuck = SendResult(Outcome.REFUSED, f"not sent: {exc}")
                except errors.KafkaError as exc:
                    result = SendResult(Outcome.REFUSED, f"not sent: {exc}")
            results.append(result)
            reports.append(report)
        # Each report tells for itself whether it has come.
        with suppress(errors.KafkaError):
            producer.flush(timeout=deadline.remaining_s())
        for report in reports:
            # A flush gives up on a batch that the broker found too large: it goes in parts.
            if report is not None and not report.is_done:
                with suppress(errors.KafkaError):
                    report.get(timeout=deadline.remaining_s())
        return [
            result or self._outcome(report) for result, report in zip(results, reports, strict=True)
        ]

    def _outcome(self, report: Any) -> SendResult:
        if not report.is_done:
            return SILENT
        if report.succeeded():
            return ACKNOWLEDGED if self.settings.acks != "none" else UNCONFIRMED
        return outcome_of(report.exception, repeated=self.settings.idempotence)

    def _key(self, record: Record) -> bytes | None:
        if self.settings.key is None:
            return None
        values = {**record.payload, "seq": record.seq, "run_id": record.run_id}
        return _FIELD.sub(lambda found: str(values[found[1]]), self.settings.key).encode()

    def versions(self) -> Mapping[str, str]:
        """The brokers'."""
        return kafka_version(self._clients)

    def remove(self) -> None:
        """Delete the topic if it was created here, and see it gone."""
        self._topic.remove()

    def close(self) -> None:
        """Let go of the brokers; what is still under way then is not waited for."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.close(timeout=CLOSE_S)


ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)
EXPIRED = SendResult(Outcome.REFUSED, "not sent: the time to send was up")
SILENT = SendResult(Outcome.UNKNOWN, "no delivery report in time")
UNCONFIRMED = SendResult(Outcome.UNKNOWN, "sent without asking for a confirmation (acks = none)")


def outcome_of(exc: Exception, *, repeated: bool) -> SendResult:
    """What a failed delivery says of a record's fate.

    Refused is only what a broker says no to before it writes (protocol guide, "Error codes"). It is
    unknown after a time-out or a cut line, after errors that also come when the leader has written
    and lost its office (NotLeader, NotEnoughReplicasAfterAppend, its own disk), and after errors
    worth a repeat where the client made one (`repeated`): an earlier try may have been written.
    """
    errors = driver().errors
    said = str(exc) or type(exc).__name__
    before_writing = (
        errors.AuthorizationError,
        errors.CorruptRecordError,
        errors.InvalidRecordError,
        errors.InvalidRequiredAcksError,
        errors.InvalidTimestampError,
        errors.InvalidTopicError,
        errors.MessageSizeTooLargeError,
        errors.NotEnoughReplicasError,
        errors.PolicyViolationError,
        errors.RecordListTooLargeError,
        errors.UnknownTopicOrPartitionError,
        errors.UnsupportedCompressionTypeError,
        errors.UnsupportedForMessageFormatError,
    )
    if isinstance(exc, before_writing) and not (
        repeated and isinstance(exc, errors.RetriableError)
    ):
        return SendResult(Outcome.REFUSED, said, login=isinstance(exc, errors.AuthorizationError))
    return SendResult(Outcome.UNKNOWN, said)
