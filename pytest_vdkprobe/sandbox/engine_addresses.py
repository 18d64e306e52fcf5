"""The engines' addresses as placeholders of a configuration, which start an engine when looked up.

The sandbox's routes lead to real servers, but a run that only heartbeats must not pay for them. So
their tables say `{postgres_port}`, and the first passage that needs it has PostgreSQL started.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pytest_vdkprobe.sandbox.engines.addresses import Addresses
from pytest_vdkprobe.sandbox.engines.messages import Run
from pytest_vdkprobe.sandbox.environment import Progress

PLACEHOLDERS = {
    "postgres_host": ("postgres", "host"),
    "postgres_port": ("postgres", "port"),
    "postgres_user": ("postgres", "user"),
    "kafka_servers": ("kafka", "endpoint"),
    "trino_host": ("trino", "host"),
    "trino_port": ("trino", "port"),
    "trino_user": ("trino", "user"),
}
"""Placeholder -> the engine and what of its address."""


EXAMPLES = dict.fromkeys(PLACEHOLDERS, "1")
"""A value for each, good enough to check a configuration by without starting an engine."""


class EngineAddresses(Mapping[str, str]):
    """What the placeholders stand for in one run, on any of its processes."""

    def __init__(self, run: Run, *, progress: Progress | None = None) -> None:
        self.run = run
        self._progress = progress
        self._known: dict[str, Any] = {}

    @classmethod
    def told(cls, told: object) -> EngineAddresses:
        """From what `tell` of another process of the run said."""
        return cls(msgspec.convert(told, Run))

    def tell(self) -> object:
        """Plain data, for the other processes of the run."""
        return msgspec.to_builtins(self.run)

    def __getitem__(self, name: str) -> str:
        engine, part = PLACEHOLDERS[name]
        if engine not in self._known:
            from pytest_vdkprobe.sandbox.engines.sharing import acquire  # noqa: PLC0415 - if wanted

            addresses = acquire([engine], run=self.run, progress=self._progress)
            self._known[engine] = getattr(addresses, engine)
        return str(getattr(self._known[engine], part))

    def __iter__(self) -> Iterator[str]:
        return iter(PLACEHOLDERS)

    def __len__(self) -> int:
        return len(PLACEHOLDERS)

    def __contains__(self, name: object) -> bool:
        # Mapping's own would look the value up, and so start the engine.
        return name in PLACEHOLDERS


def with_addresses(value: Any, engines: Addresses) -> Any:
    """`value` with its engines' placeholders filled in; None if one of its engines does not run.

    For a configuration that is kept while the engines stay up. Other placeholders are left alone.
    """
    if isinstance(value, dict):
        filled = {key: with_addresses(one, engines) for key, one in value.items()}
        return None if None in filled.values() else filled
    if isinstance(value, list):
        listed = [with_addresses(one, engines) for one in value]
        return None if None in listed else listed
    if isinstance(value, str):
        for name, (engine, part) in PLACEHOLDERS.items():
            if "{" + name + "}" in value:
                address = getattr(engines, engine)
                if address is None:
                    return None
                if value == "{" + name + "}":
                    # A port by itself is a number.
                    return getattr(address, part)
                value = value.replace("{" + name + "}", str(getattr(address, part)))
    return value
