"""Runs are remembered: what of them, where, and that nothing about it can break a run."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.history import recorder
from tests.plugin.conftest import THREE, Probe

BROKEN = THREE.replace('vdk_step.evidence("ran")', 'raise PlatformFailure("it did not run")')
KILLED = """
import os, sqlite3
from contextlib import closing

def kept():
    try:
        with closing(sqlite3.connect("file:{history}?mode=ro", uri=True)) as connection:
            return connection.execute("select count(*) from execution_step_part").fetchone()[0]
    except sqlite3.OperationalError:
        return 0

def die():
    wait_until("the step before", kept, done=bool, deadline=Deadline.after(60))
    os.kill(os.getpid(), 9)
""" + THREE.replace('vdk_step.evidence("ran")', "die()")


def file() -> Path:
    """The history in the state folder that tests have to themselves."""
    return Path(os.environ["XDG_STATE_HOME"]) / "vdkprobe" / "history.db"


def rows(sql: str) -> list[tuple[Any, ...]]:
    """What is in it."""
    with closing(sqlite3.connect(file())) as connection:
        return connection.execute(sql).fetchall()


STEPS = """
select e.status, s.step_name, s.status, p.name, p.verdict, p.evidence
from execution e join execution_step s on s.execution_id = e.execution_id
join execution_step_part p on p.execution_step_id = s.execution_step_id
order by e.created_on, s.position, p.position
"""


def test_a_run_is_kept_with_its_steps(probe: Probe) -> None:
    probe.scenario(THREE)
    result = probe.run("test_mine.py", "--vdk-report=report.json")
    assert rows(STEPS) == [
        ("COMPLETED", "mine[hello-platform]", "COMPLETED", "create", "pass", "created"),
        ("COMPLETED", "mine[hello-platform]", "COMPLETED", "run", "pass", "ran"),
        ("COMPLETED", "mine[hello-platform]", "COMPLETED", "delete", "pass", "deleted"),
    ]
    ((pipeline, kind, verdict, versions),) = rows(
        "select pipeline, kind, verdict, versions from execution"
    )
    assert (pipeline, kind, verdict) == ("127.0.0.1:9/platform", "run", "pass")
    assert set(json.loads(versions)) == {"pytest-vdkprobe", "pytest", "python"}
    report = json.loads((probe.pytester.path / "report.json").read_text())
    ((execution,),) = rows("select execution_id from execution")
    assert report["history"]["execution"] == execution
    assert execution.startswith(report["run_id"])
    result.stdout.fnmatch_lines(["vdkprobe history: 127.0.0.1:9/platform in *history.db"])
    assert file().stat().st_mode & 0o777 == 0o600


def test_a_bad_run_is_kept_as_failed(probe: Probe) -> None:
    probe.scenario(BROKEN)
    assert probe.run("test_mine.py").ret == 1
    assert [row[0] for row in rows(STEPS)] == ["FAILED"] * 3
    assert rows(STEPS)[1][3:] == ("run", "fail", "it did not run")


def test_a_killed_run_keeps_what_it_had_and_is_found_abandoned(probe: Probe) -> None:
    probe.scenario(KILLED.replace("{history}", str(file())))
    assert probe.run_apart("test_mine.py").ret == -9
    assert rows(STEPS) == [
        ("IN_PROGRESS", "mine[hello-platform]", "IN_PROGRESS", "create", "pass", "created")
    ]
    probe.scenario(THREE)
    assert probe.run("test_mine.py").ret == 0
    assert [row[0] for row in rows("select status from execution order by created_on")] == [
        "ABANDONED",
        "COMPLETED",
    ]


def test_a_run_that_was_cut_short_is_not_good(probe: Probe) -> None:
    probe.scenario(THREE.replace('vdk_step.evidence("ran")', "raise KeyboardInterrupt"))
    assert probe.run_apart("test_mine.py").ret == 2
    ((status, verdict, note),) = rows("select status, verdict, note from execution")
    assert (status, verdict) == ("FAILED", "unknown")
    assert "exit code 2, interrupted in mine[hello-platform]::run" in note
    assert rows("select status, verdict from execution_step") == [("FAILED", "unknown")]


def test_of_many_processes_one_writes(probe: Probe) -> None:
    probe.jobs("first-job", "second-job")
    probe.scenario(THREE)
    assert probe.run_apart("test_mine.py", "-n2").ret == 0
    assert rows("select status from execution") == [("COMPLETED",)]
    assert sorted(rows("select step_name from execution_step")) == [
        ("mine[first-job]",),
        ("mine[second-job]",),
    ]
    assert rows("select count(*) from execution_step_part") == [(6,)]


@pytest.mark.parametrize("option", ["--vdk-history=off", "--collect-only", "--vdk-plan"])
def test_nothing_is_written_where_there_is_nothing_to_remember(probe: Probe, option: str) -> None:
    probe.scenario(THREE)
    assert probe.run("test_mine.py", option).ret == 0
    assert not file().exists()


def test_what_it_consists_of_is_kept_without_secrets(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBE_TOKEN", "hunter2-of-the-probe")
    probe.config.write_text(
        '[control]\nurl = "http://127.0.0.1:9"\nteam = "platform"\n'
        'auth = { kind = "bearer", token = { env = "PROBE_TOKEN" } }\n'
        '[[jobs]]\nname = "hello-platform"\n'
    )
    probe.scenario(THREE.replace('"ran"', '"hunter2-of-the-probe"'))
    assert probe.run("test_mine.py").ret == 0
    paths = {path for (path,) in rows("select path from execution_step_model")}
    assert {
        "scenario/test_mine.py",
        "configuration/control.url",
        "configuration/control.auth.token",
        "configuration/jobs.hello-platform.name",
        "job/hello-platform/10_proof.py",
        "version/pytest-vdkprobe",
    } <= paths
    for found in file().parent.glob("history.db*"):
        assert b"hunter2-of-the-probe" not in found.read_bytes()


@contextmanager
def locked() -> Iterator[None]:
    """Somebody else is writing, and does not end."""
    with closing(sqlite3.connect(file(), isolation_level=None)) as connection:
        connection.execute("begin immediate")
        yield


def test_a_locked_history_is_said_and_changes_no_verdict(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py")
    monkeypatch.setattr(recorder, "PATIENCE_S", 0.3)
    with locked():
        result = probe.run("test_mine.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["vdkprobe history: not kept: *did not answer within 0.3 s*"])


def newer() -> None:
    """Tables of a version that is not out yet."""
    with closing(sqlite3.connect(file())) as connection, connection:
        connection.execute("update vdkprobe_history_version set version_num = 'vdkprobe_9999'")


def test_a_newer_history_is_left_alone(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py")
    newer()
    result = probe.run("test_mine.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["vdkprobe history: not kept: *are newer than this program*"])
    result = probe.run("test_mine.py", f"--vdk-history=sqlite:///{file()}")
    assert result.ret == 4
    assert "are newer than this program" in result.stderr.str()
    assert rows("select count(*) from execution") == [(1,)]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("sqlite:////proc/history.db", "can't be used"),
        ("mysql://somewhere/db", "is no database that is known here"),
        ("nonsense", "it has no ://"),
    ],
)
def test_one_that_was_asked_for_has_to_be_usable(probe: Probe, address: str, says: str) -> None:
    probe.scenario(THREE)
    result = probe.run("test_mine.py", f"--vdk-history={address}")
    assert result.ret == 4
    assert says in result.stderr.str()
    assert "passed" not in result.stdout.str()


def test_a_full_disk_is_said_and_changes_no_verdict(probe: Probe) -> None:
    """Not the disk's end but the process's own limit: the same error, and nobody else is hurt."""
    probe.scenario(THREE)
    limited = "import resource, signal, sys, pytest; "
    limited += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    limited += "sys.exit(pytest.main(sys.argv[1:]))"
    result = probe.pytester.run(
        *(sys.executable, "-c", limited, f"--vdk-config={probe.config}", "test_mine.py"),
        *("-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
        timeout=180,
    )
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
    result.stdout.fnmatch_lines(["vdkprobe history: not kept: *"])
    result.stdout.fnmatch_lines(["*3 passed*"])


def test_one_that_vanishes_during_the_run_is_said_once_and_changes_no_verdict(probe: Probe) -> None:
    vanish = f"__import__('pathlib').Path({str(file())!r}).unlink()"
    probe.scenario(THREE.replace('vdk_step.evidence("ran")', f'{vanish}; vdk_step.evidence("ran")'))
    result = probe.run("test_mine.py", "--vdk-compare")
    assert result.ret == 0
    told = [line for line in result.outlines if "was removed or replaced while" in line]
    assert len(told) == 1
    assert told[0].startswith("vdkprobe history: not kept: ")
    assert "To try: see who cleans up that folder" in told[0]


def test_old_runs_go(probe: Probe) -> None:
    probe.config.write_text(probe.config.read_text() + "\n[history]\nkeep = 2\n")
    probe.scenario(THREE)
    for _ in range(4):
        probe.run("test_mine.py")
    assert rows("select count(*) from execution") == [(2,)]


def test_a_name_of_its_own_keeps_two_ways_apart(probe: Probe) -> None:
    probe.scenario(THREE)
    probe.run("test_mine.py", "--vdk-set", "history.pipeline=nightly")
    assert rows("select pipeline from execution") == [("nightly",)]
