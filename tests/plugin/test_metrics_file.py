"""`--vdk-metrics-file`: a run in CI leaves its verdicts, durations and causes as metrics."""

from __future__ import annotations

from tests.plugin.conftest import Probe

MIXED = """
@step
def test_create(vdk_step): vdk_step.evidence("created")

@step(needs=["create"])
def test_run(vdk_step):
    from pytest_vdkprobe.errors import LoginError
    raise LoginError("refused")

@step(needs=["run"])
def test_log(vdk_step): vdk_step.evidence("never")

@step
def test_count(vdk_step, vdk_metrics):
    vdk_metrics.counter("vdkprobe_events_sent_total", check="mine[hello-platform]").inc(3)
    vdk_step.evidence("counted")
"""


def metrics(probe: Probe, *args: str) -> dict[str, float]:
    """Every series in the file."""
    probe.run("test_mine.py", "--vdk-metrics-file=out/probe.prom", *args)
    text = (probe.pytester.path / "out" / "probe.prom").read_text()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_a_run_leaves_verdicts_durations_and_causes(probe: Probe) -> None:
    probe.scenario(MIXED)
    found = metrics(probe)
    check = 'check="mine[hello-platform]"'
    assert found[f'vdkprobe_run_total{{{check},verdict="error"}}'] == 1
    assert found[f'vdkprobe_run_total{{{check},verdict="pass"}}'] == 0
    assert found[f'vdkprobe_errors_total{{cause="login",{check}}}'] == 1
    assert found[f"vdkprobe_last_success_timestamp_seconds{{{check}}}"] == 0
    assert found[f"vdkprobe_last_run_timestamp_seconds{{{check}}}"] > 1e9
    assert found[f'vdkprobe_step_duration_seconds_count{{{check},step="create"}}'] == 1
    assert found[f'vdkprobe_step_duration_seconds_count{{{check},step="log"}}'] == 0
    assert found[f"vdkprobe_events_sent_total{{{check}}}"] == 3


def test_every_check_has_its_series_under_xdist_too(probe: Probe) -> None:
    probe.jobs("first-job", "second-job")
    probe.scenario('@step\ndef test_create(vdk_step): vdk_step.evidence("created")\n')
    probe.run_apart("test_mine.py", "--vdk-metrics-file=probe.prom", "-n", "2")
    text = (probe.pytester.path / "probe.prom").read_text()
    assert 'vdkprobe_run_total{check="mine[first-job]",verdict="pass"} 1.0' in text
    assert 'vdkprobe_run_total{check="mine[second-job]",verdict="pass"} 1.0' in text


def test_a_file_that_cant_be_written_makes_a_green_run_an_error(probe: Probe) -> None:
    probe.scenario('@step\ndef test_create(vdk_step): vdk_step.evidence("created")\n')
    probe.write("taken", "a file, no folder")
    result = probe.run("test_mine.py", "--vdk-metrics-file=taken/probe.prom")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*--vdk-metrics-file could not be written*"])


def test_a_pushgateway_that_is_not_there_makes_a_green_run_an_error(probe: Probe) -> None:
    probe.scenario('@step\ndef test_create(vdk_step): vdk_step.evidence("created")\n')
    result = probe.run("test_mine.py", "--vdk-pushgateway=http://127.0.0.1:9")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["Metrics could not be pushed: *refused*"])


def test_a_pushgateway_that_is_no_address_is_refused(probe: Probe) -> None:
    probe.scenario('@step\ndef test_create(vdk_step): vdk_step.evidence("created")\n')
    assert probe.run("test_mine.py", "--vdk-pushgateway=gateway").ret == 4
