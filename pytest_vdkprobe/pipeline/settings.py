"""The section [pipeline]: where the website-availability pipeline reads and writes, and how."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.kafka import KafkaConnection
from pytest_vdkprobe.connections.postgres import LONGEST_NAME, PostgresConnection
from pytest_vdkprobe.connections.sql import quoted

SCHEMA = "website_availability"
TOPIC = "website_availability"
GROUP = "website_monitoring_consumer"
"""The names of the pipeline that this one replaces, so that whoever reads its tables goes on."""
SHORTEST_INTERVAL_S = 0.1
RESERVED_ROLES = ("public", "none")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def _positive(settings: object, *names: str) -> None:
    """Raise ValueError, as a setting's own objection, for what is no positive number."""
    for name in names:
        if not 0 < getattr(settings, name) < float("inf"):
            raise ValueError(f"{name}: must be more than 0")


def _named(name: str, value: str, *, reserved: tuple[str, ...] = ()) -> None:
    """Raise ValueError, as a setting's own objection, for what PostgreSQL takes for no name."""
    length = len(value.encode("utf-8", "replace"))
    if not value.strip() or not value.isprintable() or length > LONGEST_NAME:
        raise ValueError(
            f"{name}: must be a name of 1 to {LONGEST_NAME} bytes, without control characters"
        )
    if value.startswith("pg_") or value in reserved:
        raise ValueError(f"{name}: PostgreSQL keeps {value!r} for itself; choose another")


class PipelineKafka(KafkaConnection, frozen=True, kw_only=True):
    """The brokers and the topic between producers and consumers."""

    topic: str = TOPIC
    dead_letter_topic: str = ""
    """For messages that can't be read, with the reason; empty: the topic's name and `.dead`."""
    group: str = GROUP
    partitions: int = 3
    """Of the topic, as configure-database creates it: at least one for each consumer."""
    replication: int = -1
    """Copies of each partition; -1: as many as the brokers' default."""
    session_timeout_s: float = 10.0
    """After which the brokers give a consumer's messages to another, if nothing is heard of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("topic", "dead_letter_topic"):
            value = getattr(self, name)
            if value in {".", ".."} or not _TOPIC.fullmatch(value or self.topic):
                raise ValueError(
                    f"{name}: has letters, digits, dots, dashes, underscores; 249 at most"
                )
        if not self.group.strip():
            raise ValueError("group: empty")
        _positive(self, "session_timeout_s")
        if self.partitions < 1:
            raise ValueError("partitions: must be at least 1")

    @property
    def dead_letters(self) -> str:
        """The topic for what can't be read."""
        return self.dead_letter_topic or f"{self.topic}.dead"


class PipelineDatabase(PostgresConnection, frozen=True, kw_only=True):
    """The database with the websites to check and the metrics of their checks."""

    schema: str = SCHEMA

    def __post_init__(self) -> None:
        super().__post_init__()
        _named("schema", self.schema)

    def table(self, name: str) -> str:
        """A table of the schema, as SQL has it."""
        return f"{quoted(self.schema)}.{quoted(name)}"


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The database user of producers and consumers, with just the rights that they need."""

    name: str
    password: SecretRef | None = None
    """None: the role can't log in by password, or its administrator sets one."""

    def __post_init__(self) -> None:
        _named("name", self.name, reserved=RESERVED_ROLES)


class PipelineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that the pipeline's processes need to know."""

    kafka: PipelineKafka
    database: PipelineDatabase
    role: Role | None = None
    sites_per_producer: int = 100
    """How many websites one producer checks."""
    check_every_s: float = 60.0
    """The interval of websites that have none of their own."""
    timeout_s: float = 10.0
    """For one check, from resolving the name to the last byte that is read."""
    refresh_s: float = 10.0
    """How often the list of websites is read again."""
    body_limit_bytes: int = 1024 * 1024
    """What is read of an answer at most."""
    redirects: int = 10
    """Followed at most; more is a result."""
    batch: int = 5000
    """Messages that a consumer writes at once, at most."""

    def __post_init__(self) -> None:
        _positive(self, "sites_per_producer", "timeout_s", "refresh_s", "body_limit_bytes", "batch")
        if not SHORTEST_INTERVAL_S <= self.check_every_s < float("inf"):
            raise ValueError(f"check_every_s: must be at least {SHORTEST_INTERVAL_S:g}")
        if self.redirects < 0:
            raise ValueError("redirects: must be 0 or more")

    def but(self, **changes: Any) -> PipelineSettings:
        """A copy with some settings changed."""
        return msgspec.structs.replace(self, **changes)
