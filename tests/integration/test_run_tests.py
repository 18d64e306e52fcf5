"""Users' own run tests of vdk-heartbeat's kind: played, bounded, and cleaned up after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.plugin.conftest import LEAN

OWN = """
import pathlib, time
from vdk.internal.heartbeat.config import Config
from vdk.internal.heartbeat.heartbeat_test import HeartbeatTest
from vdk.internal.heartbeat.job_controller import JobController
from vdk.internal.heartbeat.tracing import LogDecorator

class AcmeRunTest(HeartbeatTest):
    def __init__(self, config: Config):
        super().__init__(config)
        self.__job_controller = JobController(config)

    @LogDecorator(None)
    def setup(self):
        pathlib.Path("ready").write_text(self.config.get_value("ACME_COLOUR"))
        {setup}

    def execute_test(self):
        {test}
        assert "nonce" in str(self.__job_controller.get_job_properties())
        assert self.config.job_name.startswith("vdk-heartbeat-data-job")
        assert self.config.DATABASE_PORT == 8080
        assert self.config.vdkcli_api_refresh_token

    def clean_up(self):
        pathlib.Path("ready").unlink()
        pathlib.Path("cleaned").touch()
"""
INI = """[DEFAULT]
CONTROL_API_URL = {url}
VDKCLI_OAUTH2_URI = {token_url}
JOB_TEAM = {team}
JOB_RUN_TEST_MODULE_NAME = acme_tests
JOB_RUN_TEST_CLASS_NAME = {name}
REPORT_JUNIT_XML_FILE_PATH =
ACME_COLOUR = blue
{more}
"""


@pytest.fixture(scope="module")
def platform() -> Iterator[Sandbox]:
    """A platform that answers at once."""
    with Sandbox(executor="instant", auth=True) as sandbox:
        yield sandbox


class Heartbeat:
    """Runs the heartbeat by an ini of vdk-heartbeat's that names a class of the user's own."""

    def __init__(self, pytester: pytest.Pytester, platform: Sandbox) -> None:
        self.pytester = pytester
        self.platform = platform

    def play(
        self,
        *args: str,
        setup: str = "pass",
        test: str = "pass",
        name: str = "AcmeRunTest",
        **more: str,
    ) -> tuple[dict[str, Any], str, int]:
        """Each step, what was printed, the exit code."""
        (self.pytester.path / "acme_tests.py").write_text(OWN.format(setup=setup, test=test))
        keys = "\n".join(f"{key} = {value}" for key, value in more.items())
        places = {"url": self.platform.url, "token_url": self.platform.token_url}
        ini = INI.format(**places, team=self.platform.team, name=name, more=keys)
        (self.pytester.path / "heartbeat.ini").write_text(ini)
        (self.pytester.path / "pytest.ini").write_text("[pytest]\n")
        done = self.pytester.runpytest_subprocess(
            "--vdk-config=heartbeat.ini",
            "--vdk-report=report.json",
            "--vdk-quick",
            *LEAN,
            *args,
            timeout=120,
        )
        path = self.pytester.path / "report.json"
        steps = {}
        if path.exists():
            journeys = json.loads(path.read_text())["journeys"]
            steps = {step["step"]: step for journey in journeys for step in journey["steps"]}
        return steps, done.stdout.str() + done.stderr.str(), int(done.ret)

    def left(self, name: str) -> bool:
        """Whether the class has left this file."""
        return (Path(self.pytester.path) / name).exists()


@pytest.fixture
def heartbeat(
    pytester: pytest.Pytester, platform: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Heartbeat:
    """Runs a heartbeat with a class of the user's own."""
    monkeypatch.setenv("VDKCLI_OAUTH2_REFRESH_TOKEN", platform.tokens.api_token)
    return Heartbeat(pytester, platform)


def test_a_run_test_of_the_users_own_is_played_without_vdk_heartbeat(heartbeat: Heartbeat) -> None:
    steps, text, code = heartbeat.play()
    assert code == 0, text
    assert "AcmeRunTest.execute_test returned" in steps["run_test"]["evidence"][0]
    order = [name for name in steps if name in ("prepare_run_test", "run", "run_test")]
    assert order == ["prepare_run_test", "run", "run_test"]
    assert heartbeat.left("cleaned")
    assert not heartbeat.left("ready")


def test_what_it_raises_is_a_failure_with_the_line(heartbeat: Heartbeat) -> None:
    steps, text, code = heartbeat.play(test="raise KeyError('end_time')")
    assert code == 1, text
    finding = steps["run_test"]["finding"]
    assert finding["what"] == "AcmeRunTest.execute_test raised KeyError: 'end_time'"
    assert "acme_tests.py, line 19" in finding["checked"]
    assert steps["delete"]["verdict"] == "pass"
    assert heartbeat.left("cleaned")


def test_one_that_hangs_is_ended_and_cleaned_up_after(heartbeat: Heartbeat) -> None:
    steps, text, code = heartbeat.play(test="time.sleep(60)", RUN_TEST_TIMEOUT_SECONDS="2")
    assert code == 1, text
    assert "did not return within the step's limit of 2 s" in steps["run_test"]["finding"]["what"]
    assert heartbeat.left("cleaned")


def test_one_that_can_not_get_ready_is_ours_and_cleaned_up_after(heartbeat: Heartbeat) -> None:
    steps, text, code = heartbeat.play(setup="raise OSError('no database')")
    assert code == 6, text
    assert steps["prepare_run_test"]["verdict"] == "error"
    assert steps["run"]["verdict"] == "pass"
    assert heartbeat.left("cleaned")


@pytest.mark.parametrize(
    ("name", "more", "texts"),
    [
        ("AcmeTest", {}, ["has no class AcmeTest", "AcmeRunTest", "jobs.0.run_test.class_name"]),
        ("JobController", {}, ["lacks setup; and execute_test; and clean_up"]),
        ("X", {"JOB_RUN_TEST_MODULE_NAME": "acme.no"}, ["can't be imported", "No module named"]),
    ],
)
def test_one_that_can_not_be_played_is_refused_before_anything_is_created(
    heartbeat: Heartbeat,
    name: str,
    more: dict[str, str],
    texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key, value in more.items():
        monkeypatch.setenv(key, value)
    steps, text, code = heartbeat.play(name=name)
    assert code == 4, text
    assert [one for one in texts if one not in text] == [], text
    assert not steps
