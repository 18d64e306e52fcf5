"""Kafka's settings, and what a failed delivery says, without a broker."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.accounting.outcomes import Outcome
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.kafka import (
    KafkaConnection,
    KafkaLogin,
    KafkaTls,
    driver,
    host_and_port,
)
from pytest_vdkprobe.readers.kafka import KafkaReaderSettings
from pytest_vdkprobe.targets.kafka import KafkaTargetSettings, outcome_of

HERE = SecretRef(env="HERE")


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("kafka.local:9093", ("kafka.local", 9093)),
        ("kafka.local", ("kafka.local", 9092)),
        ("[::1]:9092", ("::1", 9092)),
    ],
)
def test_a_server_is_host_and_port(server: str, expected: tuple[str, int]) -> None:
    assert host_and_port(server) == expected


@pytest.mark.parametrize("server", ["", ":9092", "http://kafka:9092", "kafka:port", "kafka:70000"])
def test_what_is_none_is_refused(server: str) -> None:
    with pytest.raises(ValueError, match=r"servers: .* is no HOST:PORT"):
        KafkaConnection(servers=(server,))


@pytest.mark.parametrize(
    ("tls", "login", "protocol"),
    [
        (None, None, "PLAINTEXT"),
        (KafkaTls(), None, "SSL"),
        (None, KafkaLogin(user="u", password=HERE), "SASL_PLAINTEXT"),
        (KafkaTls(), KafkaLogin(user="u", password=HERE), "SASL_SSL"),
    ],
    ids=["plain", "tls", "login", "both"],
)
def test_the_protocol_follows_from_tls_and_login(
    tls: KafkaTls | None, login: KafkaLogin | None, protocol: str
) -> None:
    assert KafkaConnection(servers=("k",), tls=tls, login=login).protocol == protocol


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"topic": "a topic"}, "topic: has 1 to 249"),
        ({"partitions": 0}, "partitions: must be"),
        ({"servers": []}, "servers: empty"),
        ({"idempotence": True, "acks": "leader"}, 'idempotence: needs acks = "all"'),
        ({"linger_ms": -1}, "linger_ms:"),
        ({"batch": 0}, "batch:"),
        ({"connect_timeout_s": 0}, "connect_timeout_s:"),
        ({"tls": {"ca": {"env": "A"}, "ca_file": "b"}}, "ca: is given beside ca_file"),
        ({"tls": {"key_file": "b"}}, "key: has no effect without a certificate"),
        ({"partition": 3}, "unknown field `partition`"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_unusable_settings_are_named(table: dict[str, Any], said: str) -> None:
    whole = {"kind": "kafka", "servers": ["kafka:9092"], "topic": "events", **table}
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(whole, KafkaTargetSettings)


def test_target_and_reader_are_of_one_kind() -> None:
    table = {"kind": "kafka", "servers": ["kafka:9092"], "topic": "events"}
    assert msgspec.convert(table, KafkaTargetSettings).topic == "events"
    assert msgspec.convert(table, KafkaReaderSettings).group is None


@pytest.mark.parametrize(
    ("name", "repeated", "outcome"),
    [
        ("MessageSizeTooLargeError", False, Outcome.REFUSED),
        ("TopicAuthorizationFailedError", False, Outcome.REFUSED),
        ("UnknownTopicOrPartitionError", False, Outcome.REFUSED),
        ("NotEnoughReplicasError", False, Outcome.REFUSED),
        # An earlier try may have been written.
        ("NotEnoughReplicasError", True, Outcome.UNKNOWN),
        ("MessageSizeTooLargeError", True, Outcome.REFUSED),
        ("NotEnoughReplicasAfterAppendError", False, Outcome.UNKNOWN),
        ("NotLeaderForPartitionError", False, Outcome.UNKNOWN),
        ("RequestTimedOutError", False, Outcome.UNKNOWN),
        ("KafkaTimeoutError", False, Outcome.UNKNOWN),
        ("KafkaConnectionError", False, Outcome.UNKNOWN),
        ("KafkaStorageError", False, Outcome.UNKNOWN),
        ("UnknownError", False, Outcome.UNKNOWN),
    ],
)
def test_only_what_was_surely_not_written_is_refused(
    name: str, repeated: bool, outcome: Outcome
) -> None:
    result = outcome_of(getattr(driver().errors, name)(), repeated=repeated)
    assert result.outcome is outcome
    assert result.reason
