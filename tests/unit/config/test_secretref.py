"""A secret is read from its place, and no error about it tells what it is."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import redact


def test_the_environment_holds_it() -> None:
    secret = SecretRef(env="T").resolve({"T": "open-sesame"})
    assert (secret.reveal(), str(secret)) == ("open-sesame", "<secret from environment T>")
    assert "open-sesame" not in redact("token=open-sesame")


def test_a_file_holds_it_and_its_last_line_break_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("open-sesame\r\n")
    assert SecretRef(file="t").resolve({}, tmp_path).reveal() == "open-sesame"


def test_an_ini_key_holds_it_with_its_interpolation(tmp_path: Path) -> None:
    (tmp_path / "h.ini").write_text("\ufeff[DEFAULT]\nPASS=100%%-sure\n", "utf-8")
    ref = SecretRef(file="h.ini", ini_key="PASS")
    assert ref.resolve({}, tmp_path).reveal() == "100%-sure"


def test_a_command_prints_it_in_the_users_environment(tmp_path: Path) -> None:
    program = "import os; print(os.environ['WHO'])"
    ref = SecretRef(command=(sys.executable, "-c", program))
    assert ref.resolve({"WHO": "open-sesame"}, tmp_path).reveal() == "open-sesame"
    assert str(ref) == f"command {sys.executable}"


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        (SecretRef(env="T"), "variable T, which should hold a secret, is not set"),
        (SecretRef(env="EMPTY"), "is empty"),
        (SecretRef(file="missing"), "can't be read: No such file"),
        (SecretRef(file="."), "can't be read: Is a directory"),
        (SecretRef(file="binary"), "not text in UTF-8"),
        (SecretRef(file="two-lines"), "has 2 lines"),
        (SecretRef(file="bad.ini", ini_key="PASS"), "InterpolationSyntaxError"),
        (SecretRef(file="bad.ini", ini_key="OTHER"), "is empty"),
        (SecretRef(file="two-lines", ini_key="X"), "MissingSectionHeaderError"),
        (SecretRef(command=("no-such-program",)), "can't be used: No such file"),
        (SecretRef(command=(sys.executable, "-c", "raise SystemExit(3)")), "exit code 3"),
        (SecretRef(command=(sys.executable, "-c", "pass")), "is empty"),
    ],
    ids=str,
)
def test_a_place_without_a_usable_secret_is_named(
    tmp_path: Path, ref: SecretRef, said: str
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "two-lines").write_text("hidden-one\nhidden-two\n")
    (tmp_path / "bad.ini").write_text("[DEFAULT]\nPASS=hidden%oops\n")
    with pytest.raises(ConfigError) as caught:
        ref.resolve({"EMPTY": "  "}, tmp_path, key="control.auth.token")
    assert said in str(caught.value)
    assert caught.value.to_try
    assert "hidden" not in str(caught.value)


def test_a_command_that_never_ends_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_vdkprobe.config.secretref.COMMAND_TIMEOUT_S", 0.2)
    ref = SecretRef(command=(sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(ConfigError, match="printed no secret within"):
        ref.resolve({}, tmp_path)


@pytest.mark.parametrize(
    "table", [{}, {"env": "A", "file": "b"}, {"env": ""}, {"env": "A", "ini_key": "k"}]
)
def test_a_secret_has_exactly_one_place(table: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, SecretRef)
