"""The hooks that users implement, each from a conftest.py, and what is said of wrong answers."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.plugin.conftest import HEAD, PLATFORM, THREE, Probe

FAILING = THREE.replace('vdk_step.evidence("ran")', "raise PlatformFailure('It does not run.')")
USAGE = pytest.ExitCode.USAGE_ERROR


def played(probe: Probe, conftest: str, body: str = THREE, *args: str) -> tuple[Any, str, int]:
    """The report, what was printed, and the exit code of a run with this conftest.py."""
    probe.write("conftest.py", "import pytest\n" + conftest)
    probe.scenario(body)
    result = probe.run("test_mine.py", "--vdk-report=report.json", *args)
    path = probe.pytester.path / "report.json"
    report = json.loads(path.read_text()) if path.exists() else None
    return report, result.stdout.str() + result.stderr.str(), int(result.ret)


def step_of(report: Any, name: str) -> Any:
    """A step's entry in a report."""
    return next(s for j in report["journeys"] for s in j["steps"] if s["step"] == name)


REGISTER = """
import msgspec

class BucketSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True,
                     tag_field="kind", tag="bucket"):
    folder: str
class Bucket:
    settings = BucketSettings
    losses = {}
    batch = 10
    def __init__(self, settings, *, leases, base_dir): pass
    def __enter__(self): return self
    def __exit__(self, *exc): pass
    def prepare(self, columns): pass
    def send(self, records, *, deadline): pass
    def remove(self): pass
    def close(self): pass
def pytest_vdkprobe_register(config, kinds):
    kinds.target("bucket", Bucket)
    kinds.section("tenants", many=True)
"""
ROUTE = """
[[routes]]
name = "r"
target = { kind = "bucket", folder = "x" }
reader = { kind = "file", path = "y" }
[[tenants]]
name = "blue"
"""


def test_register_brings_kinds_and_sections_before_the_configuration_is_read(probe: Probe) -> None:
    probe.write("platform.toml", PLATFORM + ROUTE)
    _, text, code = played(probe, REGISTER)
    assert code == 0, text


def test_configured_may_object_and_all_objections_are_told(probe: Probe) -> None:
    hook = """
from pytest_vdkprobe.api import ConfigError
def pytest_vdkprobe_configured(config, configuration):
    assert configuration.sections
    return [ConfigError("No jobs of ours here.", key="jobs"), ConfigError("Nor routes.")]
"""
    _, text, code = played(probe, hook)
    assert code == USAGE
    assert "No jobs of ours here." in text
    assert "Nor routes." in text


def test_step_starting_is_called_for_what_runs_and_not_for_what_is_blocked(probe: Probe) -> None:
    hook = "def pytest_vdkprobe_step_starting(config, step): print('begin', step.id)\n"
    body = FAILING.replace('needs=["create"], cleanup', 'needs=["run"], cleanup')
    _, text, _ = played(probe, hook, body, "-s")
    begun = [line.split("begin ")[1] for line in text.splitlines() if "begin " in line]
    assert [one.partition("::")[2].strip() for one in begun] == ["create", "run"]


def test_what_step_starting_raises_is_the_steps_verdict(probe: Probe) -> None:
    hook = """
from pytest_vdkprobe.api import ProbeError
def pytest_vdkprobe_step_starting(config, step):
    if step.name == "run": raise ProbeError("The tunnel is down.")
"""
    report, _, code = played(probe, hook)
    assert code == 6
    assert step_of(report, "run")["finding"]["what"] == "The tunnel is down."


def test_verdict_adds_evidence(probe: Probe) -> None:
    hook = """
def pytest_vdkprobe_verdict(config, step, finding):
    return {"evidence": [f"seen {step['verdict']} {finding is not None}"]}
"""
    report, _, _ = played(probe, hook, FAILING)
    assert step_of(report, "create")["evidence"] == ["created", "seen pass False"]
    assert step_of(report, "run")["evidence"] == ["seen fail True"]


CHANGE = """
def pytest_vdkprobe_verdict(config, step, finding):
    if step["step"] == "run":
        return {{"verdict": "{verdict}", "because": "maintenance window 7"}}
"""


