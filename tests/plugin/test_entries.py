"""What an entry of a list says of its steps: limits, steps that are skipped, known failures."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugin.conftest import PLATFORM, THREE, Probe

FAILING = """
@step
def test_create(vdk_step): vdk_step.evidence("created")
@step(needs=["create"])
def test_run(vdk_step): raise PlatformFailure("It does not run.")
@step(needs=["run"])
def test_log(vdk_step): vdk_step.evidence("logged")
@step(needs=["create"], cleanup=True)
def test_delete(vdk_step): vdk_step.evidence("deleted")
"""
FAILURE = '{{ step = "run", until = {until}, because = "OPS-12" }}'
KNOWN = f"expected = [{FAILURE}]"
XFAIL = '@pytest.mark.xfail(reason="OPS-12")\n@step(needs=["create"])'


def played(probe: Probe, body: str, *lines: str, ret: int) -> tuple[dict[str, Any], str]:
    """Each step's entry in the report, of a run with these lines in the job's entry."""
    probe.write("platform.toml", PLATFORM + "\n".join(lines) + "\n")
    probe.scenario(body)
    result = probe.run("test_mine.py", "--vdk-report=report.json", "-rs")
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == ret, text
    report = json.loads((probe.pytester.path / "report.json").read_text())
    return {s["step"]: s for j in report["journeys"] for s in j["steps"]}, text


def words(steps: dict[str, Any]) -> str:
    """Their verdicts in order."""
    return " ".join(step["verdict"] for step in steps.values())


def test_a_limit_of_an_entry_goes_before_that_of_the_run(probe: Probe) -> None:
    body = THREE.replace('"ran"', 'str(vdk_step.limit_s) + " " + vdk_step.kind')
    steps, _ = played(probe, body, "limits = { run = 7 }", "[run]", "limits = { run = 9 }", ret=0)
    assert steps["run"]["evidence"] == ["7.0 jobs"]


def test_a_whole_entry_is_skipped_with_its_reason(probe: Probe) -> None:
    steps, text = played(probe, THREE, 'skip = "moves to the new cluster in May"', ret=7)
    assert words(steps) == "skipped skipped skipped"
    assert "mine[hello-platform]  SKIPPED  0 of 3 steps passed" in text
    assert "by configuration: moves to the new cluster in May" in text


def test_a_skipped_step_takes_those_along_that_need_it(probe: Probe) -> None:
    steps, text = played(probe, FAILING, 'skip = { run = "no quota before May" }', ret=0)
    assert words(steps) == "pass skipped skipped pass"
    assert "no quota before May" in steps["log"]["reason"]
    assert "no quota before May" in text


def test_a_known_failure_does_not_count_before_its_day(probe: Probe) -> None:
    steps, text = played(probe, FAILING, KNOWN.format(until="2999-12-31"), ret=0)
    assert words(steps) == "pass skipped skipped pass"
    assert steps["run"]["expected"]["found"] == "It does not run."
    assert "expected to fail until 2999-12-31: OPS-12: It does not run." in text


def test_a_known_failure_counts_again_after_its_day(probe: Probe) -> None:
    steps, text = played(probe, FAILING, KNOWN.format(until="2001-01-31"), ret=1)
    assert words(steps) == "pass fail blocked pass"
    assert "was expected until 2001-01-31: OPS-12; that day has passed" in text


def test_a_known_failure_that_passes_is_told(probe: Probe) -> None:
    steps, text = played(probe, THREE, KNOWN.format(until="2999-12-31"), ret=0)
    assert words(steps) == "pass pass pass"
    told = "passed unexpectedly: expected to fail until 2999-12-31: OPS-12"
    assert steps["run"]["evidence"] == ["ran", told]
    assert f"ran; {told}" in text
    assert "expected to fail, and does not" in text
    assert "mine[hello-platform]::run passed unexpectedly: take it out of `expected`" in text


def test_a_step_marked_xfail_that_passes_says_so(probe: Probe) -> None:
    body = THREE.replace('@step(needs=["create"])', XFAIL)
    steps, text = played(probe, body, ret=0)
    assert words(steps) == "pass pass pass"
    assert steps["run"]["evidence"] == ["ran", "passed unexpectedly: marked xfail: OPS-12"]
    assert steps["run"]["expected"] == {"because": "OPS-12"}
    assert "ran; passed unexpectedly: marked xfail: OPS-12" in text
    assert "mine[hello-platform]::run passed unexpectedly: take its mark xfail off" in text


def test_a_step_marked_xfail_that_passes_without_evidence_is_unknown(probe: Probe) -> None:
    body = THREE.replace('@step(needs=["create"])', XFAIL).replace('vdk_step.evidence("ran")', "0")
    steps, text = played(probe, body, ret=7)
    assert words(steps) == "pass unknown pass"
    assert "passed unexpectedly: marked xfail: OPS-12" in text


def test_a_step_marked_strictly_xfail_that_passes_is_an_error_of_the_mark(probe: Probe) -> None:
    strictly = XFAIL.replace("reason=", "strict=True, reason=")
    steps, text = played(probe, THREE.replace('@step(needs=["create"])', strictly), ret=6)
    assert words(steps) == "pass error pass"
    assert "passed unexpectedly: it is marked xfail(strict=True)" in text
    assert "a failure: OPS-12" in text


def test_a_step_marked_xfail_that_fails_is_skipped_with_those_that_need_it(probe: Probe) -> None:
    steps, _ = played(probe, FAILING.replace('@step(needs=["create"])', XFAIL), ret=0)
    assert words(steps) == "pass skipped skipped pass"
    assert steps["run"]["expected"] == {"because": "OPS-12", "found": "It does not run."}


def test_what_the_probe_could_not_judge_is_no_known_failure(probe: Probe) -> None:
    body = FAILING.replace("PlatformFailure", "ProbeError")
    steps, _ = played(probe, body, KNOWN.format(until="2999-12-31"), ret=6)
    assert words(steps) == "pass error blocked pass"


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("limits = { run = 0 }", ["positive number of seconds", "jobs.0.limits.run"]),
        ("skip = ''", ["reason is empty", "jobs.0.skip"]),
        ("skip = true", ["jobs.0.skip", "true or false"]),
        ("skip = { runn = 'x' }", ["names a step that it does not have", "did you mean 'run'?"]),
        ('expected = [{ step = "run" }]', ["jobs.0.expected.0", "is missing"]),
        ('expected = [{ step = "run", until = 2999, because = "x" }]', ["expected.0.until"]),
        ('expected = [{ step = "run", until = "May", because = "x" }]', ["expected.0.until"]),
        (
            "expected = [" + ", ".join([FAILURE.format(until="2999-12-31")] * 2) + "]",
            ["Two known failures are of one step", "key jobs.0.expected.1.step", "'run'"],
        ),
        ('expected = [{ step = "run", untill = "x", because = "x" }]', ["did you mean until?"]),
    ],
)
def test_what_makes_no_sense_is_refused(probe: Probe, line: str, texts: list[str]) -> None:
    probe.write("platform.toml", PLATFORM + line + "\n")
    probe.scenario(THREE)
    result = probe.run("test_mine.py")
    said = result.stderr.str() + result.stdout.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [text for text in texts if text not in said] == [], said


def test_a_plan_shows_what_is_known(probe: Probe) -> None:
    probe.write("platform.toml", PLATFORM + KNOWN.format(until="2999-12-31") + "\n")
    probe.run("--vdk-plan").stdout.fnmatch_lines(["*jobs.0.expected.0.until * 2999-12-31 *"])
