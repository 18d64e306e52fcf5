"""Which version a server says that it is: the history tells when a platform was upgraded.

No verdict rests on it: a server that does not say, or not in time, is passed over.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.sql import SqlError
from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.kafka import KafkaClients
    from pytest_vdkprobe.connections.sql import Database

LIMIT_S = 5.0


def database_version(database: Database) -> dict[str, str]:
    """The server's version, by the engine's name."""
    try:
        rows = database.run(
            database.engine.version, deadline=Deadline.after(LIMIT_S, "the time to ask for it")
        )
    except (SqlError, Finding):
        return {}
    return {database.engine.name: str(rows[0][0])}


def kafka_version(clients: KafkaClients) -> dict[str, str]:
    """The version of the broker with the lowest number, as far as its protocol tells."""
    from pytest_vdkprobe.connections.kafka import driver  # noqa: PLC0415 - for who meets Kafka

    try:
        with closing(clients.admin()) as admin:
            broker = min(each["broker_id"] for each in admin.describe_cluster()["brokers"])
            told = admin.get_broker_version_data(broker).broker_version
    except (driver().errors.KafkaError, Finding):
        return {}
    return {"Kafka": ".".join(map(str, told))}
