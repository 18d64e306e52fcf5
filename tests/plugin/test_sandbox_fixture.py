"""A user's test makes the run's sandbox wrong, in any process of the run, and right again."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import Probe

SANDBOX = ("--vdk-set", "sandbox.executor=instant", "--vdk-set", "sandbox.tls=true")

FAULTED = """
@step
def test_reach(vdk_job): vdk_job.reach()

@step(needs=["reach"])
def test_create(vdk_job): vdk_job.create()

@step(needs=["create"])
def test_read_back(vdk_job, vdk_sandbox, vdk_step):
    with vdk_sandbox.fault("team-ignored", job=vdk_job.own.name):
        with pytest.raises(PlatformFailure):
            vdk_job.require_read_back()
        vdk_step.evidence(f"{vdk_sandbox.planted()} {vdk_sandbox.team}")
    vdk_job.require_read_back()

@step(needs=["create"])
def test_unknown(vdk_sandbox):
    with vdk_sandbox.fault("logs-emty"):
        pass
"""


@pytest.mark.parametrize("more", [(), ("-n", "1")], ids=["here", "on a worker"])
def test_a_fault_lasts_as_long_as_its_block(probe: Probe, more: tuple[str, ...]) -> None:
    probe.scenario(FAULTED)
    probe.config = "sandbox"  # type: ignore[assignment]  # as the option takes it
    probe.run_apart("test_mine.py", "--vdk-report=report.json", *SANDBOX, *more)
    report = json.loads((probe.pytester.path / "report.json").read_text())
    steps = {step["step"]: step for step in report["journeys"][0]["steps"]}
    assert steps["read_back"]["verdict"] == "pass", steps
    assert "{'team-ignored': 1} sandbox" in steps["read_back"]["evidence"]
    assert steps["unknown"]["verdict"] == "error"
    assert "did you mean logs-empty?" in json.dumps(steps["unknown"])


def test_without_a_sandbox_of_its_own_a_run_is_told_how_to_have_one(probe: Probe) -> None:
    probe.scenario("@step\ndef test_mine(vdk_sandbox): pass\n")
    result = probe.run("test_mine.py")
    result.stdout.fnmatch_lines(
        [
            "*This run has no sandbox of its own, and the fixture vdk_sandbox starts none.",
            "*Seen:*platform.toml*",
            "*To try:*pytest --vdk-config=sandbox; *",
        ]
    )
    assert result.ret == 6


def test_the_sandbox_can_be_overridden_like_any_link(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "import pytest\nfrom pytest_vdkprobe.api import RunningSandbox\n"
        "@pytest.fixture(scope='session')\n"
        "def vdk_sandbox(): return RunningSandbox('http://127.0.0.1:9', 'mine')\n",
    )
    probe.scenario(
        "@step\ndef test_mine(vdk_sandbox, vdk_step):\n"
        "    vdk_step.evidence(vdk_sandbox.team)\n"
        "    vdk_sandbox.planted()\n"
    )
    result = probe.run("test_mine.py")
    result.stdout.fnmatch_lines(["*The sandbox does not answer.", "*GET http://127.0.0.1:9/*"])
    assert result.ret == 6