@pytest.mark.parametrize(
    ("body", "verdict", "was", "code"),
    [(FAILING, "pass", "fail", 0), (THREE, "fail", "pass", 1), (THREE, "unknown", "pass", 7)],
)
def test_a_changed_verdict_counts_and_every_report_shows_it(
    probe: Probe, body: str, verdict: str, was: str, code: int
) -> None:
    change = CHANGE.format(verdict=verdict)
    report, text, got = played(probe, change, body, "--junitxml=junit.xml")
    assert got == code, text
    step = step_of(report, "run")
    assert step["verdict"] == verdict
    assert (step["changed"][0]["from"], step["changed"][0]["to"]) == (was, verdict)
    assert f"a hook changed {was} to {verdict}: maintenance window 7" in " ".join(text.split())
    junit = (probe.pytester.path / "junit.xml").read_text()
    assert f"a hook changed {was} to {verdict}" in junit


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('"pass"', "returned something that it may not"),
        ('{"verdict": "pass"}', "because, a text, beside a changed verdict"),
        ('{"verdict": "green", "because": "x"}', "verdict is one of pass, fail, error, unknown"),
        ('{"evidence": 7}', "evidence is a text, or a list of texts"),
        ('{"evidenc": "x"}', "each key optional"),
        ("1 / 0", "broke: ZeroDivisionError"),
    ],
)
def test_a_wrong_answer_is_an_error_beside_a_pass_and_a_note_beside_a_failure(
    probe: Probe, answer: str, text: str
) -> None:
    hook = f"def pytest_vdkprobe_verdict(config, step, finding):\n    return {answer}\n"
    body = FAILING.replace('(needs=["create"])', "")
    report, said, code = played(probe, hook, body)
    assert code == 1
    assert step_of(report, "run")["finding"]["what"] == "It does not run."
    assert text in step_of(report, "run")["finding"]["note"]
    assert step_of(report, "create")["verdict"] == "error"
    assert re.search(r"conftest\.py(:2 \(pytest_vdkprobe_verdict\)|, line 3)", said), said


def test_report_is_given_to_hooks_and_keeps_what_they_add(probe: Probe) -> None:
    hook = """
def pytest_vdkprobe_report(config, report):
    return {"ticket": "OPS-12", "was": report["verdict"]}
"""
    report, _, _ = played(probe, hook)
    assert report["added"] == {"ticket": "OPS-12", "was": "pass"}


@pytest.mark.parametrize("answer", ["'x'", "{1: 2}", "{'x': object()}", "1 / 0"])
def test_a_report_hook_that_breaks_makes_a_green_run_an_error(probe: Probe, answer: str) -> None:
    hook = f"def pytest_vdkprobe_report(config, report):\n    return {answer}\n"
    _, text, code = played(probe, hook)
    assert code == 6
    assert "The hook pytest_vdkprobe_report" in text
    assert re.search(r"conftest\.py(:2 \(pytest_vdkprobe_report\)|, line 3)", text), text


def test_metrics_are_given_to_hooks_as_prometheus_reads_them(probe: Probe) -> None:
    hook = """
def pytest_vdkprobe_metrics(config, text):
    import pathlib
    pathlib.Path("pushed.txt").write_text(text)
"""
    _, text, code = played(probe, hook)
    assert code == 0, text
    assert "# TYPE vdkprobe_" in (probe.pytester.path / "pushed.txt").read_text()


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        ("def pytest_vdkprobe_configured(config, configuration): return 7", "ConfigErrors in a"),
        (
            "def pytest_vdkprobe_subjects(config, configuration, kind): return 7",
            "a list of the names that jobs has",
        ),
    ],
)
def test_a_wrong_answer_before_collection_is_over_is_refused(
    probe: Probe, hook: str, text: str
) -> None:
    _, said, code = played(probe, hook)
    assert code == USAGE
    assert text in said


def test_an_unknown_hook_of_ours_is_refused_by_pytest(probe: Probe) -> None:
    _, text, code = played(probe, "def pytest_vdkprobe_veredict(config): pass")
    assert code != 0
    assert "pytest_vdkprobe_veredict" in text


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["alone", "workers"])
def test_a_fixture_that_is_overridden_with_another_scope_is_refused(
    probe: Probe, args: tuple[str, ...]
) -> None:
    probe.write("conftest.py", "import pytest\n@pytest.fixture\ndef vdk_auth(): return None\n")
    probe.scenario("@step\ndef test_reach(vdk_control): pass\n")
    result = probe.run_apart("test_mine.py", *args)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == USAGE, text
    assert "The fixture vdk_auth is overridden with another scope." in text
    assert '@pytest.fixture(scope="session") in' in text
    assert "conftest.py:2 (vdk_auth)" in text


def test_an_override_is_looked_at_in_each_folder(probe: Probe) -> None:
    override = "import pytest\n@pytest.fixture{}\ndef vdk_auth(): return None\n"
    probe.write("good/conftest.py", override.format('(scope="session")'))
    probe.write("wrong/conftest.py", override.format(""))
    test = HEAD + "@step\ndef test_reach(vdk_control): pass\n"
    for folder in ("good", "wrong"):
        probe.write(f"{folder}/test_{folder}.py", test)
    result = probe.run_apart("good", "wrong")
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == USAGE, text
    assert "The fixture vdk_auth is overridden with another scope." in text


@pytest.mark.parametrize("breaks", ["1 / 0", "pytest.fail('no')", "pytest.skip('no')"])
@pytest.mark.parametrize("name", ["step_finished", "verdict", "report"])
def test_a_hook_that_breaks_ends_no_run_half_way(probe: Probe, name: str, breaks: str) -> None:
    arguments = {"step_finished": "step", "verdict": "step", "report": "report"}[name]
    hook = f"def pytest_vdkprobe_{name}(config, {arguments}): {breaks}\n"
    report, text, code = played(probe, hook, THREE)
    assert code == 6, text
    assert [step["step"] for step in report["journeys"][0]["steps"]] == ["create", "run", "delete"]
    assert f"The hook pytest_vdkprobe_{name} of conftest.py broke" in text
    assert "conftest.py, line 2" in text
