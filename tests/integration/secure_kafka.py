"""A broker that wants TLS and a login: the real one, with three doors beside its plain one.

`tls` shows a certificate and wants one, `login` and `tls_login` want a user, by PLAIN or SCRAM; all
certificates are from an authority of its own. The plain door lets everybody in, to prepare things.
"""

from __future__ import annotations

import base64
import json
import shutil
import time
from pathlib import Path

import trustme

from pytest_vdkprobe.connections.kafka import driver
from pytest_vdkprobe.sandbox.engines import java
from pytest_vdkprobe.sandbox.engines import kafka as engine
from pytest_vdkprobe.sandbox.engines.engine_process import HOST, EngineProcess, free_port

USER, PASSWORD = "probe", "correct-horse-9"
SCRAM_USER = "scrambled"
MODULE = "org.apache.kafka.common.security"
PROTOCOLS = (
    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,LOGIN:SASL_PLAINTEXT,TLSLOGIN:SASL_SSL"
)


class SecureKafka(engine.Kafka):
    """A Kafka with every way in. `folder` keeps the files that a client needs."""

    def __init__(self, folder: Path) -> None:
        # Before the engine does: its deprecation warning would be an error in a test.
        driver()
        super().__init__(settings=_settings())
        self.authority = trustme.CA()
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self.certificate_file = folder / "client.pem"
        self.key_file = folder / "client.key"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        client = self.authority.issue_cert("probe@example.org")
        client.cert_chain_pems[0].write_to_path(str(self.certificate_file))
        client.private_key_pem.write_to_path(str(self.key_file))
        self._ports: dict[str, int] = {}

    @property
    def tls(self) -> str:
        """TLS, with a certificate from both."""
        return f"localhost:{self._ports['TLS']}"

    @property
    def login(self) -> str:
        """A user and a password, in the clear."""
        return f"localhost:{self._ports['LOGIN']}"

    @property
    def tls_login(self) -> str:
        """A user and a password inside TLS."""
        return f"localhost:{self._ports['TLSLOGIN']}"

    def _launch(self, process: EngineProcess) -> None:
        # At each start: where one was taken meanwhile, the next has others.
        self._ports = {door: free_port() for door in ("TLS", "LOGIN", "TLSLOGIN")}
        shutil.copytree(engine._template(), process.folder / "data")
        keystore = process.folder / "server.pem"
        own = self.authority.issue_cert("localhost")
        keystore.write_bytes(_pkcs8(own.private_key_pem.bytes()) + own.cert_chain_pems[0].bytes())
        settings = {
            **self._settings,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
            "listener.name.tls.ssl.client.auth": "required",
        }
        controller = free_port()
        properties = engine._properties(process.folder, self._port, controller, settings)
        doors = ",".join(f"{door}://localhost:{port}" for door, port in self._ports.items())
        with properties.open("a", encoding="utf-8") as file:
            # Java takes the last of two lines with one key.
            file.write(
                f"listeners=PLAINTEXT://{HOST}:{self._port},CONTROLLER://{HOST}:{controller},{doors}\n"
            )
        process.start(
            engine._command("kafka.Kafka", process.folder, [str(properties)], []),
            environ=java.environ(process.folder),
        )

    def add_scram_user(self) -> None:
        """Let SCRAM_USER log in by both SCRAMs with PASSWORD."""
        kafka = driver()
        change_of, mechanisms = kafka.admin.UserScramCredentialUpsertion, kafka.admin.ScramMechanism
        admin = kafka.KafkaAdminClient(bootstrap_servers=self.address.endpoint)
        try:
            # One at a time: a broker takes no two changes of one user in a request.
            for mechanism in (mechanisms.SCRAM_SHA_256, mechanisms.SCRAM_SHA_512):
                change = change_of(SCRAM_USER, mechanism, PASSWORD)
                assert admin.alter_user_scram_credentials([change]) == {SCRAM_USER: None}
        finally:
            admin.close()


def unsigned_token(*, expires_in_s: int) -> str:
    """A JSON web token without a signature (RFC 7519, section 6), for USER."""
    now = int(time.time())
    claims = {"sub": USER, "iat": now - 60, "exp": now + expires_in_s}
    parts = ({"alg": "none"}, claims)
    texts = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join(text.decode().rstrip("=") for text in texts) + "."


def _settings() -> dict[str, str]:
    users = f'user_broker="b" user_{USER}="{PASSWORD}"'
    plain = f'{MODULE}.plain.PlainLoginModule required username="broker" password="b" {users};'
    settings = {
        "listener.security.protocol.map": PROTOCOLS,
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
    }
    for door in ("login", "tlslogin"):
        settings[f"listener.name.{door}.plain.sasl.jaas.config"] = plain
        # Without a validator of its own, Kafka takes tokens that nobody has signed.
        settings[f"listener.name.{door}.oauthbearer.sasl.jaas.config"] = (
            f"{MODULE}.oauthbearer.OAuthBearerLoginModule required"
            ' unsecuredLoginStringClaim_sub="broker";'
        )
        for name in ("scram-sha-256", "scram-sha-512"):
            settings[f"listener.name.{door}.{name}.sasl.jaas.config"] = (
                f"{MODULE}.scram.ScramLoginModule required;"
            )
    return settings


def _pkcs8(key: bytes) -> bytes:
    """The key as Kafka reads it; trustme writes the older form."""
    from cryptography.hazmat.primitives import serialization

    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
