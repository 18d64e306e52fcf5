"""The pipeline's processes as a run starts them: nothing of a killed run stays."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import pytest

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.pipelines.workload import PREFIX, Workload, toml
from pytest_vdkprobe.processes import Process


def test_folders_of_killed_runs_are_removed_and_others_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    me = Process.current()
    dead = tmp_path / f"{PREFIX}{me.place}-{me.pid}-{me.started + 1}-abc"
    elsewhere = tmp_path / f"{PREFIX}00ff00ff00ff-{me.pid}-{me.started}-abc"
    foreign = tmp_path / f"{PREFIX}mine"
    for folder in (dead, elsewhere, foreign):
        folder.mkdir()
    workload = Workload({})
    assert not dead.exists()
    assert elsewhere.exists()
    assert foreign.exists()
    assert workload.folder.exists()
    workload.close()
    assert {*tmp_path.iterdir()} == {elsewhere, foreign}


def test_settings_are_written_as_toml_and_secrets_as_their_places() -> None:
    value = {"a": 'x\n"y"', "b": [1, 2.5, True], "c": SecretRef(env="NAME"), "d": None}
    assert toml(value) == r'{ a = "x\n\"y\"", b = [1, 2.5, true], c = { env = "NAME" } }'


@pytest.mark.parametrize("text", ["p\u00e4ss", "\U0001f511", "a\x7fb", "q\"\\'\n"])
def test_any_text_survives_its_way_into_a_configuration(text: str) -> None:
    assert tomllib.loads(f"a = {toml(text)}") == {"a": text}
