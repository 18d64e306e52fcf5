"""The section [[pipelines]]: a pipeline that a run starts, gives websites to, and accounts for."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_vdkprobe.connections.kafka import KafkaConnection
from pytest_vdkprobe.connections.postgres import PostgresConnection

SECTION = "pipelines"
Interruption = Literal[
    "none", "consumer-killed", "producer-twice", "broker-restarted", "database-restarted"
]
USUAL: tuple[Interruption, ...] = ("none", "consumer-killed", "producer-twice")
"""Those that need no command of the user's."""
RESTARTS = {"broker-restarted": "broker", "database-restarted": "database"}


class Restart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Commands that restart a server and return when it answers again."""

    broker: tuple[str, ...] = ()
    database: tuple[str, ...] = ()


class PipelineCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One pipeline. Its topics, schema and group are named after the run, and removed after it."""

    name: str
    kafka: KafkaConnection
    database: PostgresConnection
    """Its user must be allowed to create a schema."""
    shards: int = 3
    """Producers, each with its share of the websites."""
    consumers: int = 2
    sites: int = 8
    """Websites of the probe's own, of every kind in turn."""
    check_every_s: float = 1.0
    checks_s: float = 3.0
    """For how long checks are accounted for in each step."""
    within_s: float = 60.0
    """How long after it was due a check may take to become a row."""
    session_timeout_s: float = 6.0
    """After which the brokers give a killed consumer's messages to another."""
    interruptions: tuple[Interruption, ...] = USUAL
    """What happens while checks are accounted for; a step for each."""
    restart: Restart = Restart()
    websites_host: str = "127.0.0.1"
    """The address of this machine at which producers can reach the probe's own websites."""
    command: tuple[str, ...] = ()
    """What runs the pipeline instead of `vdkprobe pipeline`: the same commands and options."""

    def __post_init__(self) -> None:
        for name in ("shards", "consumers", "sites", "check_every_s", "checks_s", "within_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0")
        if self.sites < self.shards:
            raise ValueError("sites: must be as many as shards, or one has nothing to do")
        if not self.interruptions:
            raise ValueError('interruptions: empty; write ["none"]')
        if len(set(self.interruptions)) < len(self.interruptions):
            raise ValueError("interruptions: one stands there twice")
        for interruption in self.interruptions:
            server = RESTARTS.get(interruption)
            if server and not getattr(self.restart, server):
                raise ValueError(
                    f"restart.{server}: is needed for {interruption}; "
                    f'write restart = {{ {server} = ["COMMAND", "ARGUMENT"] }}'
                )

    @property
    def per_producer(self) -> int:
        """Websites for each producer, so that `shards` of them are needed."""
        return -(-self.sites // self.shards)
