"""The pipeline's topics: created with the wanted partitions, or given those that they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.kafka import KafkaClients, driver
from pytest_vdkprobe.connections.kafka_topics import refused
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

    from pytest_vdkprobe.pipeline.settings import PipelineKafka

LIMIT_S = 30.0
APPENDED = {"message.timestamp.type": "LogAppendTime"}
"""A message's time is when the broker had it, so that it can be told where checks lose time."""
LONGEST_POLL_S = 0.3


def configure(settings: PipelineKafka, clients: KafkaClients) -> list[str]:
    """See that both topics are there; returns what was done, a line each.

    Partitions are added where there are fewer than wanted, never taken away. Raises what the
    brokers object to: LoginError where our user may not.
    """
    errors = driver().errors
    admin = clients.admin()
    try:
        return [
            _configure(admin, settings, settings.topic, settings.partitions),
            _configure(admin, settings, settings.dead_letters, 1),
        ]
    except errors.KafkaError as exc:
        raise refused("The topics can't be configured", exc, settings.place) from exc
    finally:
        admin.close()


def _configure(admin: KafkaAdminClient, settings: PipelineKafka, topic: str, wanted: int) -> str:
    errors = driver().errors
    found = partitions_of(admin, topic)
    if found >= wanted:
        more = "" if found == wanted else f", {wanted} wanted; partitions can't be taken away"
        return f"topic {topic}: as it must be, {found} partitions{more}"
    try:
        if found:
            admin.create_partitions({topic: wanted})
        else:
            new = {
                "num_partitions": wanted,
                "replication_factor": settings.replication,
                "configs": APPENDED,
            }
            admin.create_topics({topic: new})
    except (errors.TopicAlreadyExistsError, errors.InvalidPartitionsError):
        pass  # somebody else was quicker
    wait_until(
        f"topic {topic}",
        lambda: partitions_of(admin, topic),
        done=lambda count: count >= wanted,
        deadline=Deadline.after(LIMIT_S, "the time for a topic to be ready"),
        describe=lambda count: f"{count} partitions",
        longest_pause_s=LONGEST_POLL_S,
        checked=settings.place,
    )
    return f"topic {topic}: {'now' if found else 'created,'} {wanted} partitions"


def partitions_of(admin: KafkaAdminClient, topic: str) -> int:
    """How many it has, all with a leader; 0 when it is not there."""
    errors = driver().errors
    for described in admin.describe_topics([topic]):
        error = errors.for_code(described["error_code"])
        if error is errors.UnknownTopicOrPartitionError:
            return 0
        if error is not errors.NoError:
            raise error
        if described.get("name") == topic:
            return sum(each["leader_id"] >= 0 for each in described["partitions"])
    return 0
