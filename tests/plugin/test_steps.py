"""Steps as they run: evidence, blocking, deadlines, verdicts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.plugin.conftest import THREE, Probe

Verdicts = Callable[..., dict[str, str]]


def raising(what: str) -> str:
    """A scenario whose first step raises, and whose others need it or not."""
    return f"""
@step
def test_create(vdk_step):
    {what}
@step(needs=["create"])
def test_run(vdk_step): vdk_step.evidence("ran")
@step(needs=["run"])
def test_log(vdk_step): vdk_step.evidence("log")
@step
def test_other(vdk_step): vdk_step.evidence("other")
@step(cleanup=True)
def test_delete(vdk_step): vdk_step.evidence("deleted")
"""


def test_a_step_with_evidence_passes(verdicts: Verdicts) -> None:
    assert verdicts(THREE) == {"create": "pass", "run": "pass", "delete": "pass"}


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ("raise PlatformFailure('wrong')", "fail"),
        ("assert 1 == 2", "fail"),
        ("pytest.fail('said so')", "fail"),
        ("raise ProbeError('ours')", "error"),
        ("raise ConfigError('ours', key='x')", "error"),
        ("raise KeyError('our own bug')", "error"),
        ("raise NoEvidence('too little')", "unknown"),
        ("pass", "unknown"),
    ],
)
def test_what_a_step_raises_decides_its_verdict(
    verdicts: Verdicts, what: str, verdict: str
) -> None:
    assert verdicts(raising(what)) == {
        "create": verdict,
        "run": "blocked",
        "log": "blocked",
        "other": "pass",
        "delete": "pass",
    }


def test_what_a_fixture_raises_is_judged_alike(verdicts: Verdicts) -> None:
    body = """
@pytest.fixture
def broken(): raise PlatformFailure("login page is a 500")
@step
def test_login(broken, vdk_step): vdk_step.evidence("never")
"""
    assert verdicts(body) == {"login": "fail"}


def test_a_step_skipped_by_configuration_is_no_pass_and_blocks_its_dependants(
    verdicts: Verdicts,
) -> None:
    found = verdicts(raising("pytest.skip('not offered here')"))
    assert found["create"] == "skipped"
    assert found["run"] == "blocked"


def test_a_blocked_step_names_the_first_cause_and_sets_up_nothing(probe: Probe) -> None:
    probe.scenario(
        raising("raise PlatformFailure('The job was not created.\\nsecond line')")
        + "@pytest.fixture\ndef costly(): raise AssertionError('was set up')\n"
        + "@step(needs=['log'])\ndef test_last(costly, vdk_step): pass\n"
    )
    result = probe.run("test_mine.py", "-rs", "-v")
    assert "was set up" not in result.stdout.str()
    assert (
        "blocked by mine[hello-platform]::create (fail): The job was not created."
        in result.stdout.str()
    )
    result.assert_outcomes(passed=2, failed=1)


def test_an_ordinary_test_keeps_its_meaning(probe: Probe) -> None:
    probe.write(
        "test_plain.py",
        "def test_good(): pass\ndef test_bad(): assert 0\ndef test_ugly(): raise KeyError('x')\n",
    )
    result = probe.run("test_plain.py")
    result.assert_outcomes(passed=1, failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_finding_in_an_ordinary_test_has_its_verdict(probe: Probe) -> None:
    probe.write(
        "test_plain.py",
        "from pytest_vdkprobe.errors import ProbeError\n"
        "def test_ours(): raise ProbeError('we could not look')\n",
    )
    result = probe.run("test_plain.py")
    result.assert_outcomes(errors=1)
    assert result.ret == 6


def test_a_step_knows_its_name_number_operation_and_time(probe: Probe) -> None:
    probe.write(
        "platform.toml",
        probe.config.read_text() + "\n[run]\nstep_timeout_s = 50\nlimits = { run = 7 }\n",
    )
    probe.scenario(
        """
@step
def test_create(vdk_step, vdk_run):
    assert (vdk_step.name, vdk_step.number, vdk_step.of) == ("create", 1, 2)
    assert vdk_step.journey == "mine[hello-platform]"
    assert vdk_step.op_id == vdk_run.run_id + "-01"
    assert len(vdk_run.run_id) == 8
    assert 7 < vdk_step.deadline.remaining_s() <= 50
    assert vdk_run.step is vdk_step
    vdk_step.evidence("known")
