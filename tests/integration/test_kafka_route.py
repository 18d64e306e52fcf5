"""Records into a real Kafka and out of it again, sound and with each fault planted between."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.readers.kafka import KafkaReader, KafkaReaderSettings
from pytest_vdkprobe.targets.kafka import KafkaTarget, KafkaTargetSettings
from tests.integration.route_faults import FAULTS, Fault, by_name, check, passage
from tests.integration.shared_engines import SharedEngines


class Place:
    """A broker, and a topic of this test's own."""

    def __init__(self, endpoint: str, topic: str, leases: LeaseStore) -> None:
        self.servers = (endpoint,)
        self.topic = topic
        self.leases = leases

    def target(self, **settings: object) -> KafkaTarget:
        """One partition, which keeps the order of all."""
        wanted = {"create": True, "partitions": 1, **settings}
        return KafkaTarget(
            KafkaTargetSettings(servers=self.servers, topic=self.topic, **wanted),  # type: ignore[arg-type]
            leases=self.leases,
        )

    def reader(self, **settings: object) -> KafkaReader:
        """Without a group, unless told otherwise."""
        return KafkaReader(
            KafkaReaderSettings(servers=self.servers, topic=self.topic, **settings),  # type: ignore[arg-type]
            leases=self.leases,
        )

    def topics(self) -> set[str]:
        """What topics there are."""
        admin = KafkaClients(KafkaConnection(servers=self.servers)).admin()
        try:
            return set(admin.list_topics())
        finally:
            admin.close()

    def groups(self) -> set[str]:
        """What groups there are."""
        admin = KafkaClients(KafkaConnection(servers=self.servers)).admin()
        try:
            return {str(each["group_id"]) for each in admin.list_groups()}
        finally:
            admin.close()


@pytest.fixture
def place(engines: SharedEngines, tmp_path: Path) -> Iterator[Place]:
    """A topic that must not be left behind, nor a lease."""
    leases = LeaseStore(tmp_path / "leases", run_id="run-12345678")
    topic = f"{engines.topic_prefix}{secrets.token_hex(5)}"
    place = Place(engines.kafka.endpoint, topic, leases)
    yield place
    assert topic not in place.topics()
    assert leases.all() == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_the_account_names_the_fault(fault: Fault, place: Place, tmp_path: Path) -> None:
    account = passage(place.target(), place.reader(), fault, folder=tmp_path)
    check(account, fault)


def test_a_group_reads_as_well_and_is_removed(place: Place, tmp_path: Path) -> None:
    fault = by_name("one duplicated")
    reader = place.reader(group=f"{place.topic}-readers")
    check(passage(place.target(partitions=3), reader, fault, folder=tmp_path), fault)
    assert f"{place.topic}-readers" not in place.groups()
