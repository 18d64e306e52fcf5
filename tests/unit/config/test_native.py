"""A native file that can't be used says where and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.config import load
from pytest_vdkprobe.config.sections import SECTIONS, register_section, shape_of
from pytest_vdkprobe.errors import ConfigError
from tests.unit.config.conftest import Loader


def refused(spec: Path | str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(str(spec), environ={})
    assert caught.value.to_try
    return caught.value


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("[control]\nurl = https://x\n", "line 2, column 7", "in quotes"),
        ("[control]\nurl 'x'\n", "line 2, column 5", "key = value"),
        ("[control]\nurl = 'x'\nurl = 'y'\n", "line 3", "twice"),
        ("[control]\n[control]\n", "line 2", "twice"),
        ('[control]\nca_file = "C:\\jobs"\n', "line 2", "single quotes"),
        ("[control\n", "line 1", "close the bracket"),
    ],
)
def test_bad_syntax_is_told_with_its_place_and_cure(
    native: Loader, text: str, place: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        native(text)
    assert place in caught.value.what
    assert "platform.toml" in caught.value.what
    assert remedy in str(caught.value.to_try)


def test_a_line_that_does_not_parse_is_not_quoted_for_it_may_be_a_secret(native: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        native("[control]\ntoken = hush-hush-hush\n")
    assert "hush" not in str(caught.value)


def test_a_file_with_a_byte_order_mark_loads(native: Loader) -> None:
    assert "control" in native("\ufeff[control]\nurl = 'x'\n")


def test_deep_nesting_is_no_crash(native: Loader) -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        native("a = " + "[" * 20_000 + "]" * 20_000)


def test_an_endless_number_is_no_crash(native: Loader) -> None:
    with pytest.raises(ConfigError, match="is not TOML"):
        native(f"[run]\nlimit = {'9' * 5000}\n")


def test_the_home_of_nobody_is_a_missing_file() -> None:
    assert "There is no configuration" in refused("~no-such-user-here/platform.toml").what


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "platform.toml").touch()
    error = refused(tmp_path / "platfrom.toml")
    assert "There is no configuration" in error.what
    assert "platform.toml" in str(error.to_try)


def test_a_folder_a_binary_and_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    assert "not text in UTF-8" in refused(tmp_path / "a.toml").what
    assert "a.toml" in str(refused(tmp_path).to_try)
    assert "does not say of which kind" in refused(tmp_path / "config.yaml").what
    assert "vdkprobe sandbox up" in str(refused("sandbox").to_try)


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("[contrl]\n", "no section [contrl]", "did you mean control?"),
        ("[zzzzz]\n", "no section [zzzzz]", "known are"),
        ("[report]\npath = 'x'\n", "no section [report]", ""),
        ("[waiting]\nlongest_s = 1\n", "no section [waiting]", ""),
        ("url = 'x'\n", "outside of any section", "below its section's header"),
        ("[jobs]\nname = 'x'\n", "a list of tables", "[[jobs]]"),
        ("[[control]]\nurl = 'x'\n", "one table", "[control]"),
        ("jobs = ['x']\n", "a list of tables", "[[jobs]]"),
        ("control = 1\n", "one table", "[control]"),
    ],
)
def test_unknown_and_misshapen_sections_are_refused(
    native: Loader, text: str, said: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        native(text)
    assert said in caught.value.what
    assert remedy in str(caught.value.to_try)
    assert "platform.toml" in str(caught.value.file)


def test_a_section_of_ones_own_is_known_once_registered(
    native: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        register_section("tenants", many=True)
        register_section("tenants", many=True)
        assert shape_of("tenants") == "[[tenants]]"
        assert "tenants" in native("[[tenants]]\nname = 'blue'\n")
        with pytest.raises(ConfigError, match="registered as"):
            register_section("tenants")
    finally:
        SECTIONS.pop("tenants", None)