@step
def test_run(vdk_step):
    assert 0 < vdk_step.deadline.remaining_s() <= 7
    vdk_step.evidence("limited")
"""
    )
    probe.run("test_mine.py").assert_outcomes(passed=2)


def test_polls_are_counted_to_the_step_that_waits(probe: Probe) -> None:
    probe.scenario(
        """
@step
def test_wait(vdk_step):
    left = [3, 2, 1, 0]
    wait_until("zero", lambda: left.pop(0), done=lambda n: n == 0, deadline=vdk_step.deadline)
    assert vdk_step.polls == 4
    vdk_step.evidence("zero")
@step
def test_next(vdk_step):
    assert vdk_step.polls == 0
    vdk_step.evidence("fresh")
"""
    )
    probe.run("test_mine.py").assert_outcomes(passed=2)


def test_when_the_runs_time_is_over_steps_are_unknown_and_cleanup_still_runs(
    probe: Probe, verdicts: Verdicts
) -> None:
    probe.write("platform.toml", probe.config.read_text() + "\n[run]\ntimeout_s = 0\n")
    assert verdicts(raising("vdk_step.evidence('x')")) == {
        "create": "unknown",
        "run": "blocked",
        "log": "blocked",
        "other": "unknown",
        "delete": "pass",
    }


class TestFirstCauseFirst:
    """What goes wrong in the cleanup stands beside the verdict, and never replaces it."""

    BODY = """
@pytest.fixture
def resource():
    yield
    raise PlatformFailure("The job could not be removed.")
@step
def test_run(resource, vdk_step):
    {what}
"""

    def test_after_an_error_the_error_stays(self, probe: Probe, verdicts: Verdicts) -> None:
        assert verdicts(self.BODY.format(what="raise ProbeError('first')")) == {"run": "error"}
        text = probe.run("test_mine.py").stdout.str()
        assert text.index("  first") < text.index("The job could not be removed.")
        assert "cleanup after step run  FAIL" in text

    def test_after_a_pass_it_counts_and_the_step_stays_passed(
        self, probe: Probe, verdicts: Verdicts
    ) -> None:
        assert verdicts(self.BODY.format(what="vdk_step.evidence('ran')")) == {"run": "pass"}
        assert probe.run("test_mine.py").ret == 1

    def test_several_finalizers_that_fail_are_all_told(self, probe: Probe) -> None:
        probe.scenario(
            """
@pytest.fixture
def one():
    yield
    raise ProbeError("one broke")
@pytest.fixture
def two():
    yield
    raise ValueError("two broke")
@step
def test_run(one, two, vdk_step): vdk_step.evidence("ran")
"""
        )
        result = probe.run("test_mine.py")
        assert result.ret == 6
        assert "one broke" in result.stdout.str()


def test_vdk_step_in_an_ordinary_test_says_what_to_write(probe: Probe) -> None:
    probe.write("test_plain.py", "def test_x(vdk_step): pass\ndef test_y(vdk_subject): pass\n")
    text = probe.run("test_plain.py").stdout.str()
    assert "mark the test: @pytest.mark.vdk_step" in text
    assert 'mark the module: pytestmark = pytest.mark.vdk_journey("jobs")' in text


def test_a_hook_is_told_of_every_step(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "def pytest_vdkprobe_step_finished(config, step):\n"
        "    print('TOLD', step['step'], step['verdict'], step['evidence'])\n",
    )
    probe.scenario(THREE)
    probe.run("test_mine.py", "-s").stdout.fnmatch_lines(
        ["*TOLD create pass [[]'created']*", "*TOLD run pass [[]'ran']*", "*TOLD delete pass*"]
    )


def test_a_journey_that_is_blocked_by_a_skip_has_shown_nothing(probe: Probe) -> None:
    probe.scenario(THREE.replace('vdk_step.evidence("created")', "pytest.skip('not today')"))
    result = probe.run("test_mine.py")
    assert result.ret == 7, result.stdout.str()
