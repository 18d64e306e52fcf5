"""The configured pipelines: found by name, what is wrong with them, what a run would create."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipelines.belongings import own_name
from pytest_vdkprobe.pipelines.place import RUNNING, Place, place_of
from pytest_vdkprobe.pipelines.settings import SECTION, PipelineCheck, usual_for

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration


class _Named(msgspec.Struct, frozen=True):
    """All that is needed to find one."""

    name: str


class _Interrupted(msgspec.Struct, frozen=True):
    """All that is needed to know its steps."""

    running: bool = False
    interruptions: tuple[str, ...] | None = None


def names(configuration: Configuration) -> list[str]:
    """What they are called."""
    return [one.name for one in configuration.sections(SECTION, _Named)]


def settings_of(
    configuration: Configuration, name: str, placeholders: Mapping[str, str]
) -> PipelineCheck:
    """The settings of the one called `name`. Raises ConfigError."""
    known = names(configuration)
    if name not in known:
        raise ConfigError(
            f"There is no pipeline called {name}.",
            file=configuration.name,
            key=SECTION,
            value=name,
            expected="one of " + ", ".join(known),
        )
    return _typed(configuration, known.index(name), placeholders)


def _typed(
    configuration: Configuration, index: int, placeholders: Mapping[str, str]
) -> PipelineCheck:
    key = (SECTION, str(index))
    return configuration.table(key, PipelineCheck, placeholders=placeholders)


def interruptions(configuration: Configuration, name: str) -> list[str]:
    """What is to happen to the one called `name`; known before its servers' addresses are."""
    index = names(configuration).index(name)
    table = configuration.table((SECTION, str(index)), _Interrupted)
    return list(usual_for(table.running) if table.interruptions is None else table.interruptions)


def find_problems(
    configuration: Configuration, placeholders: Mapping[str, str] | None = None
) -> list[ConfigError]:
    """The first thing wrong with each; `placeholders` are examples of what a run fills in."""
    try:
        known = names(configuration)
    except ConfigError as problem:
        return [problem]
    found = []
    for index in range(len(known)):
        try:
            place_of(configuration, _typed(configuration, index, placeholders or {}))
        except ConfigError as problem:
            # What is wrong with the other section is told of that.
            if not (problem.key or "").startswith(f"{RUNNING}."):
                found.append(problem)
    return found


def ends(configuration: Configuration, placeholders: Mapping[str, str]) -> Iterator[object]:
    """The settings of every server that a pipeline is on, for what killed runs left there."""
    for index in range(len(names(configuration))):
        place = place_of(configuration, _typed(configuration, index, placeholders), placeholders)
        yield place.kafka
        yield place.database


def plan(configuration: Configuration, *, run_id: str) -> list[str]:
    """A line for each: what a run would create."""
    lines = []
    for index, name in enumerate(names(configuration)):
        if configuration.table((SECTION, str(index)), _Interrupted).running:
            lines.append(_plan_of_running(configuration, index))
            continue
        own = own_name(name, run_id=run_id)
        what = ", ".join(interruptions(configuration, name))
        lines.append(
            f"  pipeline {name}: schema {own}, topics {own} and {own}.dead, group {own}; {what}"
        )
    return lines


def _plan_of_running(configuration: Configuration, index: int) -> str:
    settings = _typed(configuration, index, {})
    running = place_of(configuration, settings).running
    assert running is not None  # noqa: S101 - it was asked for
    return (
        f"  pipeline {settings.name}, which runs already: {settings.sites} websites in schema"
        f" {running.database.schema}, read beside group {running.kafka.group} in topic"
        f" {running.kafka.topic}; starts and stops nothing"
    )


def trials(configuration: Configuration) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each pipeline's two servers: what to call it, and what tries it."""
    for index, name in enumerate(names(configuration)):
        place = place_of(configuration, _typed(configuration, index, {}))
        yield f"{name}, kafka", partial(_try_kafka, configuration, place)
        yield f"{name}, database", partial(_try_database, configuration, place)


def _try_kafka(configuration: Configuration, place: Place) -> str:
    from pytest_vdkprobe.connections.kafka import KafkaClients  # noqa: PLC0415 - loads the driver
    from pytest_vdkprobe.pipelines.topic import Topic  # noqa: PLC0415 - as above

    clients, told = KafkaClients(place.kafka, base_dir=configuration.base_dir), ""
    with closing(clients.admin()):
        told = f"Kafka at {place.kafka.place} answers"
    if place.running is not None:
        with closing(Topic(clients, place.running.kafka.topic)) as topic:
            told += f", and {topic.name} has {topic.begin()} partitions"
    return told


def _try_database(configuration: Configuration, place: Place) -> str:
    from pytest_vdkprobe.connections.postgres import PostgresDatabase  # noqa: PLC0415 - when tried
    from pytest_vdkprobe.pipelines.tables import Tables  # noqa: PLC0415 - as above

    database = PostgresDatabase(place.database, base_dir=configuration.base_dir)
    with closing(database):
        answers = f"PostgreSQL at {place.database.place} answers"
        if place.running is not None:
            tables = Tables(database, place.running.database.schema)
            tables.require_lendable()
            return f"{answers}, and lets us lend websites to {tables.schema}"
        Tables(database, "").reach()
        return f"{answers}, and lets us create a schema"
