"""What a verdict becomes: exit code, JUnit element, report entry; alone and under xdist."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_vdkprobe.verdicts import Verdict
from tests.plugin.conftest import HEAD, THREE, Probe

RAISES = {
    "pass": "vdk_step.evidence('seen')",
    "fail": "raise PlatformFailure('wrong', seen='x', expected='y', checked='GET z', to_try='w')",
    "error": "raise ProbeError('ours')",
    "unknown": "raise NoEvidence('too little')",
}


def one_step_each(*verdicts: str) -> str:
    """A scenario with one independent step for each verdict."""
    return "".join(
        f"@step\ndef test_{verdict}(vdk_step): {RAISES[verdict]}\n" for verdict in verdicts
    )


def junit(probe: Probe) -> dict[str, ElementTree.Element]:
    """The cases of the JUnit file by their name."""
    tree = ElementTree.parse(probe.pytester.path / "tests.xml")
    return {case.get("name", ""): case for case in tree.iter("testcase")}


def report(probe: Probe) -> dict[str, Any]:
    """The report file."""
    loaded: dict[str, Any] = json.loads((probe.pytester.path / "report.json").read_text())
    return loaded


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("pass",), 0),
        (("pass", "fail", "error", "unknown"), 1),
        (("pass", "error", "unknown"), 6),
        (("pass", "unknown"), 7),
    ],
)
def test_the_worst_verdict_is_the_exit_code(
    probe: Probe, verdicts: tuple[str, ...], code: int
) -> None:
    probe.scenario(one_step_each(*verdicts))
    assert probe.run("test_mine.py").ret == code


@pytest.mark.parametrize(("verdicts", "code"), [(("error", "unknown"), 6), (("unknown",), 7)])
def test_it_is_so_under_xdist(probe: Probe, verdicts: tuple[str, ...], code: int) -> None:
    probe.scenario(one_step_each("pass", *verdicts))
    assert probe.run_apart("test_mine.py", "-n1").ret == code


def test_an_ordinary_failure_counts_as_fail(probe: Probe) -> None:
    probe.scenario(one_step_each("error") + "def test_plain(): assert 0\n")
    assert probe.run("test_mine.py").ret == 1


def test_no_test_selected_is_still_pytests_own_code(probe: Probe) -> None:
    probe.scenario(THREE)
    assert probe.run("test_mine.py", "-k", "nothing").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_unusable_configuration_is_exit_code_4(probe: Probe) -> None:
    probe.write("platform.toml", "[control\n")
    result = probe.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "platform.toml" in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


FORMS = one_step_each("pass", "fail", "error", "unknown") + (
    "@step(needs=['fail'])\ndef test_blocked(vdk_step): pass\n"
)


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["alone", "xdist"])
def test_each_verdict_has_its_junit_form(probe: Probe, workers: list[str]) -> None:
    probe.scenario(FORMS)
    probe.run_apart("test_mine.py", "--junitxml=tests.xml", *workers)
    cases = junit(probe)
    forms = {
        name: [(child.tag, child.get("type")) for child in case if child.tag != "properties"]
        for name, case in cases.items()
    }
    assert forms == {
        "pass": [],
        "fail": [("failure", None)],
        "error": [("error", None)],
        "unknown": [("error", "unknown")],
        "blocked": [("skipped", "pytest.skip")],
    }
    skipped = cases["blocked"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "blocked by mine[hello-platform]::fail (fail): wrong"
    error = cases["error"].find("error")
    assert error is not None
    assert error.get("message") == "ours"
    assert {case.get("classname") for case in cases.values()} == {"mine[hello-platform]"}


def test_the_junit_properties_tell_run_operation_time_polls_and_evidence(probe: Probe) -> None:
    probe.scenario(one_step_each("pass"))
    probe.run("test_mine.py", "--junitxml=tests.xml", "--vdk-report=report.json")
    properties = {
        p.get("name"): p.get("value") for p in junit(probe)["pass"].iterfind("properties/property")
    }
    run_id = report(probe)["run_id"]
    assert properties.pop("duration_s")
    assert properties == {
        "run_id": run_id,
        "op_id": f"{run_id}-01",
        "verdict": "pass",
        "polls": "0",
        "evidence": "seen",
    }


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "xdist"])
def test_the_report_file_tells_it_to_machines(probe: Probe, workers: list[str]) -> None:
    probe.jobs("job-one", "job-two")
    probe.scenario(FORMS)
    probe.run_apart("test_mine.py", "--vdk-report=out/report.json", *workers)
    found = json.loads((probe.pytester.path / "out" / "report.json").read_text())
    assert (found["format"], found["verdict"], found["exit_code"]) == (1, "fail", 1)
    assert found["configuration"]["kind"] == "native"
    url = {"key": "control.url", "value": "http://127.0.0.1:9", "source": "platform.toml"}
    assert url in found["configuration"]["settings"]
    assert {j["journey"]: j["verdict"] for j in found["journeys"]} == {
        "mine[job-one]": "fail",
        "mine[job-two]": "fail",
    }
    passed, failed, *_, blocked = found["journeys"][0]["steps"]
    assert passed["evidence"] == ["seen"]
    assert passed["finding"] is None
    assert passed["op_id"] == found["run_id"] + "-01"
    assert passed["started_at"].endswith("+00:00")
    assert failed["finding"] == {
        "what": "wrong",
        "seen": "x",
        "expected": "y",
        "checked": "GET z",
        "to_try": "w",
    }
    assert blocked["verdict"] == "blocked"


@pytest.mark.parametrize(("verdict", "code"), [("pass", 6), ("fail", 1)])
def test_a_report_that_cannot_be_written_is_an_error_and_hides_no_failure(
    probe: Probe, verdict: str, code: int
) -> None:
    probe.write("file", "")
    probe.scenario(one_step_each(verdict))
    result = probe.run("test_mine.py", "--vdk-report=file/report.json")
    assert result.ret == code
    result.stdout.fnmatch_lines(["*--vdk-report could not be written*"])


def test_requests_and_answers_of_a_failing_step_are_kept(probe: Probe) -> None:
    probe.scenario(
        """
