"""`--vdk-changed` runs what changed, says why, and runs everything when it can't know."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.plugin.conftest import THREE, Probe
from tests.plugin.test_compare import BROKEN

Edit = Callable[[Probe], object]


def test_nothing_runs_where_nothing_changed_and_that_is_good(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py")
    result = probe.run("test_mine.py", "--vdk-changed")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["vdkprobe changed: left out  mine?hello-platform?: nothing changed since run *"]
    )
    result.assert_outcomes(deselected=3)


def rewrite(name: str, old: str, new: str) -> Edit:
    def act(probe: Probe) -> None:
        path = probe.pytester.path / name
        path.write_text(path.read_text().replace(old, new))

    return act


EDITS: dict[str, tuple[Edit, str]] = {
    "code": (rewrite("test_mine.py", "ran", "ran on"), "scenario/test_mine.py"),
    "conftest": (lambda probe: probe.write("conftest.py", "# mine\n"), "scenario/conftest.py"),
    "settings": (rewrite("platform.toml", "platform", "blue"), "configuration/control.team"),
    "job": (rewrite("mine/10_step.py", "pass", "return"), "job/my-own-job/10_step.py"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_changed_runs_and_is_said(probe: Probe, edit: str) -> None:
    probe.write("mine/10_step.py", "def run(job_input): pass\n")
    settings = probe.config.read_text().partition("[[jobs]]")[0]
    pinned = '[history]\npipeline = "mine"\n'
    probe.config.write_text(f'{settings}{pinned}[[jobs]]\nname = "my-own-job"\npath = "mine"\n')
    probe.scenario(THREE)
    assert probe.run("test_mine.py").ret == 0
    act, path = EDITS[edit]
    act(probe)
    result = probe.run("test_mine.py", "--vdk-changed")
    result.stdout.fnmatch_lines([f"vdkprobe changed: runs * changed since run *: {path}*"])
    assert "passed" in result.stdout.str()


def test_only_the_journey_that_changed_runs(probe: Probe) -> None:
    probe.jobs("first-job", "second-job")
    probe.scenario(THREE)
    probe.run("test_mine.py")
    rewrite("platform.toml", '"second-job"', '"second-job"\nschedule = "0 3 * * *"')(probe)
    result = probe.run("test_mine.py", "--vdk-changed", "-v")
    result.assert_outcomes(passed=3, deselected=3)
    result.stdout.fnmatch_lines(
        [
            "vdkprobe changed: left out  mine?first-job?: nothing changed since run *",
            "vdkprobe changed: runs * mine?second-job?: *configuration/jobs.second-job.schedule",
        ]
    )
    # The other's last good run is the one before, and still counts.
    assert probe.run("test_mine.py", "--vdk-changed").ret == 0


VERSIONS = """
from pytest_vdkprobe.observe import history
from pytest_vdkprobe.history.files import of_text
path, text = "platform/control-service", "1.5"
history.versions_now = lambda _run: {path: of_text(path, text).digest.hex()}
"""
ASKS = """
    vdk_step.evidence("ran")
    if vdk_step.subject == "first-job":
        vdk_step.attach("versions", {"control-service": "1.5"})
"""


def test_a_run_of_journeys_that_ask_for_no_version_knows_it_all_the_same(probe: Probe) -> None:
    probe.jobs("first-job", "second-job")
    probe.write("conftest.py", VERSIONS)
    probe.scenario(THREE.replace('vdk_step.evidence("ran")', ASKS))
    probe.run_apart("test_mine.py")
    rewrite("platform.toml", '"second-job"', '"second-job"\nschedule = "0 3 * * *"')(probe)
    assert probe.run_apart("test_mine.py", "--vdk-changed").parseoutcomes()["passed"] == 3
    result = probe.run_apart("test_mine.py", "--vdk-changed")
    result.stdout.fnmatch_lines(["*left out  mine?second-job?: nothing changed since run *"])


def test_workers_choose_alike_and_their_controller_says_why(probe: Probe) -> None:
    probe.jobs("first-job", "second-job")
    probe.scenario(THREE)
    probe.run("test_mine.py")
    rewrite("platform.toml", '"second-job"', '"second-job"\nschedule = "0 3 * * *"')(probe)
    result = probe.run_apart("test_mine.py", "--vdk-changed", "-n2")
    assert result.ret == 0
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["vdkprobe changed: left out  mine?first-job?: nothing changed *"])
    result = probe.run_apart("test_mine.py", "--vdk-changed", "-n2")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*no tests ran*"])


def test_what_failed_since_runs_although_nothing_changed(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py")
    probe.scenario(BROKEN)
    probe.run("test_mine.py")
    probe.scenario(THREE)
    result = probe.run("test_mine.py", "--vdk-changed")
    result.stdout.fnmatch_lines(["vdkprobe changed: runs * it was not good in run *, after *"])
    result.assert_outcomes(passed=3)


def test_a_part_of_a_journey_does_not_stand_for_all_of_it(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py", "-k", "create")
    result = probe.run("test_mine.py", "--vdk-changed")
    result.stdout.fnmatch_lines(["vdkprobe changed: runs * not all of it passed in run *run*"])
    result.assert_outcomes(passed=3)


def test_all_run_where_nothing_is_known(probe: Probe) -> None:
    probe.scenario(THREE)
    result = probe.run("test_mine.py", "--vdk-changed")
    result.stdout.fnmatch_lines(["*it can't be known what changed: there is no run of it*"])
    result.assert_outcomes(passed=3)


def test_ordinary_tests_always_run(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.write("test_plain.py", "def test_plain(): pass\n")
    probe.run()
    probe.run("test_mine.py", "test_plain.py")
    probe.run("test_mine.py", "test_plain.py", "--vdk-changed").assert_outcomes(
        passed=1, deselected=3
    )
