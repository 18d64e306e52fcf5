"""Options: where each may come from, which one wins, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import LEAN, THREE, Probe


@pytest.fixture
def scenario(probe: Probe) -> Probe:
    """A scenario that tells what was configured."""
    probe.scenario(
        """
@step
def test_tell(vdk_step, vdk_run, vdk_configuration):
    rows = {key: value for key, value, _ in vdk_configuration.settings()}
    print("TEAM", rows["control.team"], "QUICK", vdk_run.quick)
    vdk_step.evidence("told")
"""
    )
    return probe


def told(probe: Probe, *args: str) -> str:
    """What the scenario printed."""
    result = probe.pytester.runpytest_inprocess("test_mine.py", "-s", *LEAN, *args)
    return next((line for line in result.outlines if "TEAM" in line), "")


def test_the_configuration_may_come_from_the_environment(
    scenario: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VDKPROBE_CONFIG", "platform.toml")
    assert "TEAM platform QUICK False" in told(scenario)


def test_the_configuration_may_come_from_the_ini_file_relative_to_it(
    scenario: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.write("pytest.ini", "[pytest]\nvdk_config = platform.toml\nvdk_quick = true\n")
    (scenario.pytester.path / "sub").mkdir()
    monkeypatch.chdir(scenario.pytester.path / "sub")
    result = scenario.pytester.runpytest_inprocess("../test_mine.py", "-s", *LEAN)
    assert "TEAM platform QUICK True" in result.stdout.str()


def test_command_line_beats_environment_beats_ini(
    scenario: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.write(
        "pytest.ini", "[pytest]\nvdk_config = platform.toml\nvdk_set = control.team=ini\n"
    )
    assert "TEAM ini" in told(scenario)
    monkeypatch.setenv("VDKPROBE_CONTROL__TEAM", "twin")
    assert "twin" in told(scenario)
    monkeypatch.delenv("VDKPROBE_CONTROL__TEAM")
    monkeypatch.setenv("VDKPROBE_SET", "control.team=env")
    assert "TEAM env" in told(scenario)
    assert "TEAM cli" in told(scenario, "--vdk-set", "control.team=cli")


def test_quick_may_be_switched_off_by_the_environment(
    scenario: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.write("pytest.ini", "[pytest]\nvdk_config = platform.toml\nvdk_quick = true\n")
    monkeypatch.setenv("VDKPROBE_QUICK", "0")
    assert "QUICK False" in told(scenario)


@pytest.mark.parametrize(
    ("args", "environment", "text"),
    [
        (["--vdk-config=missing.toml"], {}, "missing.toml"),
        (["--vdk-config="], {"VDKPROBE_CONFIG": "platform.toml"}, "--vdk-config names nothing"),
        (["--vdk-config=platform.toml", "--vdk-set", "team"], {}, "--vdk-set control.team=blue"),
        (["--vdk-config=platform.toml"], {"VDKPROBE_QUICK": "maybe"}, "neither true nor false"),
        (["--vdk-config=platform.toml", "--vdk-set", "run.gracs_s=1"], {}, "grace_s"),
    ],
)
def test_what_is_unusable_is_said_with_its_remedy_before_anything_runs(
    probe: Probe,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    environment: dict[str, str],
    text: str,
) -> None:
    probe.scenario(THREE)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = probe.pytester.runpytest_inprocess("test_mine.py", *LEAN, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert text in result.stderr.str()
    assert "collected" not in result.stdout.str()


def test_a_sandbox_without_its_extra_is_said_with_the_command_that_installs_it(
    probe: Probe,
) -> None:
    probe.scenario(THREE)
    probe.write(
        "conftest.py",
        """
import importlib.util

found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *args: None if name == "uvicorn" else found(name, *args)
""",
    )
    probe.config = "sandbox"  # type: ignore[assignment]  # as the option takes it
    result = probe.run_apart("test_mine.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "The sandbox needs uvicorn, which is not installed." in result.stderr.str()
    assert "pip install '.[sandbox]'" in result.stderr.str()


def test_the_sandbox_is_started_once_and_told_to_the_workers(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        """
import sys, types, os
def start(*args, **kwargs):
    print("SANDBOX STARTED", file=sys.__stderr__)
    control = {"url": "http://127.0.0.1:9", "team": "box"}
    return {"control": control, "jobs": [{"name": "boxed-job"}]}
module = types.ModuleType("pytest_vdkprobe.sandbox.session")
module.start = start
sys.modules["pytest_vdkprobe.sandbox.session"] = module
""",
    )
    probe.scenario(THREE)
    result = probe.pytester.runpytest_subprocess(
        "test_mine.py", "--vdk-config=sandbox", "-n2", "-v", *LEAN, timeout=180
    )
    result.assert_outcomes(passed=3)
    assert result.stderr.str().count("SANDBOX STARTED") == 1
    assert "mine[boxed-job]::create" in result.stdout.str()