class Exchange:
    def to_dict(self): return {"method": "GET", "url": "http://x"}
@step
def test_good(vdk_step):
    vdk_step.exchanges = [Exchange()]
    vdk_step.evidence("seen")
@step
def test_bad(vdk_step):
    vdk_step.exchanges = [Exchange()]
    raise PlatformFailure("wrong")
"""
    )
    result = probe.run("test_mine.py", "--vdk-report=out/report.json")
    kept = list((probe.pytester.path / "out").glob("vdkprobe-*.json"))
    assert len(kept) == 1
    assert "mine-hello-platform-bad" in kept[0].name
    assert json.loads(kept[0].read_text())["exchanges"] == [{"method": "GET", "url": "http://x"}]
    assert str(kept[0]) in result.stdout.str()


def test_a_diagnostic_that_breaks_never_replaces_the_cause(probe: Probe) -> None:
    probe.scenario(
        """
class Exchange:
    def to_dict(self): raise ValueError("broken diagnostic")
@step
def test_bad(vdk_step):
    vdk_step.exchanges = [Exchange()]
    raise PlatformFailure("wrong")
"""
    )
    result = probe.run("test_mine.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*  wrong", "*could not be kept: broken diagnostic*"])


def test_every_verdict_has_a_word_on_the_terminal() -> None:
    from pytest_vdkprobe.observe.summary import WORDS

    assert set(Verdict) <= set(WORDS)


def test_a_scenario_without_reporter_still_has_its_exit_code(probe: Probe) -> None:
    probe.write("test_mine.py", HEAD + one_step_each("error"))
    assert probe.run("test_mine.py", "-p", "no:terminal").ret == 6
