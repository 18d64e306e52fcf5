"""The command line teaches, and its exit codes say whose fault it was."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from pytest_vdkprobe.cli import main as cli
from pytest_vdkprobe.errors import ConfigError, PlatformFailure, ProbeError
from pytest_vdkprobe.secrets import Secret


@pytest.fixture
def run_raises(monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes a command that raises what it is given."""

    def plant(error: BaseException) -> int:
        def fail(_: argparse.Namespace) -> int:
            raise error

        parser = cli.Parser(prog="vdkprobe")
        parser.set_defaults(run=fail)
        monkeypatch.setattr(cli, "build_parser", lambda: parser)
        return cli.main([])

    return plant


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a bad key"), 4),
        (ProbeError("no network"), 6),
        (PlatformFailure("it lies"), 1),
        (PermissionError("not yours"), 6),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 0),
    ],
)
def test_an_error_is_one_message_and_a_code(
    error: BaseException,
    code: int,
    run_raises: object,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert callable(run_raises)
    assert run_raises(error) == code
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert str(error) in said


def test_a_bug_of_ours_is_not_taken_for_the_platforms_fault(
    run_raises: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(run_raises)
    assert run_raises(ZeroDivisionError()) == 6
    assert "bug" in capsys.readouterr().err


def test_no_secret_is_printed(run_raises: object, capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret("hunter-two-two", "test")
    assert callable(run_raises)
    run_raises(ProbeError(f"refused: {secret.reveal()}"))
    assert "hunter-two-two" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["sandbox"],
        ["sandbox", "up", "--port", "70000"],
        ["sandbox", "up", "--port", "x"],
        ["sandbox", "up", "--executor", "kubernetes"],
        ["sandbox", "up", "--tick-s", "0"],
        ["sandbox", "up", "--tick-s", "nan"],
        ["sandbox", "up", "--detach", "--foreground"],
    ],
)
def test_a_wrong_command_line_ends_with_4(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 4
    assert "--help` explains" in capsys.readouterr().err


def test_help_teaches_the_first_steps_and_the_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for words in ("pytest --vdk-config=sandbox", "vdkprobe sandbox up", "exit codes:", "check"):
        assert words in said


@pytest.mark.parametrize("command", ["up", "status", "down", "fetch"])
def test_every_command_has_a_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["sandbox", command, "--help"])
    assert len(capsys.readouterr().out.splitlines()) > 4


def test_a_group_that_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "GROUPS", ("sandbox", "astrology"))
    assert "astrology" not in cli.build_parser().format_help()


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from pytest_vdkprobe.cli.main import build_parser
build_parser().format_help()
heavy = {"requests", "starlette", "uvicorn", "sqlalchemy", "croniter", "filelock", "platformdirs"}
print(sorted(heavy & set(sys.modules)))
"""
    path = {"PYTHONPATH": ":".join(entry for entry in sys.path if entry)}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path
    )
    assert said.stdout == "[]\n"
