"""`--vdk-plan` and `--vdk-sweep`: something is told or removed, and no test runs."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import THREE, Probe

FAKES = """
import pytest_vdkprobe.journeys.cleanup as cleanup
import pytest_vdkprobe.planning as planning
from pytest_vdkprobe.errors import {error}
def plan(run): return ["would create job x"]
def sweep(run): {sweep}
def pytest_configure(config):
    planning.plan, cleanup.sweep = plan, sweep
"""


def fake(probe: Probe, sweep: str = "return ['job x deleted']", error: str = "ProbeError") -> None:
    """Stand in for the plan and the sweep."""
    probe.write("conftest.py", FAKES.format(sweep=sweep, error=error))


def test_a_plan_tells_what_would_be_created_and_which_steps_would_run(probe: Probe) -> None:
    fake(probe)
    probe.scenario(THREE.replace('vdk_step.evidence("created")', "print('RAN')"))
    result = probe.run_apart("test_mine.py", "--vdk-plan", "-k", "run", "-s")
    assert result.ret == 0
    assert "RAN" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        ["*vdkprobe plan*", "would create job x", "  mine[[]hello-platform]: create, run"]
    )


@pytest.mark.parametrize("option", ["--vdk-plan", "--vdk-sweep"])
def test_an_errand_leaves_the_last_run_s_tests_xml_alone(probe: Probe, option: str) -> None:
    fake(probe)
    probe.write("heartbeat.ini", "[DEFAULT]\nCONTROL_API_URL = http://127.0.0.1:9\n")
    probe.config = "heartbeat.ini"  # type: ignore[assignment]  # as the option takes it
    probe.write("tests.xml", "of a run")
    assert probe.run_apart(option).ret == 0
    assert (probe.pytester.path / "tests.xml").read_text() == "of a run"


@pytest.mark.parametrize("option", ["--vdk-plan", "--vdk-sweep"])
def test_an_errand_uses_no_workers(probe: Probe, option: str) -> None:
    fake(probe)
    probe.scenario(THREE)
    result = probe.run_apart("test_mine.py", option, "-n2")
    assert result.ret == 0
    assert "2 workers" not in result.stdout.str()


def test_a_sweep_tells_what_it_removed_and_collects_nothing(probe: Probe) -> None:
    fake(probe)
    probe.write("test_mine.py", "raise RuntimeError('collected')")
    result = probe.run_apart("test_mine.py", "--vdk-sweep")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*vdkprobe sweep*", "job x deleted"])
    assert "RuntimeError" not in result.stdout.str()


@pytest.mark.parametrize(("error", "code"), [("ProbeError", 6), ("PlatformFailure", 1)])
def test_a_sweep_that_fails_has_its_verdicts_exit_code(probe: Probe, error: str, code: int) -> None:
    fake(probe, f"raise {error}('it stays', to_try='later')", error)
    result = probe.run_apart("--vdk-sweep")
    assert result.ret == code
    result.stdout.fnmatch_lines(["it stays", "  To try:    later"])
