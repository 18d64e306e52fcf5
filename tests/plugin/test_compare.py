"""A run's end compared with the past: what of it is told."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from tests.plugin.conftest import THREE, Probe
from tests.plugin.test_history import file, rows

BROKEN = THREE.replace('vdk_step.evidence("ran")', 'raise PlatformFailure("it did not run")')


def compared(probe: Probe, body: str, *options: str) -> list[str]:
    """The lines of the comparison, without its headline."""
    probe.scenario(body)
    lines = probe.run("test_mine.py", "--vdk-compare", *options).outlines
    (start,) = (at for at, line in enumerate(lines) if "compared with the past" in line)
    return lines[start : next(at for at in range(start + 1, len(lines)) if lines[at][:1] in "=-")]


def test_the_first_run_has_nothing_to_compare_with(probe: Probe) -> None:
    head, *lines = compared(probe, THREE)
    assert "no good run yet to compare with" in head
    assert lines == ["nothing has changed"]


def test_what_fails_now_and_did_not(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py")
    head, *lines = compared(probe, BROKEN)
    assert "run " in head
    assert "newly failing  mine[hello-platform]::run: it did not run" in lines
    assert "changed        mine[hello-platform]: scenario/test_mine.py changed" in lines


def test_what_passes_again(probe: Probe) -> None:
    for body in (THREE, BROKEN):
        probe.scenario(body)
        probe.run("test_mine.py")
    _, *lines = compared(probe, THREE)
    assert lines == ["newly passing  mine[hello-platform]::run"]


def test_what_fails_by_turns_is_flaky_and_not_newly_failing(probe: Probe) -> None:
    for body in (THREE, BROKEN, THREE):
        probe.scenario(body)
        probe.run("test_mine.py")
    _, *lines = compared(probe, BROKEN)
    told = "failed in 2 of its last 4 runs, 2 separate times"
    assert f"flaky          mine[hello-platform]::run: {told}" in lines
    assert not any("newly failing" in line for line in lines)


def test_a_slower_step_is_told_and_how_sure(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py")
    copy_runs([1.0, 1.04, 0.97] * 10 + [2.0] * 9)
    _, *lines = compared(probe, THREE.replace('("ran")', '("ran"); Deadline.after(0)'))
    assert any(line.startswith("faster         mine[hello-platform]::run") for line in lines) or (
        lines == ["changed        mine[hello-platform]: scenario/test_mine.py changed"]
    )


def copy_runs(durations: list[float]) -> None:
    """The run that is there again and again, with other durations of its step `run`."""
    with closing(sqlite3.connect(file())) as connection, connection:
        for number, seconds in enumerate(durations):
            connection.executescript(
                f"""
                create temp table e as select * from execution order by created_on limit 1;
                update e set execution_id = '{number:08}-0000-4000-8000-000000000000',
                    started_on = '2026-01-01T00:{number:02}:00.000000+00:00';
                insert into execution select * from e;
                create temp table s as select * from execution_step order by created_on limit 1;
                update s set execution_step_id = '{number:08}-0000-4000-8000-000000000001',
                    execution_id = '{number:08}-0000-4000-8000-000000000000';
                insert into execution_step select * from s;
                insert into execution_step_part
                    select '{number:08}-0000-4000-8000-000000000001', position, name, verdict,
                        case name when 'run' then {seconds} else duration_s end, evidence
                    from execution_step_part limit 3;
                drop table e; drop table s;
                """
            )


def test_a_run_is_named_by_the_beginning_of_its_id(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py")
    probe.run("test_mine.py")
    first, _ = rows("select execution_id from execution order by created_on")
    result = probe.run("test_mine.py", f"--vdk-compare={first[0][:8]}", "--vdk-report=report.json")
    result.stdout.fnmatch_lines([f"*compared with the past: run {first[0][:8]} of *"])
    report = json.loads((probe.pytester.path / "report.json").read_text())
    assert report["history"]["comparison"]["base"] == first[0]


def test_a_run_that_nobody_knows_is_said(probe: Probe) -> None:
    probe.scenario(THREE)
    result = probe.run("test_mine.py", "--vdk-compare=ffffffff")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["vdkprobe history: not compared: There is no run ffffffff*"])


@pytest.mark.parametrize("value", ["tests/", "latest", "xyz"])
def test_a_path_that_follows_the_option_is_refused(probe: Probe, value: str) -> None:
    probe.scenario(THREE)
    result = probe.run("--vdk-compare", value)
    assert result.ret == 4
    assert "--vdk-compare takes a run's id, or nothing." in result.stderr.str()


def test_without_a_history_there_is_nothing_to_compare(probe: Probe) -> None:
    probe.scenario(THREE)
    result = probe.run("test_mine.py", "--vdk-history=off", "--vdk-compare")
    assert result.ret == 4
    assert "--vdk-compare needs a history, and it is off." in result.stderr.str()
