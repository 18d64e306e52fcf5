"""Command line over environment over file, each spelt the way its users expect."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import ConfigError
from tests.unit.config.conftest import Loader
from tests.unit.config.kinds import Control, Job, Token

BASE = "[control]\nurl = 'https://file'\n[[jobs]]\nname = 'first'\n"


def test_command_line_beats_environment_beats_file(native: Loader) -> None:
    environ = {"VDKPROBE_CONTROL__URL": "https://env", "VDKPROBE_CONTROL__TEAM": "env"}
    configuration = native(BASE, {"control.url": "https://line"}, environ)
    control = configuration.section("control", Control)
    assert (control.url, control.team) == ("https://line", "env")
    assert configuration.source("control.url") == "--vdk-set"
    assert configuration.source("control.team") == "environment VDKPROBE_CONTROL__TEAM"


def test_an_empty_value_is_a_value(native: Loader) -> None:
    environ = {"VDKPROBE_CONTROL__TEAM": ""}
    assert native(BASE, None, environ).section("control", Control).team == ""


@pytest.mark.parametrize(
    "text", ["123", "1979-05-27", "true", "[1]", "'quoted'", "plain", "a\n= 1", "9" * 5000]
)
def test_a_setting_of_text_takes_any_text(native: Loader, text: str) -> None:
    wanted = "quoted" if text == "'quoted'" else text
    assert native(BASE, {"control.team": text}).section("control", Control).team == wanted


def test_other_settings_take_toml(native: Loader) -> None:
    overrides = {
        "control.retries": "7",
        "control.verify_tls": "false",
        "control.tags": '["a", "b"]',
        "control.limits": "{ deploy = 3 }",
        "control.limits.run": "4",
        "control.ca_file": "/x.pem",
    }
    control = native(BASE, overrides).section("control", Control)
    assert (control.retries, control.verify_tls, control.tags) == (7, False, ("a", "b"))
    assert control.limits == {"deploy": 3, "run": 4}
    assert control.ca_file == "/x.pem"


def test_entries_are_reached_by_number_and_by_name_and_added_behind_the_last(
    native: Loader,
) -> None:
    overrides = {"jobs.first.limits.run": "1", "jobs[0].limits.log": "2", "jobs.1.name": "second"}
    jobs = native(BASE, overrides).sections("jobs", Job)
    assert jobs == (Job(name="first", limits={"run": 1, "log": 2}), Job(name="second"))


def test_a_later_layer_replaces_what_an_earlier_one_put_below_it(native: Loader) -> None:
    auth = "{ kind = 'plain' }"
    configuration = native(BASE, {"control.auth": auth}, {"VDKPROBE_CONTROL__AUTH__KIND": "token"})
    assert configuration.section("control", Control).auth.__class__.__name__ == "Plain"
    assert configuration.source("control.auth.kind") == "--vdk-set"


@pytest.mark.parametrize(
    ("key", "said", "remedy"),
    [
        ("contrl.url", "there is no section [contrl]", "did you mean control.url?"),
        ("control", "a whole section", "control.KEY"),
        ("control.url.deep", "control.url has no settings below it", "set control.url itself"),
        ("jobs.5.name", "jobs has no entry 5", "from 0 to 1"),
        ("jobs.frist.name", "jobs has no entry frist", "did you mean first?"),
        ("control..url", "does not name a setting", "control.team=blue"),
    ],
)
def test_an_override_without_a_place_is_refused(
    native: Loader, key: str, said: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        native(BASE, {key: "x"})
    assert said in caught.value.what
    assert remedy in str(caught.value.to_try)


def test_a_misspelt_variable_is_told_as_it_should_be_spelt(native: Loader) -> None:
    with pytest.raises(ConfigError, match="no section") as caught:
        native(BASE, None, {"VDKPROBE_CONTRL__URL": "x"})
    assert caught.value.to_try == "did you mean VDKPROBE_CONTROL__URL?"
    configuration = native(BASE, None, {"VDKPROBE_CONTROL__ULR": "x"})
    with pytest.raises(ConfigError, match="no setting ulr") as caught:
        configuration.section("control", Control)
    assert caught.value.to_try == "did you mean VDKPROBE_CONTROL__URL?"
    assert caught.value.key == "control.ulr from environment VDKPROBE_CONTROL__ULR"
    with pytest.raises(ConfigError, match="does not name a setting"):
        native(BASE, None, {"VDKPROBE_CONTROL__": "x"})


def test_names_with_one_underscore_are_options_or_earn_a_warning(native: Loader) -> None:
    environ = {"VDKPROBE_CONFIG": "x", "VDKPROBE_QUICK": "1", "VDKPROBE_CONTROL_URL": "x"}
    (warning,) = native(BASE, None, environ).warnings
    assert warning.startswith("VDKPROBE_CONTROL_URL is not read")
    assert warning.endswith("VDKPROBE_CONTROL__URL.")


TOKEN = BASE.replace("[[", "auth = { kind = 'token', url = 'x' }\n[[")


@pytest.mark.parametrize("text", ["hush-hush-hush", "1234567890"])
def test_a_secret_on_the_command_line_is_refused_unseen(native: Loader, text: str) -> None:
    configuration = native(TOKEN, {"control.auth.token": text})
    with pytest.raises(ConfigError, match="given on the command line") as caught:
        configuration.section("control", Control)
    assert text not in f"{caught.value}{configuration.settings()}"
    assert "{ env =" in str(caught.value.to_try)


def test_its_place_may_stand_on_the_command_line(native: Loader) -> None:
    for overrides in (
        {"control.auth.token": "{ env = 'T' }"},
        {"control.auth.token.env": "T"},
    ):
        auth = native(TOKEN, overrides).section("control", Control).auth
        assert auth == Token(url="x", token=SecretRef(env="T"))


@pytest.mark.parametrize("text", ["hush-hush-hush", "1234567890"])
def test_a_secret_in_the_environment_stays_there(native: Loader, text: str) -> None:
    environ = {"VDKPROBE_CONTROL__AUTH__TOKEN": text}
    configuration = native(TOKEN, None, environ)
    auth = configuration.section("control", Control).auth
    assert isinstance(auth, Token)
    assert auth.token.resolve(environ).reveal() == text
    assert text not in f"{auth}{configuration.settings()}{configuration.redacted_tables()}"
