"""The endpoints scenario as its user runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests  # noqa: F401 - inner runs forget what they import, so that it has to be loaded

from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.plugin.conftest import LEAN

PLATFORM = """
[[endpoints]]
name = "metadata"
url = "{url}/metadata/my-data"
interval_s = 0.02
tasks = 20
expect = {{ status = [200], within_s = 20, json = {{ "$.Id" = "my-data" }} }}
"""


@pytest.fixture
def sandbox(pytester: pytest.Pytester) -> Iterator[Sandbox]:
    with Sandbox() as started:
        pytester.makefile(".toml", platform=PLATFORM.format(url=started.url))
        yield started


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    report = "--vdk-report=report.json"
    return pytester.runpytest_inprocess("--vdk-config=platform.toml", report, *LEAN, *options)


def test_good_endpoint_passes_with_its_tasks_in_the_report(
    pytester: pytest.Pytester, sandbox: Sandbox
) -> None:
    result = run(pytester)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*tasks*PASS*20 of 20 tasks succeeded*p50*p99*"])
    report = json.loads((pytester.path / "report.json").read_text())
    steps = {step["step"]: step for step in report["journeys"][0]["steps"]}
    assert steps["tasks"]["tasks"]["succeeded"] == 20


def test_bad_endpoint_fails_with_reasons_and_trace_ids(
    pytester: pytest.Pytester, sandbox: Sandbox
) -> None:
    sandbox.plant("status", status=500, method="GET", path="^/metadata/", times=2)
    result = run(pytester)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*Of 20 tasks, 2 failed.*", "*2 x 500*", "*trace *", "*GET http*"])


def test_metrics_have_our_names_and_the_seeds(pytester: pytest.Pytester, sandbox: Sandbox) -> None:
    sandbox.plant("status", status=500, method="GET", path="^/metadata/", times=2)
    run(pytester, "--vdk-metrics-file=metrics.prom")
    found = (pytester.path / "metrics.prom").read_text().splitlines()
    for name, value in (("created", 20), ("succeeded", 18), ("failed", 2)):
        for seed in ("tasks", "requests"):
            assert f'probe_{seed}_{name}_total{{app_id="metadata"}} {value}.0' in found
        assert f'vdkprobe_tasks_{name}_total{{check="endpoints[metadata]"}} {value}.0' in found
    took = 'vdkprobe_task_duration_seconds_count{check="endpoints[metadata]"} 20.0'
    assert took in found
    (last,) = (line for line in found if line.startswith("probe_task_duration{"))
    name, _, seconds = last.rpartition(" ")
    assert name == 'probe_task_duration{app_id="metadata"}'
    assert 0 < float(seconds) < 20


def test_endpoint_that_never_was_there_is_an_error_and_blocks_the_tasks(
    pytester: pytest.Pytester, sandbox: Sandbox
) -> None:
    sandbox.stop()
    result = run(pytester)
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*reach*ERROR*", "*can't be reached: the connection was refused*"])


def test_plan_names_the_calls_and_makes_none(pytester: pytest.Pytester, sandbox: Sandbox) -> None:
    sandbox.stop()
    result = run(pytester, "--vdk-plan")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*calls to endpoint metadata: 20 x GET http*every 0.02 s*"])


def test_check_reaches_it(
    pytester: pytest.Pytester, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "platform.toml", "--connect"]) == 0
    assert "ok     endpoint metadata: http://127.0.0.1" in capsys.readouterr().out
    sandbox.stop()
    assert main(["check", "platform.toml", "--connect"]) == 6
    assert "can't be reached" in capsys.readouterr().out
