"""What is said when a command can't write: to a file, a full disk, or somebody who has left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.cli.new_file import write_new
from pytest_vdkprobe.errors import ProbeError

FULL = Path("/dev/full")
PLATFORM = '[control]\nurl = "http://127.0.0.1:9"\nteam = "t"\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "platform.toml").write_text(PLATFORM)
    ini = "[DEFAULT]\nCONTROL_API_URL=http://127.0.0.1:9\nJOB_TEAM=t\nJOB_NAME=hello-platform\n"
    (tmp_path / "heartbeat.ini").write_text(ini)


@pytest.mark.parametrize(
    "words", [["init", "there/x.toml"], ["migrate", "heartbeat.ini", "-o", "there/x.toml"]]
)
def test_a_folder_that_is_not_there_is_told(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 4
    said = capsys.readouterr().err
    assert "There is no folder there to write x.toml into." in said
    assert "mkdir -p there" in said
    assert "Error" not in said
    Path("there").mkdir()
    assert main(words) == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [("platform.toml", "is there already"), ("platform.toml/x.toml", "a part of its way is a fi")],
)
def test_a_place_that_is_taken_is_told(
    name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["init", name], ["migrate", "heartbeat.ini", "-o", name]):
        assert main(words) == 4
        assert said in capsys.readouterr().err
    assert Path("platform.toml").read_text() == PLATFORM


def test_nothing_is_left_of_a_file_that_could_not_be_written() -> None:
    with pytest.raises(ProbeError, match="can't be written"):
        write_new(Path("x" * 300), "text")
    assert sorted(path.name for path in Path().iterdir()) == ["heartbeat.ini", "platform.toml"]


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [["schema"], ["check", "platform.toml"]])
def test_a_full_disk_is_told_in_words(words: list[str]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_vdkprobe.cli.main", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 6
    assert "The output can't be written: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", [["schema"], ["check", "platform.toml"]])
def test_a_reader_that_has_left_is_no_trouble(words: list[str]) -> None:
    command = [sys.executable, "-m", "pytest_vdkprobe.cli.main", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(180) == 0, said
    assert said == ""


def test_a_file_that_the_system_refuses_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied", "/etc/secret.toml")

    monkeypatch.setattr("pytest_vdkprobe.cli.schema.as_text", refused)
    assert main(["schema"]) == 6
    said = capsys.readouterr().err
    assert "/etc/secret.toml: Permission denied." in said
    assert "who may read and write it" in said
