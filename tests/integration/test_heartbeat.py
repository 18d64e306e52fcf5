"""The heartbeat against a sound platform: green, with evidence, and nothing left behind."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.integration.heartbeats import STEPS, configuration, heartbeat, leftovers, sandbox


def test_every_step_passes_with_evidence(tmp_path: Path) -> None:
    with sandbox() as platform:
        heard = heartbeat(configuration(platform, tmp_path), f"--junitxml={tmp_path}/tests.xml")
        assert heard.exit_code == 0, heard.output
        assert tuple(heard.verdicts) == STEPS
        assert set(heard.verdicts.values()) == {"pass"}, heard.output
        assert all(step["evidence"] for step in heard.steps.values())
        assert leftovers(platform, tmp_path) == []
    cases = ET.parse(tmp_path / "tests.xml").getroot().iter("testcase")
    named = {
        case.attrib["name"]: {p.attrib["name"] for p in case.iter("property")} for case in cases
    }
    assert tuple(named) == STEPS
    assert {"run_id", "op_id", "verdict", "evidence"} <= named["run"]


def test_quick_leaves_out_what_takes_minutes(tmp_path: Path) -> None:
    with sandbox() as platform:
        heard = heartbeat(configuration(platform, tmp_path), "--vdk-quick")
        assert heard.exit_code == 0, heard.output
        assert [step for step in STEPS if step not in heard.verdicts] == [
            *("rollback", "schedule", "disable", "enable"),
        ]


def test_one_step_runs_what_it_needs(tmp_path: Path) -> None:
    with sandbox() as platform:
        heard = heartbeat(configuration(platform, tmp_path), "-k", "proof")
        assert heard.exit_code == 0, heard.output
        assert list(heard.verdicts) == ["reach", "create", "upload", "deploy", "run", "proof"]
        assert leftovers(platform, tmp_path) == []


@pytest.mark.parametrize("options", [("-n", "2"), ("-n", "2", "--dist=loadscope")])
def test_journeys_run_side_by_side_under_xdist(tmp_path: Path, options: tuple[str, ...]) -> None:
    with sandbox() as platform:
        path = configuration(platform, tmp_path, job='[[jobs]]\nname = "second-job"')
        heard = heartbeat(path, "--vdk-quick", *options)
        assert heard.exit_code == 0, heard.output
        assert len(heard.report["journeys"]) == 2
        assert leftovers(platform, tmp_path) == []


def test_login_by_api_token_and_own_ca(tmp_path: Path) -> None:
    with sandbox(auth=True, tls=True) as platform:
        heard = heartbeat(configuration(platform, tmp_path), "--vdk-quick")
        assert heard.exit_code == 0, heard.output
        assert "api-token" in heard.steps["reach"]["evidence"][0]


def test_a_users_own_job_gets_a_companion(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "10_hello.py").write_text(
        "def run(job_input):\n"
        "    print('hello from my own job')\n"
        "    job_input.set_all_properties({'mine': 'done'})\n"
    )
    (folder / "config.ini").write_text(
        "[owner]\nteam = somebody\n[job]\nschedule_cron = 11 3 * * *\n"
    )
    job = (
        'path = "mine"\nexpect_log = ["hello from my own job"]\nexpect_properties = {mine = "done"}'
    )
    with sandbox() as platform:
        heard = heartbeat(configuration(platform, tmp_path, job=job))
        assert heard.exit_code == 0, heard.output
        assert set(heard.verdicts.values()) == {"pass"}
        assert leftovers(platform, tmp_path) == []


def test_a_foreign_job_of_the_same_name_is_refused_and_survives(tmp_path: Path) -> None:
    import requests

    with sandbox() as platform:
        requests.post(
            f"{platform.url}/data-jobs/for-team/sandbox/jobs",
            json={"job_name": "hello-platform", "description": "somebody's", "config": {}},
            timeout=10,
        ).raise_for_status()
        path = configuration(platform, tmp_path, job="exact_name = true")
        heard = heartbeat(path)
        assert heard.first_bad == ("create", "error")
        assert heard.exit_code == 6
        assert "is not ours" in heard.output
        assert leftovers(platform, tmp_path) == ["hello-platform"]
