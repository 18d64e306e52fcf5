"""The real engines of one test session, started when a test first asks, shared by all workers."""

from __future__ import annotations

from functools import cached_property

from pytest_vdkprobe.sandbox.engines.addresses import Address, Addresses
from pytest_vdkprobe.sandbox.engines.messages import Run
from pytest_vdkprobe.sandbox.engines.shares import share
from pytest_vdkprobe.sandbox.engines.sharing import acquire


class SharedEngines:
    """`engines.postgres`, `engines.kafka`, `engines.trino`: an address each, ready when read."""

    def __init__(self, run: Run, worker: str) -> None:
        self.run = run
        self._worker = worker

    @cached_property
    def postgres(self) -> Address:
        """PostgreSQL; `database` is this worker's own."""
        return self._one("postgres")

    @cached_property
    def kafka(self) -> Address:
        """Kafka; topics and groups of this worker start with `topic_prefix`."""
        return self._one("kafka")

    @cached_property
    def trino(self) -> Address:
        """Trino; `memory.<schema>` is this worker's own."""
        return self._one("trino")

    @cached_property
    def database(self) -> str:
        """This worker's own database in PostgreSQL."""
        return share(Addresses(postgres=self.postgres), worker=self._worker).database

    @cached_property
    def schema(self) -> str:
        """This worker's own schema in Trino's catalog `memory`."""
        return share(Addresses(trino=self.trino), worker=self._worker).schema

    @cached_property
    def topic_prefix(self) -> str:
        """What the names of this worker's topics and groups start with."""
        return share(Addresses(), worker=self._worker).topic_prefix

    def _one(self, name: str) -> Address:
        address: Address | None = getattr(acquire([name], run=self.run), name)
        assert address is not None
        return address
