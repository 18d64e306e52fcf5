"""The configured pipelines: found by name, what is wrong with them, what a run would create."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipelines.belongings import own_name
from pytest_vdkprobe.pipelines.settings import SECTION, USUAL, PipelineCheck
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

LIMIT_S = 30.0


class _Named(msgspec.Struct, frozen=True):
    """All that is needed to find one."""

    name: str


class _Interrupted(msgspec.Struct, frozen=True):
    """All that is needed to know its steps."""

    interruptions: tuple[str, ...] = USUAL


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
    return list(table.interruptions)


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
            _typed(configuration, index, placeholders or {})
        except ConfigError as problem:
            found.append(problem)
    return found


def ends(configuration: Configuration, placeholders: Mapping[str, str]) -> Iterator[object]:
    """The settings of every server that a pipeline is on, for what killed runs left there."""
    for index in range(len(names(configuration))):
        settings = _typed(configuration, index, placeholders)
        yield settings.kafka
        yield settings.database


def plan(configuration: Configuration, *, run_id: str) -> list[str]:
    """A line for each: what a run would create."""
    lines = []
    for name in names(configuration):
        own = own_name(name, run_id=run_id)
        what = ", ".join(interruptions(configuration, name))
        lines.append(
            f"  pipeline {name}: schema {own}, topics {own} and {own}.dead, group {own}; {what}"
        )
    return lines


def trials(configuration: Configuration) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each pipeline's two servers: what to call it, and what tries it."""
    for index, name in enumerate(names(configuration)):
        settings = _typed(configuration, index, {})
        yield f"{name}, kafka", partial(_try_kafka, configuration, settings)
        yield f"{name}, database", partial(_try_database, configuration, settings)


def _try_kafka(configuration: Configuration, settings: PipelineCheck) -> str:
    from pytest_vdkprobe.connections.kafka import KafkaClients  # noqa: PLC0415 - loads the driver

    with closing(KafkaClients(settings.kafka, base_dir=configuration.base_dir).admin()):
        return f"Kafka at {settings.kafka.place} answers"


def _try_database(configuration: Configuration, settings: PipelineCheck) -> str:
    from pytest_vdkprobe.connections.postgres import PostgresDatabase  # noqa: PLC0415 - when tried
    from pytest_vdkprobe.connections.sql import SqlError  # noqa: PLC0415 - as above
    from pytest_vdkprobe.connections.tables import finding  # noqa: PLC0415 - as above

    database = PostgresDatabase(settings.database, base_dir=configuration.base_dir)
    with closing(database):
        try:
            rows = database.run(
                "select has_database_privilege(current_database(), 'create')",
                deadline=Deadline.after(LIMIT_S, "the time for an answer"),
            )
        except SqlError as exc:
            raise finding("It can't be asked anything", exc, database, key="database") from exc
    if not cast("bool", rows[0][0]):
        raise ConfigError(
            f"The user {settings.database.user} may not create a schema in {database.place}.",
            key=f"{SECTION}.database.user",
            to_try=f"grant create on database {settings.database.database}",
        )
    return f"PostgreSQL at {settings.database.place} answers, and lets us create a schema"
