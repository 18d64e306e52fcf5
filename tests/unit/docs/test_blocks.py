"""What the documentation shows can be copied: its blocks load, parse and compile."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from pytest_vdkprobe.config import load
from pytest_vdkprobe.config.entries import find_problems as find_entry_problems
from pytest_vdkprobe.config.sections import SECTIONS
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.journeys.settings import RunSettings
from pytest_vdkprobe.rooms import load as room_part
from pytest_vdkprobe.rooms import present
from pytest_vdkprobe.routes.problems import find_problems
from tests.unit.docs.blocks import ROOT, Block, blocks, commands

SHELL = blocks("console", "bash", "sh")
OURS = ("pytest", "vdkprobe")
ALIASES = {"--junitxml": "--junit-xml"}
"""Spellings that pytest takes and its help leaves out."""


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_a_configuration(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "platform.toml"
    file.write_text(block.text)
    configuration = load(str(file), environ={})
    known = {name: room_part(room.settings) for name, room in present(configuration).items()}
    assert configuration.problems(known) == []
    for name in SECTIONS:
        assert find_entry_problems(configuration, name) == []
    assert find_problems(configuration) == []


@pytest.mark.parametrize("block", blocks("ini"), ids=str)
def test_ini_is_a_configuration_of_vdk_heartbeat(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "heartbeat.ini"
    file.write_text(block.text)
    environ = {"VDKCLI_OAUTH2_REFRESH_TOKEN": "a token from the store"}
    configuration = load(str(file), environ=environ)
    sections = {"control": ControlSettings, "jobs": JobSettings, "run": RunSettings}
    assert configuration.problems(sections) == []
    assert configuration.warnings == ()


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec", dont_inherit=True)


@cache
def help_of(*command: str) -> str:
    """What the command says of itself; a command that does not exist fails here."""
    tool, *rest = command
    module = {"pytest": "pytest", "vdkprobe": "pytest_vdkprobe.cli.main"}[tool]
    done = subprocess.run(
        [sys.executable, "-m", module, *rest, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} --help: {done.stderr or done.stdout}"
    return done.stdout


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_exist_with_these_options(block: Block) -> None:
    for tool, *arguments in commands(block):
        if tool.startswith("ci/"):
            assert (ROOT / tool).is_file(), tool
        if tool not in OURS:
            continue
        words = [word for word in arguments if not word.startswith("-") and "://" not in word]
        depth = 0 if tool == "pytest" else 1
        known = help_of(tool, *words[:depth])
        if words[:1] in (["sandbox"], ["history"], ["pipeline"]):
            known += help_of(tool, *words[:2])
        for option in (word.partition("=")[0] for word in arguments if word.startswith("-")):
            assert ALIASES.get(option, option) in known, f"{tool} has no option {option}"


def test_there_is_something_to_check() -> None:
    assert blocks("toml")
    assert blocks("ini")
    assert blocks("python")
    assert any(command[0] == "pytest" for block in SHELL for command in commands(block))
