"""What `vdkprobe check --connect` tries of [pipeline]: that both servers answer and let us in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.kafka import KafkaClients
from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.pipeline import sites, topics
from pytest_vdkprobe.pipeline.settings import PipelineSettings

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration


def trials(configuration: Configuration) -> Iterator[tuple[str, Callable[[], str]]]:
    """The two servers: what to call each, and what tries it. Nothing is created."""
    settings = configuration.section("pipeline", PipelineSettings)
    yield "pipeline, kafka", partial(_try_kafka, configuration, settings)
    yield "pipeline, database", partial(_try_database, configuration, settings)


def _try_kafka(configuration: Configuration, settings: PipelineSettings) -> str:
    kafka = settings.kafka
    clients = KafkaClients(kafka, base_dir=configuration.base_dir, key="pipeline.kafka")
    with closing(clients.admin()) as admin:
        partitions = topics.partitions_of(admin, kafka.topic)
    there = f"has the topic {kafka.topic}" if partitions else f"has no topic {kafka.topic} yet"
    return f"Kafka at {kafka.place} answers, and {there}"


def _try_database(configuration: Configuration, settings: PipelineSettings) -> str:
    database = PostgresDatabase(
        settings.database, base_dir=configuration.base_dir, key="pipeline.database"
    )
    with closing(database):
        active = sites.count_active(settings.database, database)
    return f"PostgreSQL at {settings.database.place} has {active} active websites"
