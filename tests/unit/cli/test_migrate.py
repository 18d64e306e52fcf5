"""What `vdkprobe migrate` writes means the same, holds no secret, and replaces no file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.config import load
from pytest_vdkprobe.config.legacy import LegacySettings
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.journeys.settings import RunSettings
from pytest_vdkprobe.problems import find_problems
from tests.unit.config.test_dataplatform_probe import EVENTS, TASKS

TOKEN = "a-token-that-nobody-may-see"
INI = f"""[DEFAULT]
CONTROL_API_URL = https://control.example.org
VDKCLI_OAUTH2_URI = https://login.example.org/token
VDKCLI_OAUTH2_REFRESH_TOKEN = {TOKEN}
JOB_TEAM = platform
JOB_NAME = hello-platform
JOB_NOTIFICATION_MAIL = a@example.org
DATAJOB_DIRECTORY_PARENT = jobs
DATAJOB_DIRECTORY_NAME = mine
JOB_RUN_TEST_CLASS_NAME = SimpleRunTest
RUN_TEST_TIMEOUT_SECONDS = 60
DATABASE_HOST = db.example.org
"""


@pytest.fixture
def ini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ini in the folder that the command is called in."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "heartbeat.ini"
    path.write_text(INI)
    return path


def test_the_native_file_means_the_same(ini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "heartbeat.ini", "-o", "native/platform.toml"]) == 4
    Path("native").mkdir()
    assert main(["migrate", "heartbeat.ini", "-o", "native/platform.toml"]) == 0
    before = load("heartbeat.ini", environ={})
    after = load("native/platform.toml", environ={})
    assert after.warnings == ()
    for section in (RunSettings, LegacySettings):
        name = section.__name__.removesuffix("Settings").lower()
        assert after.section(name, section) == before.section(name, section)
    assert after.sections("jobs", JobSettings)[0].path == "../jobs/mine"
    one, other = (c.section("control", ControlSettings) for c in (before, after))
    assert (one.url, one.team) == (other.url, other.team)


def test_each_line_tells_the_key_that_it_comes_from(
    ini: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", "heartbeat.ini"]) == 0
    text = capsys.readouterr().out
    assert 'url = "https://control.example.org"  # CONTROL_API_URL\n' in text
    assert 'path = "jobs/mine"  # DATAJOB_DIRECTORY_PARENT\n' in text
    assert tomllib.loads(text)["run"]["step_timeout_s"] == 60


def test_a_secret_moves_to_the_environment(ini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "heartbeat.ini"]) == 0
    text = capsys.readouterr().out
    assert TOKEN not in text
    assert tomllib.loads(text)["control"]["auth"]["token"] == {"env": "VDKCLI_OAUTH2_REFRESH_TOKEN"}
    assert "export VDKCLI_OAUTH2_REFRESH_TOKEN=..." in text


def test_an_address_with_a_password_is_never_written(
    ini: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = INI.replace("SimpleRunTest", "Acme\nJOB_RUN_TEST_MODULE_NAME = acme\n")
    ini.write_text(own + "ACME_DSN = postgresql://me:hunter22@db/lake\n")
    assert main(["migrate", "heartbeat.ini"]) == 0
    text = capsys.readouterr().out
    assert "hunter22" not in text
    assert tomllib.loads(text)["legacy"]["keys"]["ACME_DSN"] == {"env": "ACME_DSN"}
    ini.write_text(INI.replace("https://control", "https://me:hunter22@control"))
    assert main(["migrate", "heartbeat.ini"]) == 4
    told = capsys.readouterr()
    assert "hunter22" not in told.out + told.err
    assert "CONTROL_API_URL" in told.err


def test_the_environment_alone_can_be_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTROL_API_URL", "https://control.example.org")
    monkeypatch.setenv("JOB_RUN_TEST_CLASS_NAME", "SimpleRunTest")
    assert main(["migrate", "--from-env"]) == 0
    tables = tomllib.loads(capsys.readouterr().out)
    assert tables["control"] == {"url": "https://control.example.org", "team": "taurus"}


AUTHORIZED = {name: text for name, text in EVENTS.items() if name != "WEBHOOK_TOKEN"} | {
    "WEBSOCKET_LISTENERS": "3",
    "DISMISS_EVENT_TIMEOUT_SECONDS": "600",
    "BETTERUPTIME_HEARTBEAT_URL": "https://uptime.example.org/hush-hush-beat",
    "LOCAL_RUN": "true",
}
BOTH = {**TASKS, **AUTHORIZED, "CONTROL_API_URL": "https://control.example.org"}


@pytest.mark.parametrize(
    "variables",
    [{"DATASET_ID": "my-data"}, TASKS, EVENTS, AUTHORIZED, BOTH],
    ids=["least", "tasks", "events", "authorizer", "all"],
)
def test_the_dataplatform_probes_environment_can_be_migrated(
    variables: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["migrate", "--from-env", "-o", "platform.toml"]) == 0
    before, after = load("env"), load("platform.toml")
    assert after.raw_tables() == before.raw_tables()
    assert after.warnings == ()
    assert find_problems(after, need_control=False)[0] == []
    text = Path("platform.toml").read_text()
    assert "hush" not in text
    assert "token-token" not in text


def test_services_of_ones_own_are_nothing_to_migrate_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_SERVICES_ONLY", "true")
    assert main(["migrate", "--from-env", "-o", "platform.toml"]) == 4
    assert "unset it, for the platform itself" in capsys.readouterr().err
    assert not Path("platform.toml").exists()


def test_another_file_is_never_written_over(ini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("platform.toml").write_text("mine")
    assert main(["migrate", "heartbeat.ini", "-o", "platform.toml"]) == 4
    assert Path("platform.toml").read_text() == "mine"
    assert "platform.toml is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Name one thing to migrate from"),
        (["heartbeat.ini", "--from-env"], "Name one thing to migrate from"),
        (["native.toml"], "is a native configuration already"),
        (["missing.ini"], "There is no configuration missing.ini"),
    ],
)
def test_what_can_not_be_migrated_is_said(
    ini: Path, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("native.toml").write_text('[control]\nurl = "https://c"\nteam = "t"\n')
    assert main(["migrate", *arguments]) == 4
    assert text in capsys.readouterr().err
