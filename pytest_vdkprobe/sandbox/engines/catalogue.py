"""The engines by name, and all that can be made of them ahead."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.sandbox.engines.addresses import ENGINES
from pytest_vdkprobe.sandbox.engines.engine import Engine
from pytest_vdkprobe.sandbox.engines.java import JavaEngine
from pytest_vdkprobe.sandbox.engines.kafka import Kafka
from pytest_vdkprobe.sandbox.engines.postgres import Postgres
from pytest_vdkprobe.sandbox.engines.trino import Trino
from pytest_vdkprobe.sandbox.environment import Progress


def engine_class(name: str) -> type[Engine]:
    """The engine of this name; ConfigError if there is none."""
    for one in (Postgres, Kafka, Trino):
        if one.name == name:
            return one
    raise ConfigError(
        f"There is no engine {name!r}.", value=name, expected=f"one of {', '.join(ENGINES)}"
    )


def fetch(names: Iterable[str], *, progress: Progress | None = None) -> None:
    """Make all that these engines need to start without a network, and to start quickly.

    Raises ProbeError for what they can't do without. That an archive of classes can't be made is
    only told: without it they start later.
    """
    for name in names:
        one = engine_class(name)
        one.provide(progress)
        if issubclass(one, JavaEngine):
            try:
                one.train(progress)
            except ProbeError as error:
                if progress is not None:
                    progress(f"{name}: starts will be slower, because of this: {error}")
