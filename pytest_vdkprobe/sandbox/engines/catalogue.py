"""The engines by name."""

from __future__ import annotations

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.sandbox.engines.addresses import ENGINES
from pytest_vdkprobe.sandbox.engines.engine import Engine
from pytest_vdkprobe.sandbox.engines.kafka import Kafka
from pytest_vdkprobe.sandbox.engines.postgres import Postgres
from pytest_vdkprobe.sandbox.engines.trino import Trino


def engine_class(name: str) -> type[Engine]:
    """The engine of this name; ConfigError if there is none."""
    for one in (Postgres, Kafka, Trino):
        if one.name == name:
            return one
    raise ConfigError(
        f"There is no engine {name!r}.", value=name, expected=f"one of {', '.join(ENGINES)}"
    )
