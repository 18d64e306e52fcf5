"""TLS and SASL against a real broker: every way in, and what is said where there is none."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection, KafkaLogin, KafkaTls
from pytest_vdkprobe.errors import LoginError, TransportError
from pytest_vdkprobe.readers.kafka import KafkaReader, KafkaReaderSettings
from pytest_vdkprobe.targets.kafka import KafkaTarget, KafkaTargetSettings
from tests.integration.route_faults import by_name, check, passage
from tests.integration.secure_kafka import (
    PASSWORD,
    SCRAM_USER,
    USER,
    SecureKafka,
    unsigned_token,
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A broker with four doors."""
    with SecureKafka(tmp_path_factory.mktemp("secure")) as kafka:
        kafka.add_scram_user()
        yield kafka


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> SecretRef:
    """Where the right password stands."""
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    return SecretRef(env="KAFKA_PASSWORD")


def mutual(broker: SecureKafka) -> KafkaTls:
    """Certificates from both sides, out of files."""
    return KafkaTls(
        ca_file=str(broker.ca_file),
        certificate_file=str(broker.certificate_file),
        key_file=str(broker.key_file),
    )


def test_a_token_lets_us_in_and_an_expired_one_does_not(
    broker: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = KafkaLogin(mechanism="OAUTHBEARER", token=SecretRef(env="KAFKA_TOKEN"))
    connection = KafkaConnection(servers=(broker.login,), login=login)
    monkeypatch.setenv("KAFKA_TOKEN", unsigned_token(expires_in_s=600))
    assert isinstance(topics(connection), list)
    expired = unsigned_token(expires_in_s=-30)
    monkeypatch.setenv("KAFKA_TOKEN", expired)
    # This broker says why, then cuts the line; kafka-python tells of what it notices first.
    with pytest.raises((LoginError, TransportError)) as caught:
        topics(connection)
    assert "token" in str(caught.value.to_try)
    assert expired not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mechanism": "OAUTHBEARER"}, "token: is what OAUTHBEARER logs in with"),
        ({"user": "me"}, "user: PLAIN wants a user and a password"),
        (
            {"mechanism": "OAUTHBEARER", "token": {"env": "T"}, "user": "me"},
            "user: has no effect with OAUTHBEARER",
        ),
        (
            {"user": "me", "password": {"env": "P"}, "token": {"env": "T"}},
            "token: goes with mechanism",
        ),
    ],
)
def test_login_that_does_not_fit_its_mechanism_is_refused(
    settings: dict[str, object], says: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=says):
        msgspec.convert(settings, KafkaLogin)


def topics(connection: KafkaConnection) -> list[str]:
    """A call that needs all of the way in."""
    admin = KafkaClients(connection, key="target").admin()
    try:
        return list(admin.list_topics())
    finally:
        admin.close()


def test_records_pass_through_tls_with_certificates_from_files(
    broker: SecureKafka, tmp_path: Path
) -> None:
    fault = by_name("none")
    topic = f"tls-{secrets.token_hex(4)}"
    tls = mutual(broker)
    account = passage(
        KafkaTarget(KafkaTargetSettings(servers=(broker.tls,), tls=tls, topic=topic, create=True)),
        KafkaReader(KafkaReaderSettings(servers=(broker.tls,), tls=tls, topic=topic)),
        fault,
        folder=tmp_path,
    )
    assert account.delivered == 20, account.explain()


def test_certificates_may_come_from_secrets(
    broker: SecureKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"CA": broker.ca_file, "CERT": broker.certificate_file, "KEY": broker.key_file}
    for name, file in files.items():
        monkeypatch.setenv(name, file.read_text())
    # Many systems keep one line only.
    monkeypatch.setenv("CERT", broker.certificate_file.read_text().replace("\n", "\\n"))
    tls = KafkaTls(
        ca=SecretRef(env="CA"), certificate=SecretRef(env="CERT"), key=SecretRef(env="KEY")
    )
    assert isinstance(topics(KafkaConnection(servers=(broker.tls,), tls=tls)), list)


@pytest.mark.parametrize(
    ("user", "mechanism"),
    [(USER, "PLAIN"), (SCRAM_USER, "SCRAM-SHA-256"), (SCRAM_USER, "SCRAM-SHA-512")],
    ids=["plain", "scram-256", "scram-512"],
)
@pytest.mark.parametrize("inside_tls", [False, True], ids=["clear", "tls"])
def test_records_pass_with_a_login(
    broker: SecureKafka,
    password: SecretRef,
    user: str,
    mechanism: str,
    inside_tls: bool,
    tmp_path: Path,
) -> None:
    topic = f"login-{secrets.token_hex(4)}"
    login = KafkaLogin(user=user, password=password, mechanism=mechanism)  # type: ignore[arg-type]
    tls = KafkaTls(ca_file=str(broker.ca_file)) if inside_tls else None
    servers = (broker.tls_login if inside_tls else broker.login,)
    fault = by_name("one lost")
    account = passage(
        KafkaTarget(
            KafkaTargetSettings(
                servers=servers, tls=tls, login=login, topic=topic, create=True, partitions=1
            )
        ),
        KafkaReader(KafkaReaderSettings(servers=servers, tls=tls, login=login, topic=topic)),
        fault,
        folder=tmp_path,
    )
    check(account, fault)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_wrong_password_is_ours(
    broker: SecureKafka, monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "wrong-horse-77")
    login = KafkaLogin(user=USER, password=SecretRef(env="KAFKA_PASSWORD"), mechanism=mechanism)  # type: ignore[arg-type]
    with pytest.raises((LoginError, TransportError)) as caught:
        topics(KafkaConnection(servers=(broker.login,), login=login))
    assert "password" in str(caught.value)
    assert "wrong-horse-77" not in str(caught.value)


def test_a_stranger_s_certificate_is_not_trusted(broker: SecureKafka) -> None:
    with pytest.raises(TransportError, match="not trusted") as caught:
        topics(KafkaConnection(servers=(broker.tls_login,), tls=KafkaTls()))
    assert "tls.ca_file" in str(caught.value)


def test_a_missing_certificate_of_ours_is_asked_for(broker: SecureKafka) -> None:
    tls = KafkaTls(ca_file=str(broker.ca_file))
    with pytest.raises(TransportError, match=r"tls\.certificate_file"):
        topics(KafkaConnection(servers=(broker.tls,), tls=tls))


def test_a_port_that_speaks_no_tls_is_told(broker: SecureKafka) -> None:
    with pytest.raises(TransportError, match="does that port speak TLS"):
        topics(KafkaConnection(servers=(broker.address.endpoint,), tls=mutual(broker)))


def test_a_port_that_wants_tls_is_told(broker: SecureKafka) -> None:
    with pytest.raises(TransportError, match=r"does the port want TLS"):
        topics(KafkaConnection(servers=(broker.tls,), connect_timeout_s=2))


def test_a_host_that_the_certificate_is_not_for_is_told(broker: SecureKafka) -> None:
    server = broker.tls_login.replace("localhost", "127.0.0.1")
    tls = KafkaTls(ca_file=str(broker.ca_file))
    with pytest.raises(TransportError, match="not trusted"):
        topics(KafkaConnection(servers=(server,), tls=tls))
