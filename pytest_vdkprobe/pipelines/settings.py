"""The section [[pipelines]]: a pipeline that is given websites and accounted for.

A run starts it, and removes it afterwards; or it runs already, and is lent the websites only.
"""

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
HANDS_OFF: tuple[Interruption, ...] = ("none",)
OF_THE_STARTED = ("shards", "consumers", "session_timeout_s", "restart", "command")
"""Settings for processes that a run starts."""


class Restart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Commands that restart a server and return when it answers again."""

    broker: tuple[str, ...] = ()
    database: tuple[str, ...] = ()


class PipelineCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One pipeline. Its topics, schema and group are named after the run, and removed after it.

    Those of one that runs already are what [pipeline] says, and stay.
    """

    name: str
    running: bool = False
    """Whether its processes run already: then nothing is started, stopped or killed."""
    kafka: KafkaConnection | None = None
    """None: those of [pipeline], for one that runs already."""
    database: PostgresConnection | None = None
    """Its user must be allowed to create a schema; of one that runs already, to add websites and to
    remove them and their rows. None: as for `kafka`."""
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
    interruptions: tuple[Interruption, ...] | None = None
    """What happens while checks are accounted for, a step for each. None: the usual ones, and to
    one that runs already nothing."""
    restart: Restart = Restart()
    websites_host: str = "127.0.0.1"
    """The address of this machine at which producers can reach the probe's own websites."""
    websites_port: int = 0
    """The port; 0: any that is free."""
    command: tuple[str, ...] = ()
    """What runs the pipeline instead of `vdkprobe pipeline`: the same commands and options."""

    def __post_init__(self) -> None:
        for name in ("shards", "consumers", "sites", "check_every_s", "checks_s", "within_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0")
        if not 0 <= self.websites_port < 65536:
            raise ValueError("websites_port: must be 0 to 65535")
        if self.interruptions == ():
            raise ValueError('interruptions: empty; write ["none"]')
        planned = self.planned
        if len(set(planned)) < len(planned):
            raise ValueError("interruptions: one stands there twice")
        if self.running:
            self._require_hands_off()
        else:
            self._require_startable()

    def _require_hands_off(self) -> None:
        """Raise ValueError for what would start, stop or kill something."""
        usual = {field.name: field.default for field in msgspec.structs.fields(type(self))}
        if self.planned != HANDS_OFF:
            raise ValueError(
                "interruptions: nothing is started or killed of a pipeline that runs already; "
                "leave interruptions out, or running = true"
            )
        for name in OF_THE_STARTED:
            if getattr(self, name) != usual[name]:
                raise ValueError(f"{name}: has no effect on a pipeline that runs already")

    def _require_startable(self) -> None:
        """Raise ValueError for what is missing to start it."""
        for name in ("kafka", "database"):
            if getattr(self, name) is None:
                raise ValueError(
                    f"{name}: is missing; one that runs already (running = true) has [pipeline]'s"
                )
        if self.sites < self.shards:
            raise ValueError("sites: must be as many as shards, or one has nothing to do")
        for interruption in self.planned:
            server = RESTARTS.get(interruption)
            if server and not getattr(self.restart, server):
                raise ValueError(
                    f"restart.{server}: is needed for {interruption}; "
                    f'write restart = {{ {server} = ["COMMAND", "ARGUMENT"] }}'
                )

    @property
    def planned(self) -> tuple[Interruption, ...]:
        """What happens, in turn."""
        return usual_for(self.running) if self.interruptions is None else self.interruptions

    @property
    def per_producer(self) -> int:
        """Websites for each producer, so that `shards` of them are needed."""
        return -(-self.sites // self.shards)


def usual_for(running: bool) -> tuple[Interruption, ...]:
    """What happens where nothing is said of it."""
    return HANDS_OFF if running else USUAL
