"""Settings become typed values with a source, or an error that says what to write."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import ConfigError
from tests.unit.config.conftest import Loader
from tests.unit.config.kinds import Control, Job, Named, Token

FULL = """
[control]
url = "https://c"
timeout_s = 7
ca_file = "own.pem"
limits = { deploy = 3 }
auth = { kind = "token", url = "https://l", token = { env = "T" } }

[[jobs]]
name = "first"
[[jobs]]
name = "second"
"""


def test_a_section_becomes_a_typed_value(native: Loader, tmp_path: Path) -> None:
    configuration = native(FULL)
    control = configuration.section("control", Control)
    assert control.timeout_s == 7
    assert control.limits == {"deploy": 3}
    assert control.auth == Token(url="https://l", token=SecretRef(env="T"))
    assert configuration.section("control", Control) is control
    assert [job.name for job in configuration.sections("jobs", Job)] == ["first", "second"]
    assert configuration.base_dir == tmp_path


def test_paths_start_from_the_file_they_stand_in(
    native: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    secret_file = FULL.replace('env = "T"', 'file = "token.txt"')
    control = native(secret_file).section("control", Control)
    assert control.ca_file == str(tmp_path / "own.pem")
    assert isinstance(control.auth, Token)
    assert control.auth.token.file == str(tmp_path / "token.txt")
    by_hand = native(FULL, {"control.ca_file": "mine.pem"}).section("control", Control)
    assert by_hand.ca_file == str(here / "mine.pem")


def test_a_missing_section_has_its_defaults_or_names_what_it_needs(native: Loader) -> None:
    configuration = native("[run]\n")
    assert configuration.sections("jobs", Job) == ()
    with pytest.raises(ConfigError) as caught:
        configuration.section("control", Control)
    assert caught.value.what == "The setting control.url is missing."
    assert caught.value.to_try == 'write below [control]: url = "..."'


@pytest.mark.parametrize(
    ("line", "said", "remedy"),
    [
        ("ulr = 'x'", "[control] has no setting ulr", "did you mean url?"),
        ("zzzzzzz = 1", "no setting zzzzzzz", "known are"),
        ("team = 5", "control.team is a whole number, not text", 'team = "..."'),
        ("retries = '3'", "control.retries is text, not a whole number", "retries = 3"),
        ("retries = true", "is true or false, not a whole number", "retries = 1"),
        ("retries = 99", "control.retries can't be used: must be 0 to 20", "a smaller number"),
        ("timeout_s = nan", "is nan, not a finite number", "timeout_s = 1.5"),
        ("timeout_s = inf", "is inf, not a finite number", "timeout_s = 1.5"),
        ("verify_tls = 1", "not true or false", "verify_tls = true"),
        ("keytab = 'byts'", "is none of the words it can be", "did you mean bytes?"),
        ("limits = { deploy = 'x' }", "control.limits.deploy is text", "deploy = 1.5"),
        ("limits = 5", "control.limits is a whole number, not a table", "limits = {"),
        ("tags = 'x'", "control.tags is text, not a list of text", 'tags = ["..."]'),
        ("tags = [1]", "control.tags.0 is a whole number, not text", '"..."'),
        ("ca_file = 1979-05-27", "control.ca_file is a date", '"..."'),
        ("auth = 'token'", "a table of one of the kinds plain, token", "auth = { kind ="),
        ("auth = { url = 'x' }", "does not say its kind", "auth = { kind ="),
        ("auth = { kind = 'tokn' }", "has no such kind", "did you mean token?"),
        (
            "auth = { kind = 'token', token = { env = 'T' } }",
            "control.auth.url is missing",
            "url =",
        ),
        ("auth = { kind = 'plain', url = 'x' }", "control.auth of kind plain has no", "known are"),
        (
            "auth = { kind = 'token', url = 'x', token = {} }",
            "control.auth.token can't be used: a secret has exactly one place",
            "env =",
        ),
        (
            "auth = { kind = 'token', url = 'x', token = { evn = 'T' } }",
            "control.auth.token has no setting evn",
            "did you mean env?",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_key_file_and_remedy(
    native: Loader, line: str, said: str, remedy: str
) -> None:
    configuration = native(f"[control]\nurl = 'https://c'\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        configuration.section("control", Control)
    assert said in caught.value.what
    assert remedy in str(caught.value.to_try)
    assert "platform.toml" in str(caught.value.file)
    assert str(caught.value.key).startswith("control.")


@pytest.mark.parametrize("value", ["'hush-hush-hush'", "['hush-hush-hush']", "12345678"])
def test_a_secret_written_out_is_refused_and_never_shown(native: Loader, value: str) -> None:
    configuration = native(
        f"[control]\nurl = 'x'\nauth = {{ kind = 'token', url = 'x', token = {value} }}\n"
    )
    with pytest.raises(ConfigError) as caught:
        configuration.section("control", Control)
    shown = f"{caught.value}{configuration.settings()}{configuration.redacted_tables()}"
    assert "a configuration only names its place" in shown
    assert "hush" not in shown
    assert "12345678" not in shown


def test_the_second_entry_is_named_by_its_number(native: Loader) -> None:
    with pytest.raises(ConfigError) as caught:
        native("[[jobs]]\nname = 'a'\n[[jobs]]\nnam = 'b'\n").sections("jobs", Job)
    assert caught.value.key == "jobs.1.nam"
    with pytest.raises(ConfigError) as caught:
        native("[[jobs]]\nname = 'a'\n[[jobs]]\n").sections("jobs", Job)
    assert caught.value.to_try == 'write below [[jobs]], in entry 2: name = "..."'


def test_reading_a_section_in_the_wrong_shape_is_refused(native: Loader) -> None:
    configuration = native(FULL)
    with pytest.raises(ConfigError, match="not written as it is read"):
        configuration.section("jobs", Job)
    with pytest.raises(ConfigError, match="not written as it is read"):
        configuration.sections("control", Control)


def test_every_setting_is_listed_with_value_and_source(native: Loader) -> None:
    configuration = native(FULL, {"control.team": "red"}, {"VDKPROBE_CONTROL__RETRIES": "4"})
    configuration.check_sections({"control": Control, "jobs": Job})
    rows = {key: (value, source) for key, value, source in configuration.settings()}
    assert rows["control.url"] == ("https://c", configuration.name)
    assert rows["control.team"] == ("red", "--vdk-set")
    assert rows["control.retries"] == ("4", "environment VDKPROBE_CONTROL__RETRIES")
    assert rows["control.verify_tls"] == ("true", "default")
    assert rows["control.auth.kind"] == ("token", configuration.name)
    assert rows["control.auth.token"] == ("secret from environment T", configuration.name)
    assert rows["jobs.1.name"] == ("second", configuration.name)
    assert "control.verify_tls" not in {row[0] for row in configuration.settings(defaults=False)}
    assert configuration.source("jobs[1].name") == configuration.name
    assert configuration.source("control.keytab") == "default"


def test_a_type_that_only_peeks_does_not_stand_for_the_section(native: Loader) -> None:
    configuration = native("[[jobs]]\nname = 'a'\nlimits = { run = 1 }\n")
    assert [job.name for job in configuration.sections("jobs", Named)] == ["a"]
    assert ("jobs.0.limits.run", "1", configuration.name) in configuration.settings()


def test_a_report_gets_the_tables_without_credentials() -> None:
    tables = {
        "control": {"url": "https://me:hush@c", "auth": {"token": {"env": "T"}, "pin": 3}},
        "jobs": [{"name": "a", "values": {"password": "hush", "deep": [1, {"x": True}]}}],
    }
    assert from_tables("sandbox", tables, environ={}).redacted_tables() == {
        "control": {
            "url": "https://[redacted]@c",
            "auth": {"token": "secret from environment T", "pin": 3},
        },
        "jobs": [{"name": "a", "values": {"password": "[redacted]", "deep": [1, {"x": True}]}}],
    }


def test_tables_of_the_sandbox_are_checked_and_not_changed() -> None:
    tables = {"control": {"url": "x"}}
    configuration = from_tables(
        "sandbox", tables, overrides={"control.team": "red"}, environ={"VDKPROBE_CONTROL__URL": "y"}
    )
    assert configuration.kind == "sandbox"
    assert configuration.section("control", Control).url == "y"
    assert tables == {"control": {"url": "x"}}
    with pytest.raises(ConfigError, match="no section"):
        from_tables("sandbox", {"contrl": {}}, environ={})


def test_all_problems_are_found_at_once(native: Loader) -> None:
    configuration = native("[control]\n[[jobs]]\n")
    found = configuration.problems({"control": Control, "jobs": Job})
    assert [problem.key for problem in found] == ["control.url", "jobs.0.name"]
    with pytest.raises(ConfigError, match=r"control\.url"):
        configuration.check_sections({"control": Control, "jobs": Job})


KEYS = some.sampled_from(
    ["control", "jobs", "url", "auth", "kind", "token", "env", "limits", "tags", "retries", "name"]
) | some.text(max_size=6)
LEAVES = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.dates()
    | some.text(max_size=8)
    | some.sampled_from(["token", "plain", "any"])
)
VALUES = some.recursive(
    LEAVES,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(
    tables=some.dictionaries(KEYS, VALUES, max_size=4), override=KEYS, text=some.text(max_size=9)
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_in_the_tables_only_a_config_error_comes_out(
    tables: dict[str, object], override: str, text: str
) -> None:
    with contextlib.suppress(ConfigError):
        configuration = from_tables(
            "sandbox", tables, overrides={f"control.{override}": text}, environ={}
        )
        configuration.settings()
        configuration.redacted_tables()
        configuration.problems({"control": Control, "jobs": Job})
        configuration.settings()
