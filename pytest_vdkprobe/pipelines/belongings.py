"""What a run's pipeline consists of on the platform: leased before it is made, and removed."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pytest_vdkprobe.config.entry_names import plain
from pytest_vdkprobe.connections.kafka import KafkaClients
from pytest_vdkprobe.connections.kafka_topics import OwnGroup, remove_topic

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import Lease, LeaseStore
    from pytest_vdkprobe.pipelines.tables import Tables

LONGEST = 50
"""Of what names have in common: PostgreSQL cuts them at 63 bytes."""


def own_name(name: str, *, run_id: str) -> str:
    """What schema, topic and group of one run's pipeline are called."""
    whole = f"vdkprobe_{run_id}_{plain(name)}"
    if len(whole) <= LONGEST:
        return whole
    # Two long names stay two.
    mark = hashlib.sha256(whole.encode()).hexdigest()[:6]
    return f"{whole[: LONGEST - len(mark) - 1]}_{mark}"


class Belongings:
    """A schema, two topics and a group of one name."""

    def __init__(
        self, name: str, tables: Tables, clients: KafkaClients, *, leases: LeaseStore | None
    ) -> None:
        self.name = name
        self.tables = tables
        self._clients = clients
        self._leases = leases
        self._group = OwnGroup(clients, name, topic=name, leases=leases)
        self._held: dict[str, Lease | None] = {}

    @property
    def topics(self) -> tuple[str, str]:
        """The topic between producers and consumers, and that of dead letters."""
        return self.name, f"{self.name}.dead"

    def take(self, place: str) -> None:
        """Lease all of it, and make the schema, which the pipeline's own command fills.

        Both servers are asked first: what can't be reached is nothing that could be left there.
        """
        self.tables.reach()
        self._group.claim()
        for topic in self.topics:
            self._held[f"topic {topic}"] = self._lease(
                "topic", topic, {"kafka": self._clients.connection.place}
            )
        lease = self._lease("schema", self.name, {"postgresql": place})
        self._held[f"schema {self.name}"] = lease
        self.tables.create(lease)

    def remove(self) -> list[str]:
        """Delete all of it and see it gone; returns what that was. May be called again."""
        done: list[str] = []
        held, self._held = self._held, {}
        with ExitStack() as stack:
            stack.callback(self._group.remove)
            for what, lease in held.items():
                stack.callback(self._remove, what, lease, done)
        return done

    def _remove(self, what: str, lease: Lease | None, done: list[str]) -> None:
        kind, _, name = what.partition(" ")
        if kind == "topic":
            remove_topic(self._clients, name)
        else:
            self.tables.remove(lease)
        if lease is not None:
            lease.release()
        done.append(f"{what} is gone")

    def _lease(self, kind: str, name: str, where: dict[str, str]) -> Lease | None:
        return self._leases.take(kind, name, where=where) if self._leases is not None else None
