"""The official clients, in their own environment, called as their users call them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.sandbox import environment
from pytest_vdkprobe.sandbox.environment import Environment
from pytest_vdkprobe.sandbox.server import Sandbox

CALL_LIMIT_S = 120


@pytest.fixture(scope="session")
def clients() -> Environment:
    """The environment of the official clients; session scope, as it takes half a minute once.

    Where it can't be built the tests end as errors: nothing was shown, nobody should overlook it.
    """
    return environment.fetch("conformance", progress=print)


class Client:
    """Calls the official programs, with a home of their own, against one sandbox."""

    def __init__(self, clients: Environment, sandbox: Sandbox, home: Path) -> None:
        self.clients = clients
        self.sandbox = sandbox
        self.home = home
        self.work = home / "work"
        self.work.mkdir(parents=True)
        path = [str(clients.folder / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
        self.environ = {
            "HOME": str(home),
            "PATH": os.pathsep.join(path),
            "LANG": "C.UTF-8",
            "PYTHONWARNINGS": "ignore",
            "VDK_CONTROL_SERVICE_REST_API_URL": sandbox.url,
        }
        if sandbox.ca_file is not None:
            self.environ |= {
                "SSL_CERT_FILE": str(sandbox.ca_file),
                "REQUESTS_CA_BUNDLE": str(sandbox.ca_file),
            }
        elif sandbox.auth:
            self.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # it refuses tokens over http

    def call(
        self, *words: str, program: str = "vdkcli", more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, whatever its exit code."""
        return subprocess.run(
            [self.clients.script(program), *words],
            cwd=self.work,
            env=self.environ | dict(more or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CALL_LIMIT_S,
            check=False,
        )

    def vdkcli(self, *words: str) -> str:
        """Standard output of a command that must succeed."""
        done = self.call(*words)
        assert done.returncode == 0, f"vdkcli {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *words: str) -> Any:
        """What a command that must succeed prints as JSON."""
        return json.loads(self.vdkcli(*words, "-o", "json"))

    def login(self) -> None:
        """With the API token, as the command line does it."""
        token = self.sandbox.tokens.api_token
        self.vdkcli("login", "-t", "api-token", "-a", token, "-u", self.sandbox.token_url)


@pytest.fixture
def client_of(clients: Environment, tmp_path: Path) -> Callable[[Sandbox], Client]:
    """Makes the official clients' view of a sandbox."""

    def make(sandbox: Sandbox) -> Client:
        return Client(clients, sandbox, tmp_path / "home")

    return make
