"""The JSON Schema says what the types say, and the documentation's examples keep to it."""

from __future__ import annotations

import datetime
import importlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.cli import init, schema
from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.config import load
from pytest_vdkprobe.config.sections import SECTIONS
from pytest_vdkprobe.problems import find_problems
from pytest_vdkprobe.rooms import ROOMS
from tests.unit.docs.blocks import ROOT, Block, blocks
from tests.unit.docs.test_reference import SECTIONS as EXPLAINED

CHECKED_IN = ROOT / "docs" / "reference" / "vdkprobe.schema.json"


def objections(tables: dict[str, Any]) -> list[str]:
    """What a validator has against some tables."""
    validators = importlib.import_module("jsonschema.validators")
    plain = json.loads(json.dumps(tables, default=datetime.date.isoformat))
    validator = validators.Draft202012Validator(schema.document())
    return [error.message for error in validator.iter_errors(plain)]


def test_the_file_that_is_checked_in_is_what_the_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0
    to_try = f"vdkprobe schema > {CHECKED_IN.relative_to(ROOT)}"
    assert capsys.readouterr().out == CHECKED_IN.read_text(encoding="utf-8"), to_try


def test_it_has_every_section() -> None:
    assert set(schema.document()["properties"]) == set(SECTIONS)
    assert set(EXPLAINED) - set(ROOMS) == set()


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_the_documentations_examples_keep_to_it(block: Block) -> None:
    assert objections(tomllib.loads(block.text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "[contrl]\nurl = 'x'",
        "[control]\nurl = 'x'",
        "[control]\nurl = 'x'\nteam = 3",
        "[control]\nurl = 'x'\nteam = 'x'\ntaem = 'x'",
        "[control]\nurl = 'x'\nteam = 'x'\nauth = { kind = 'bearer', token = 'plain' }",
        "[[jobs]]\nname = 'hello-platform'\nexpected = [{ step = 'run' }]",
        "[[routes]]\nname = 'r'\ntarget = { kind = 'file' }\nreader = { kind = 'mine' }",
        "[scenarios]\nmine = 3",
    ],
)
def test_what_a_run_would_refuse_it_refuses(text: str) -> None:
    assert objections(tomllib.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "[control]\nurl = 'x'\nteam = 'x'\nauth = { kind = 'card', pin = { env = 'PIN' } }",
        "[[routes]]\nname = 'r'\ntarget = { kind = 'mine', a = 1 }\nreader = { kind = 'mine' }",
        "[[jobs]]\nname = 'hello-platform'\nskip = 'moves in May'",
        "[scenarios]\nmine = 'checks/test_mine.py'\nheartbeat = false",
    ],
)
def test_it_leaves_room_for_what_is_the_users_own(text: str) -> None:
    assert objections(tomllib.loads(text)) == []


def test_init_writes_a_file_that_is_usable_once_its_secret_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDK_API_TOKEN", "a token from the store")
    assert main(["init", "mine.toml"]) == 0
    assert find_problems(load("mine.toml")) == ([], [])
    text = Path("mine.toml").read_text()
    assert text.startswith(f"#:schema ./{init.SCHEMA}\n")
    assert "vdkprobe check mine.toml --connect" in text
    assert Path(init.SCHEMA).read_text() == schema.as_text()
    assert main(["init", "mine.toml"]) == 4
    assert "mine.toml is there already" in capsys.readouterr().err


def test_init_writes_no_file_that_would_be_read_as_another_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mine.ini"]) == 4
    assert "name it mine.toml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_init_has_commented_out_is_right_too(tmp_path: Path) -> None:
    lines = init.TEMPLATE.splitlines()
    opened = [
        line.removeprefix("# ") if line.startswith(("# [", "# ca_", "# sec", "# lim")) else line
        for line in lines
    ]
    inside = False
    for at, line in enumerate(lines):
        inside = line.startswith("# [") or (inside and line.startswith("# "))
        if inside:
            opened[at] = line.removeprefix("# ")
    tables = tomllib.loads("\n".join(opened))
    assert {"routes", "endpoints", "scenarios", "run"} <= set(tables)
    assert objections(tables) == []
