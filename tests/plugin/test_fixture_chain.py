"""Each link of the chain can be overridden in a conftest.py, and the later ones follow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugin.conftest import Probe

ROUTE = """
[run]
lease_folder = "leases"
report_folder = "failures"
[[routes]]
name = "r"
target = { kind = "file", path = "in-{run}-{profile}.json", create = true }
reader = { kind = "file", path = "in-{run}-{profile}.json" }
records = 20
within_s = 5
late_s = 0.2
quiet_s = 0.05
"""

WRAPPED = """
import pytest, pathlib
from pytest_vdkprobe.api import Outcome, SendResult
@pytest.fixture(scope="session")
def vdk_make_target(vdk_make_target):
    def make(kind, settings, **more):
        made = vdk_make_target(kind, settings, **more)
        send = made.send
        def all_but_one(records, *, deadline):
            results = iter(send([one for one in records if one.seq != 7], deadline=deadline))
            kept_back = SendResult(Outcome.ACKNOWLEDGED)
            return [kept_back if one.seq == 7 else next(results) for one in records]
        made.send = all_but_one
        return made
    return make
@pytest.fixture(scope="session")
def vdk_ledger_folder():
    return pathlib.Path("ledgers")
"""


def report_of(probe: Probe, *args: str) -> dict[str, Any]:
    """Each step's entry in the report of a run."""
    probe.run("--vdk-report=report.json", *args)
    report = json.loads((probe.pytester.path / "report.json").read_text())
    return {step["step"]: step for journey in report["journeys"] for step in journey["steps"]}


def test_what_makes_a_target_can_be_wrapped_and_the_route_follows(probe: Probe) -> None:
    probe.write("platform.toml", ROUTE)
    probe.write("conftest.py", WRAPPED)
    step = report_of(probe)["direct[small]"]
    assert step["verdict"] == "fail"
    assert step["account"]["lost"] == 1
    assert list((probe.pytester.path / "ledgers").iterdir())


def test_what_makes_a_ledger_can_be_replaced_and_the_route_follows(probe: Probe) -> None:
    probe.write("platform.toml", ROUTE)
    probe.write(
        "conftest.py",
        "import pytest, pathlib\nfrom pytest_vdkprobe.api import Ledger\n"
        "class Told(Ledger):\n"
        "    def intend(self, seqs):\n"
        "        super().intend(seqs)\n"
        "        with pathlib.Path('told').open('a') as file:\n"
        "            print(self.profile, *seqs, file=file)\n"
        "@pytest.fixture(scope='session')\n"
        "def vdk_make_ledger(): return Told.create\n",
    )
    step = report_of(probe)["direct[small]"]
    assert (step["verdict"], step["account"]["sent"]) == ("pass", 20)
    told = [line.split() for line in (probe.pytester.path / "told").read_text().splitlines()]
    seqs = [int(seq) for profile, *seqs in told if profile == "small" for seq in seqs]
    assert sorted(seqs) == list(range(20))


def test_waits_look_as_often_as_the_policy_says(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "import pytest\nfrom pytest_vdkprobe.api import Pace\n"
        "@pytest.fixture(scope='session')\n"
        "def vdk_wait_policy(): return Pace(first_pause_s=0.2, longest_pause_s=0.2)\n",
    )
    probe.scenario(
        "@step\ndef test_wait(vdk_step):\n"
        "    ends = Deadline.after(0.3, 'a moment')\n"
        "    wait_until('the end', lambda: ends.expired, done=bool, deadline=Deadline.after(60))\n"
        "    vdk_step.evidence('ended')\n"
    )
    assert report_of(probe, "test_mine.py")["wait"]["polls"] <= 3


def test_what_loads_a_job_can_be_wrapped(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "import pytest, msgspec\n"
        "@pytest.fixture(scope='session')\n"
        "def vdk_load_template(vdk_load_template):\n"
        "    def load(*args, **more):\n"
        "        template = vdk_load_template(*args, **more)\n"
        "        return msgspec.structs.replace(template, origin='wrapped')\n"
        "    return load\n"
        "@pytest.fixture(scope='session')\n"
        "def vdk_control(vdk_control_settings):\n"
        "    import types\n"
        "    return types.SimpleNamespace(settings=vdk_control_settings, mark=lambda: None,\n"
        "                                 exchanges=[])\n",
    )
    probe.scenario(
        "@step\ndef test_load(vdk_job, vdk_step): vdk_step.evidence(vdk_job.own.template.origin)\n"
    )
    assert report_of(probe, "test_mine.py")["load"]["evidence"] == ["wrapped"]


def test_a_placeholder_that_nothing_fills_in_is_refused(probe: Probe) -> None:
    wrong = ROUTE.replace("in-{run}-{profile}", "in-{run}-{profil}", 1)
    probe.write("platform.toml", wrong)
    line = wrong[: wrong.index("{profil}")].count("\n") + 1
    result = probe.run()
    text = result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Nothing is known to fill in for {profil}." in text
    assert f"platform.toml, line {line}, key routes.0.target.path" in text
    assert "did you mean {profile}?" in text


def test_what_is_remembered_is_there_for_a_step_to_compare_with(probe: Probe) -> None:
    probe.scenario(
        "@step\ndef test_past(vdk_history, vdk_step):\n"
        "    past = vdk_history.get('mine[hello-platform]')\n"
        "    vdk_step.evidence('none' if past is None else ' '.join(sorted(past.passed)))\n"
    )
    history = "--vdk-history=sqlite:///past.db"
    assert report_of(probe, "test_mine.py", history)["past"]["evidence"] == ["none"]
    assert report_of(probe, "test_mine.py", history)["past"]["evidence"] == ["past"]
    off = report_of(probe, "test_mine.py", "--vdk-history=off")
    assert off["past"]["evidence"] == ["none"]


def test_a_configuration_of_ones_own_reaches_the_job(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "import pytest, types\nfrom pytest_vdkprobe.api import load\n"
        "@pytest.fixture(scope='session')\n"
        "def vdk_configuration(vdk_configuration):\n"
        "    return load('platform.toml', overrides={\n"
        "        'jobs.0.description': 'by night', 'control.team': 'night'})\n"
        "@pytest.fixture(scope='session')\n"
        "def vdk_control(vdk_control_settings):\n"
        "    return types.SimpleNamespace(settings=vdk_control_settings, mark=lambda: None,\n"
        "                                 exchanges=[])\n",
    )
    probe.scenario(
        "@step\ndef test_load(vdk_job, vdk_step):\n"
        "    vdk_step.evidence(f'{vdk_job.settings.description}, {vdk_job.client.settings.team}')\n"
    )
    (evidence,) = report_of(probe, "test_mine.py")["load"]["evidence"]
    assert evidence == "by night, night"
