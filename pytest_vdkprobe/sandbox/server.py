"""The sandbox itself: a Control Service on loopback, started and stopped like any resource.

It runs on threads of its own, so that a test can embed it; the command line keeps one up in a
process. Everything it writes lies in one temporary folder, which goes with it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from pytest_vdkprobe.sandbox.auth import REALM, Tokens
from pytest_vdkprobe.sandbox.executor import Executor
from pytest_vdkprobe.sandbox.faults import Fault, Faults
from pytest_vdkprobe.sandbox.folders import make_folder
from pytest_vdkprobe.sandbox.instant import InstantExecutor
from pytest_vdkprobe.sandbox.listener import HOST, Listener
from pytest_vdkprobe.sandbox.service import Service
from pytest_vdkprobe.sandbox.settings import Settings

if TYPE_CHECKING:
    from pytest_vdkprobe.sandbox.engines.messages import Run


@dataclass(kw_only=True, eq=False)
class Sandbox(Settings):
    """An embedded platform: `with Sandbox(executor="instant") as sandbox: ... sandbox.url`."""

    executor: Literal["vdk", "instant"] | Executor = "instant"
    seed: int = 0
    """Of the dice that faults with a share roll."""
    engines: Run | None = None
    """Whose engines ingestion uses; None starts its own when the first record needs one."""
    faults: Faults = field(init=False)
    tokens: Tokens = field(init=False)
    bugs: list[str] = field(init=False, default_factory=list)
    """Tracebacks behind the sandbox's own 500s; empty unless it has a bug."""
    ca_file: Path | None = field(init=False, default=None)
    """The authority to trust when `tls` is on."""
    _folder: Path | None = field(init=False, default=None)
    _service: Service | None = field(init=False, default=None)
    _listener: Listener | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.faults = Faults(self.seed)
        self.tokens = Tokens(self.access_token_ttl_s)

    def start(self) -> str:
        """Serve; returns the URL. Idempotent."""
        if self._folder is None:
            self._folder = make_folder()
            try:
                self._start(self._folder)
            except BaseException:
                self.stop()
                raise
        return self.url

    def stop(self) -> None:
        """Stop serving, end every job, remove the folder. Idempotent."""
        if self._service is not None:
            self._service.close()
        if self._listener is not None:
            self._listener.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._service = self._listener = self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the Control Service answers, without `/data-jobs`."""
        if self._listener is None:
            raise RuntimeError("The sandbox is not started.")
        return f"{'https' if self.tls else 'http'}://{HOST}:{self._listener.port}"

    @property
    def folder(self) -> Path:
        """Where everything lies that it writes; goes with it."""
        if self._folder is None:
            raise RuntimeError("The sandbox is not started.")
        return self._folder

    @property
    def token_url(self) -> str:
        """The token endpoint, for the refresh_token and client_credentials grants."""
        return f"{self.url}/sandbox/oauth/token"

    def plant(self, name: str, **options: object) -> None:
        """Be wrong from now on; `options` are the fields of `Fault`."""
        self.faults.plant(msgspec.convert({"name": name, **options}, Fault))

    def fire(self, at: datetime) -> None:
        """Start the jobs that are due in the minute of `at`, without waiting for it."""
        if self._service is not None:
            self._service.fire(at)

    def configuration(self) -> dict[str, object]:
        """The native tables that lead a run here; the API token lies in a file of its own.

        Leases lie in the sandbox's folder: what they name is gone when the sandbox is.
        """
        control: dict[str, object] = {
            "url": self.url,
            "team": self.team,
            "keytab": self.keytab,
            "secrets_enabled": self.secrets,
            "auth": {"kind": "none"},
        }
        if self.auth and self._folder is not None:
            token_file = self._folder / "api-token"
            token_file.touch(mode=0o600)
            token_file.write_text(self.tokens.api_token)
            control["auth"] = {
                "kind": "api-token",
                "url": self.token_url,
                "token": {"file": str(token_file)},
            }
        if self.ca_file is not None:
            control["ca_file"] = str(self.ca_file)
        tables: dict[str, object] = {"control": control}
        if self._folder is not None:
            tables["run"] = {"lease_folder": str(self._folder / "leases")}
        return {**tables, "jobs": [{"name": "hello-platform", "template": "proof"}]}

    def client_login(self) -> dict[str, object]:
        """The `auth` table of a client of ours; its secret lies in a file of its own."""
        secret_file = self.folder / "client-secret"
        secret_file.touch(mode=0o600)
        secret_file.write_text(self.tokens.client_secret)
        return {
            "kind": "client-credentials",
            "url": f"{self.url}/auth/realms/{REALM}/protocol/openid-connect/token",
            "client_id": self.tokens.client_id,
            "client_secret": {"file": str(secret_file)},
        }

    def _start(self, folder: Path) -> None:
        tls = None
        if self.tls:
            # Imported here: it pulls in cryptography (~90 ms), and few sandboxes speak TLS.
            from pytest_vdkprobe.sandbox.tls import serve_tls  # noqa: PLC0415

            tls, self.ca_file = serve_tls(folder)
        self._listener = Listener(self.port)
        self._service = Service(
            self,
            faults=self.faults,
            tokens=self.tokens,
            executor=self._executor(),
            folder=folder,
            bugs=self.bugs,
            engines=self.engines,
        )
        self._listener.start(self._service.app, tls)
        self._service.start(self.url, self.ca_file)

    def _executor(self) -> Executor:
        if self.executor == "instant":
            return InstantExecutor()
        if self.executor == "vdk":
            # Imported here: it prepares an environment that the instant executor never needs.
            from pytest_vdkprobe.sandbox.vdk_executor import VdkExecutor  # noqa: PLC0415

            return VdkExecutor()
        return self.executor
