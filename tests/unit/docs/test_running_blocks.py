"""Python blocks with a file name behind `python` do what their page says, on a sandbox."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.docs.blocks import Block, blocks

RUNNING = [block for block in blocks("python") if block.flags.endswith(".py")]


@pytest.fixture(scope="module")
def platform() -> Iterator[Sandbox]:
    """A platform that answers at once: what is tried here is the documentation."""
    with Sandbox(executor="instant") as sandbox:
        yield sandbox


@pytest.mark.parametrize("block", RUNNING, ids=str)
def test_block_runs(block: Block, platform: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / block.flags).write_text(block.text)
    (tmp_path / "platform.toml").write_text(
        f'[control]\nurl = "{platform.url}"\nteam = "{platform.team}"\n'
        '[[jobs]]\nname = "hello-platform"\n'
    )
    # What makes a sandbox wrong needs one of its own.
    own = ("--vdk-config=sandbox", "--vdk-set=sandbox.executor=instant")
    asked = own if "vdk_sandbox" in block.text else ("--vdk-config=platform.toml",)
    what = block.flags if block.flags.startswith("test_") else "heartbeat[hello-platform]::reach"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *asked, "-v", what],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[hello-platform]::reach" in done.stdout


def test_there_are_some() -> None:
    assert {block.flags for block in RUNNING} >= {"conftest.py", "test_mine.py"}
