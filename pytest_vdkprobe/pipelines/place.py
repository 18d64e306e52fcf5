"""Where a pipeline is: its own entry says it; of one that runs already, the section [pipeline].

The section is what its producers and consumers are started with, so it says all that is needed to
address them. Read here as far as that goes: the pipeline is what is judged, and lends us no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from pytest_vdkprobe.connections.kafka import KafkaConnection
from pytest_vdkprobe.connections.postgres import PostgresConnection
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipelines.settings import SECTION

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.pipelines.settings import PipelineCheck

RUNNING = "pipeline"
"""The section with the settings of running processes."""


class RunningKafka(KafkaConnection, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What of `pipeline.kafka` is looked at."""

    topic: str = "website_availability"
    group: str = "website_monitoring_consumer"


class RunningDatabase(PostgresConnection, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What of `pipeline.database` is looked at."""

    schema: str = "website_availability"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What of `pipeline` is looked at; the defaults are its own."""

    kafka: RunningKafka
    database: RunningDatabase
    sites_per_producer: int = 100
    refresh_s: float = 10.0

    def producers_for(self, active: int) -> int:
        """How many must run, so that each active website belongs to one."""
        return -(-active // self.sites_per_producer)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The servers as the probe reaches them."""

    kafka: KafkaConnection
    database: PostgresConnection
    running: Running | None
    """None: the pipeline is started by us, and all its names are ours."""


def place_of(
    configuration: Configuration,
    settings: PipelineCheck,
    placeholders: Mapping[str, str] | None = None,
) -> Place:
    """Where the pipeline of these settings is. Raises ConfigError."""
    running = None
    if settings.running:
        if RUNNING not in configuration:
            raise ConfigError(
                f"The pipeline {settings.name} runs already, and nothing says where.",
                file=configuration.name,
                key=f"{SECTION}.{settings.name}.running",
                value=True,
                to_try=f"write the section [{RUNNING}] that its producers are started with",
            )
        running = configuration.table((RUNNING,), Running, placeholders=placeholders or {})
    kafka = settings.kafka or (running.kafka if running else None)
    database = settings.database or (running.database if running else None)
    assert kafka is not None  # noqa: S101 - the settings have seen to it
    assert database is not None  # noqa: S101 - as above
    return Place(kafka=kafka, database=database, running=running)
