"""The long runs of ci/soak in a form that takes seconds: they run, and what they count is zero."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ci.soak import clean, kills, show, watch
from ci.soak.__main__ import main
from tests.integration.fault_table import TABLE
from tests.unit.house.sources import ROOT


def test_clean_heartbeats_raise_no_false_alarm() -> None:
    # Seeds of the long run, the first of which goes through all steps.
    for done in clean.soak(3, seed=10, workers=1):
        assert done.green, (done.run, done.left, done.output)


def test_killed_heartbeats_leave_nothing_and_touch_no_decoy() -> None:
    for done in kills.soak(6, seed=0, workers=1):
        assert done.clean, (str(done.kill), done.left, done.touched, done.output)


def test_each_signal_meets_each_call_of_a_run() -> None:
    calls = {False: 7, True: 11}
    planned = [kills._kill(seed, calls) for seed in range(2000)]
    for full, count in calls.items():
        met = {(kill.number, kill.call) for kill in planned if kill.full == full}
        assert {(number, call) for number in kills.SIGNALS for call in range(count)} <= met


def test_table_of_faults_is_written_as_markdown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "faults.md"
    assert main(["faults", "--only", "info not json", "keytab-lost", "--result", str(path)]) == 0
    rows = [
        [cell.strip() for cell in line.split("|")[1:4]] for line in path.read_text().splitlines()
    ]
    assert ["info not json", "reach", "error"] in rows
    assert ["keytab-lost", "keytab", "fail"] in rows
    assert "2 of 2 as expected" in capsys.readouterr().out


def test_misspelt_fault_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "--only", "nonsense"]) == 2
    assert "no such fault: nonsense" in capsys.readouterr().err


def test_ten_faults_of_the_demonstration_are_in_the_table() -> None:
    assert set(show.TEN) <= {row.name for row in TABLE}
    assert len(set(show.TEN)) == 10


def test_demonstration_that_is_interrupted_ends_at_once_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-m", "ci.soak", "show"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Each of 10 faults")
        while "reach" not in process.stdout.readline():  # the first is done, others are under way
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 130
    assert list(tmp_path.glob("vdkprobe-*")) == []


def test_watch_that_goes_on_exports_no_more_and_takes_up_no_more() -> None:
    found = watch.soak(20)
    assert len(found.series) == 1, found
    # It has hardly warmed up; the hour of ci/bench/watch.py holds it to a twentieth.
    assert found.growth < 0.15, found
    assert found.events > 50, found
    assert found.tasks > 50, found
