"""The whole chain through TLS: Kafka with certificates or a login, PostgreSQL with verify-full."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection
from pytest_vdkprobe.pipelines.pipeline import Pipeline
from pytest_vdkprobe.pipelines.websites import Websites
from pytest_vdkprobe.pipelines.workload import toml
from tests.integration.pipelines import Bench
from tests.integration.secure_kafka import PASSWORD, USER, SecureKafka
from tests.integration.shared_engines import SharedEngines
from tests.integration.test_pipeline_account import table
from tests.integration.tls_door import postgres_door


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A broker whose doors want TLS, and a certificate or a login."""
    with SecureKafka(tmp_path_factory.mktemp("secure")) as kafka:
        yield kafka


class Secure(NamedTuple):
    """A pipeline, and the settings of its servers."""

    bench: Bench
    kafka: dict[str, object]
    database: dict[str, object]

    def write(self) -> None:
        """Write its configuration."""
        own = {"topic": self.bench.topic, "group": self.bench.topic}
        self.bench.config.write_text(
            f"[pipeline]\nkafka = {toml({**self.kafka, **own})}\n"
            f"database = {toml({**self.database, 'schema': self.bench.name})}\n"
        )


@pytest.fixture
def secure(
    engines: SharedEngines,
    broker: SecureKafka,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Secure]:
    """A pipeline on the secure servers, with paths from its configuration's folder."""
    bench = Bench(engines, tmp_path)
    bench.clients = KafkaClients(KafkaConnection(servers=(broker.address.endpoint,)))
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).write_bytes((broker.folder / name).read_bytes())
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    broker.authority.issue_cert("localhost").configure_cert(context)
    postgres = engines.postgres
    with postgres_door(context, host=postgres.host, port=postgres.port) as port:
        yield Secure(
            bench,
            {
                "servers": [broker.tls],
                "tls": {
                    "ca_file": "ca.pem",
                    "certificate_file": "client.pem",
                    "key_file": "client.key",
                },
            },
            {
                "host": "localhost",
                "port": port,
                "user": postgres.user,
                "database": engines.database,
                "tls": {"ca_file": "ca.pem"},
            },
        )
        bench.close()


def test_a_check_goes_all_the_way_through_tls(secure: Secure) -> None:
    bench = secure.bench
    secure.write()
    with Websites() as websites:
        done = bench.run("configure-database")
        assert done.code == 0, done.err
        site = bench.add_site(websites.url("well", "tls"), "well")
        assert bench.run("start-producer", "1", "--once").account["written"] == 1
        assert bench.run("start-consumer", "--once").account["rows"] == 1
    ((number, _, code, _, error),) = bench.rows()
    assert (number, code, error) == (site, 200, None)
    assert bench.run("retention", "--keep-days", "1").code == 0


def test_another_authority_is_told_by_every_command(secure: Secure, broker: SecureKafka) -> None:
    bench = secure.bench
    secure.write()
    assert bench.run("configure-database").code == 0
    bench.add_site("http://127.0.0.1:1/")
    kafka_port, postgres_port = broker.tls.rpartition(":")[2], secure.database["port"]
    wrong = {"tls": {"ca_file": "other.pem"}}
    secure._replace(database={**secure.database, **wrong}).write()
    commands = (("configure-database",), ("start-producer", "1"), ("start-consumer",))
    for command in (*commands, ("producers",), ("retention", "--keep-days", "1")):
        done = bench.run(*command)
        assert done.code == 6, done.err
        assert f"PostgreSQL at localhost:{postgres_port}/" in done.err
        assert "can't be reached: SSL error: certificate verify failed" in done.err
        assert "setting pipeline.database.tls.ca_file" in done.err
        assert "name the authority that signed" in done.err
    secure._replace(kafka={**secure.kafka, **wrong}).write()
    for command in commands:
        done = bench.run(*command)
        assert done.code == 6, done.err
        assert f"Kafka at localhost:{kafka_port} can't be reached: its certificate" in done.err
        assert "name the authority that signed it: tls.ca_file" in done.err


def test_the_scenario_goes_through_tls_and_logs_in(
    secure: Secure, broker: SecureKafka, engines: SharedEngines, tmp_path: Path
) -> None:
    kafka = {
        "servers": [broker.tls_login],
        "tls": {"ca_file": "ca.pem"},
        "login": {"user": USER, "password": {"env": "KAFKA_PASSWORD"}},
    }
    entry = table(engines, kafka=kafka, database=secure.database)
    configuration = from_tables("test", {"pipelines": [entry]}, environ={}, base_dir=tmp_path)
    with Pipeline(configuration, "small", run_id="tls45678") as pipeline:
        pipeline.configure()
        pipeline.start()
        account = pipeline.flow("consumer-killed")
        account.require()
        assert account.rows > 4, json.dumps(account.to_dict())
