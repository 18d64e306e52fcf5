"""What has the name of something that a killed run left, and is somebody else's, is left alone."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection
from pytest_vdkprobe.connections.kafka_topics import remove_topic
from pytest_vdkprobe.connections.leftovers import remove_leased
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.readers.kafka import KafkaReader, KafkaReaderSettings
from pytest_vdkprobe.targets.kafka import KafkaTarget, KafkaTargetSettings
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.shared_engines import SharedEngines

RUN = "run-12345678"
SETTINGS = {"num_partitions": 1}


class Broker:
    """A topic's name that no run's id is in, and who uses it."""

    def __init__(self, endpoint: str, topic: str, leases: LeaseStore) -> None:
        self.settings = KafkaConnection(servers=(endpoint,))
        self.clients = KafkaClients(self.settings)
        self.topic = topic
        self.leases = leases

    def create(self) -> None:
        with closing(self.clients.admin()) as admin:
            admin.create_topics({self.topic: SETTINGS}, wait_for_metadata=True)

    def target(self) -> KafkaTarget:
        settings: Any = {"servers": self.settings.servers, "topic": self.topic, "create": True}
        return KafkaTarget(KafkaTargetSettings(**settings), leases=self.leases)

    def reader(self) -> KafkaReader:
        settings: Any = {"servers": self.settings.servers, "topic": self.topic}
        wanted = KafkaReaderSettings(**settings, group=f"{self.topic}-group")
        return KafkaReader(wanted, leases=self.leases)

    def topics(self) -> set[str]:
        with closing(self.clients.admin()) as admin:
            return {name for name in admin.list_topics() if name.startswith(self.topic)}

    def groups(self) -> set[str]:
        with closing(self.clients.admin()) as admin:
            found = {str(each["group_id"]) for each in admin.list_groups()}
        return {name for name in found if name.startswith(self.topic)}

    def read(self, topic: str, group: str) -> None:
        """Somebody reads a topic as this group."""
        with closing(self.clients.consumer(group_id=group, auto_offset_reset="earliest")) as one:
            one.subscribe([topic])
            wait_until(
                "the group's position",
                lambda: one.poll(timeout_ms=100) or one.assignment(),
                done=bool,
                deadline=Deadline.after(60),
            )
            for partition in one.assignment():
                one.position(partition)
            one.commit()

    def swept(self, kind: str) -> str:
        """What a sweep does about the lease of this kind, whose run is taken to be dead."""
        (lease,) = [lease for lease in self.leases.all() if lease.kind == kind]
        return remove_leased(self.settings, lease)


@pytest.fixture
def broker(engines: SharedEngines, tmp_path: Path) -> Iterator[Broker]:
    name = f"{engines.topic_prefix}{secrets.token_hex(5)}"
    broker = Broker(engines.kafka.endpoint, name, LeaseStore(tmp_path / "leases", run_id=RUN))
    yield broker
    for topic in broker.topics():
        remove_topic(broker.clients, topic)


def test_the_topic_that_a_run_made_goes(broker: Broker) -> None:
    with broker.target() as target:
        target.prepare({})
        assert broker.topics() == {broker.topic}
        assert broker.swept("topic").endswith("deleted")
        assert broker.topics() == set()
        assert broker.swept("topic").endswith("deleted")


def test_a_topic_that_took_the_name_stays(broker: Broker) -> None:
    with broker.target() as target:
        target.prepare({})
        remove_topic(broker.clients, broker.topic)
        broker.create()
        assert "namesake: not ours, left alone" in broker.swept("topic")
        target.remove()
    assert broker.topics() == {broker.topic}
    assert broker.leases.all() == []


def test_a_topic_that_was_there_when_a_run_was_killed_before_it_made_its_own_stays(
    broker: Broker,
) -> None:
    broker.leases.take("topic", broker.topic, where={"kafka": broker.settings.place})
    assert broker.swept("topic").endswith("deleted")  # there is none
    broker.create()
    assert "left alone" in broker.swept("topic")
    assert broker.topics() == {broker.topic}


def test_a_group_that_reads_something_else_stays(broker: Broker) -> None:
    other, group = f"{broker.topic}-other", f"{broker.topic}-group"
    with closing(broker.clients.admin()) as admin:
        admin.create_topics({broker.topic: SETTINGS, other: SETTINGS}, wait_for_metadata=True)
    with broker.reader() as reader:
        reader.prepare({})
    broker.read(other, group)
    assert "namesake: not ours, left alone" in broker.swept("group")
    assert broker.groups() == {group}
    reader.remove()
    assert broker.groups() == set()


def test_the_group_that_a_run_made_goes(broker: Broker) -> None:
    broker.create()
    with broker.reader() as reader:
        reader.prepare({})
    assert broker.groups() == {f"{broker.topic}-group"}
    assert broker.swept("group").endswith("deleted")
    assert broker.groups() == set()
