"""The official generated API client accepts every answer of the sandbox."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from pytest_vdkprobe.sandbox.environment import Environment
from pytest_vdkprobe.sandbox.server import Sandbox

SCRIPT = Path(__file__).with_name("generated_client.py")


@pytest.mark.parametrize("source", ["K8S", "DB"])
def test_every_operation_answers_what_the_client_expects(
    source: Literal["K8S", "DB"], clients: Environment, tmp_path: Path
) -> None:
    with Sandbox(
        executor="instant", secrets=True, keytab="bytes", deployments_from=source
    ) as sandbox:
        done = subprocess.run(
            [clients.python, SCRIPT, sandbox.url],
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert sandbox.bugs == []
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["left_out"] == []
    assert len(seen["called"]) == 30
