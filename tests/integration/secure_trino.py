"""A Trino that wants TLS and a password: the real one, with its own password authenticator.

Its plain door stays open and lets everybody in, to see when it is ready.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import trustme

from pytest_vdkprobe.sandbox.engines import trino as engine
from pytest_vdkprobe.sandbox.engines.engine_process import EngineProcess, free_port

USER, PASSWORD = "probe", "correct-horse-9"
ITERATIONS = 1000


class SecureTrino(engine.Trino):
    """A Trino with a second door; `folder` keeps the files that a client needs."""

    def __init__(self, folder: Path) -> None:
        self.https_port = 0
        self.ca_file = folder / "ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        own, keystore = authority.issue_cert("localhost"), folder / "server.pem"
        own.private_key_and_cert_chain_pem.write_to_path(str(keystore))
        passwords = folder / "passwords"
        passwords.write_text(f"{USER}:{_hashed(PASSWORD)}\n", "utf-8")
        authenticator = folder / "authenticator.properties"
        authenticator.write_text(
            f"password-authenticator.name=file\nfile.password-file={passwords}\n", "utf-8"
        )
        super().__init__(
            settings={
                "http-server.https.enabled": "true",
                "http-server.https.keystore.path": str(keystore),
                "http-server.authentication.type": "PASSWORD",
                "http-server.authentication.allow-insecure-over-http": "true",
                "password-authenticator.config-files": str(authenticator),
                "internal-communication.shared-secret": "of-one-node-only",
            },
            plugins=("password-authenticators",),
        )

    def _launch(self, process: EngineProcess) -> None:
        # At each start: where it was taken meanwhile, the next has another.
        self.https_port = free_port()
        self._settings["http-server.https.port"] = str(self.https_port)
        super()._launch(process)


def _hashed(password: str) -> str:
    """As Trino's password file has it (password file authentication, PBKDF2)."""
    salt = b"a-salt-of-a-test"
    found = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, ITERATIONS, 32)
    return f"{ITERATIONS}:{salt.hex()}:{found.hex()}"
