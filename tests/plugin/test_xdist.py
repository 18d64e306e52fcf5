"""Journeys on several workers: each in one piece, in order, with one run id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import HEAD, THREE, Probe

WHO = """
import os
@step
def test_create(vdk_step): vdk_step.evidence(os.environ["PYTEST_XDIST_WORKER"])
@step(needs=["create"])
def test_run(vdk_step): vdk_step.evidence(os.environ["PYTEST_XDIST_WORKER"])
@step(needs=["run"])
def test_delete(vdk_step): vdk_step.evidence(os.environ["PYTEST_XDIST_WORKER"])
"""


@pytest.mark.parametrize("dist", ["load", "loadgroup", "worksteal"])
def test_a_journey_stays_on_one_worker_and_in_order(probe: Probe, dist: str) -> None:
    probe.jobs("job-one", "job-two", "job-three")
    probe.scenario(WHO)
    result = probe.run_apart("test_mine.py", "-n2", f"--dist={dist}", "--vdk-report=r.json")
    result.assert_outcomes(passed=9)
    report = json.loads((probe.pytester.path / "r.json").read_text())
    for journey in report["journeys"]:
        assert [step["step"] for step in journey["steps"]] == ["create", "run", "delete"]
        assert len({tuple(step["evidence"]) for step in journey["steps"]}) == 1


def test_journeys_run_side_by_side(probe: Probe) -> None:
    probe.jobs("job-one", "job-two")
    meeting = probe.pytester.path / "meeting"
    meeting.mkdir()
    probe.scenario(
        f"""
from pathlib import Path
@step
def test_meet(vdk_step, vdk_subject):
    Path({str(meeting)!r}, vdk_subject).touch()
    both = lambda: len(list(Path({str(meeting)!r}).iterdir()))
    wait_until("the other", both, done=lambda n: n == 2, deadline=Deadline.after(60))
    vdk_step.evidence("met")
@step
def test_b(vdk_step): vdk_step.evidence("b")
@step
def test_c(vdk_step): vdk_step.evidence("c")
"""
    )
    probe.run_apart("test_mine.py", "-n2").assert_outcomes(passed=6)


@pytest.mark.parametrize("kept", [False, True])
def test_the_folder_that_workers_share_stays_if_something_is_kept_there(
    probe: Probe, kept: bool
) -> None:
    probe.jobs("job-one", "job-two")
    probe.scenario(
        f"""
from pathlib import Path
@step
def test_keep(vdk_step, vdk_run):
    vdk_run.report_folder.mkdir(exist_ok=True)
    if {kept}: (vdk_run.report_folder / "kept").touch()
    Path("which").write_text(str(vdk_run.report_folder))
    vdk_step.evidence("looked")
"""
    )
    probe.run_apart("test_mine.py", "-n2").assert_outcomes(passed=2)
    folder = Path((probe.pytester.path / "which").read_text())
    assert folder.name.startswith("vdkprobe-")
    assert folder.is_dir() == kept


def test_all_workers_share_the_controllers_run(probe: Probe) -> None:
    probe.jobs("job-one", "job-two")
    probe.scenario(
        """
@step
def test_a(vdk_step, vdk_run): vdk_step.evidence(vdk_run.run_id)
@step
def test_b(vdk_step, vdk_run): vdk_step.evidence(str(vdk_run.started_at))
@step
def test_c(vdk_step, vdk_run):
    assert vdk_run.deadline.remaining_s() < 1800
    vdk_step.evidence("c")
"""
    )
    result = probe.run_apart("test_mine.py", "-n2", "--vdk-report=r.json")
    result.assert_outcomes(passed=6)
    report = json.loads((probe.pytester.path / "r.json").read_text())
    ids = {step["evidence"][0] for j in report["journeys"] for step in j["steps"][:1]}
    assert ids == {report["run_id"]}


def test_blocking_works_across_the_reports_of_a_worker(probe: Probe) -> None:
    probe.jobs("job-one", "job-two")
    probe.scenario(THREE.replace('vdk_step.evidence("ran")', "raise PlatformFailure('wrong')"))
    result = probe.run_apart("test_mine.py", "-n2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*::run  step 2 of 3  FAIL after*", "  wrong"])
    result.assert_outcomes(passed=4, failed=2)


def test_dist_each_is_refused_with_what_to_write_instead(probe: Probe) -> None:
    result = probe.run_apart("--dist=each", "--tx=2*popen")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "To try:    --dist=load" in result.stderr.str()


@pytest.mark.parametrize(
    "body",
    [THREE.replace('["create"])\ndef test_run', '["crate"])\ndef test_run'), None],
    ids=["unknown need", "no job"],
)
def test_what_is_unusable_on_a_worker_ends_the_run_as_such(probe: Probe, body: str | None) -> None:
    if body is None:
        probe.jobs()
        result = probe.run_apart("-n2")
        assert "There is nothing to check" in result.stdout.str()
    else:
        probe.write("test_mine.py", HEAD + body)
        result = probe.run_apart("test_mine.py", "-n2")
        assert "did you mean 'create'?" in result.stdout.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_worker_that_dies_is_an_error_and_what_follows_is_blocked(probe: Probe) -> None:
    probe.scenario(
        THREE.replace('vdk_step.evidence("ran")', "__import__('os')._exit(3)").replace(
            'needs=["create"], cleanup', 'needs=["run"], cleanup'
        )
    )
    result = probe.run_apart("test_mine.py", "-n1")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*worker 'gw0' crashed while running*", "*BLOCKED*"])


def test_xdist_is_not_imported_when_it_is_not_used(probe: Probe) -> None:
    probe.scenario(
        "import sys\n@step\ndef test_a(vdk_step):\n"
        "    assert 'xdist.scheduler' not in sys.modules\n"
        "    vdk_step.evidence('lean')\n"
    )
    probe.run_apart("test_mine.py").assert_outcomes(passed=1)
    probe.run_apart("test_mine.py", "-p", "no:xdist").assert_outcomes(passed=1)


def test_the_sweep_runs_once_on_the_controller_after_its_workers(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        """
import os
import pytest_vdkprobe.journeys.cleanup as cleanup
from pytest_vdkprobe.journeys.run import Run
def sweep_run(run): return ["swept by " + os.environ.get("PYTEST_XDIST_WORKER", "controller")]
def pytest_configure(config):
    cleanup.sweep_run = sweep_run
    Run.may_have_leases = True
""",
    )
    probe.scenario(THREE)
    text = probe.run_apart("test_mine.py", "-n1").stdout.str()
    assert text.count("swept by ") == 1
    assert "swept by controller" in text
