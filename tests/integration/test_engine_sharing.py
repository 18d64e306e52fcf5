"""One set of engines serves a whole run, and is gone with it however the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox.engines import sharing
from pytest_vdkprobe.sandbox.engines.addresses import Addresses
from pytest_vdkprobe.sandbox.engines.messages import Notice, Run
from pytest_vdkprobe.waiting import Deadline, wait_until

PATIENCE_S = 20.0

OWNER = """
import sys, time, msgspec
from pytest_vdkprobe.sandbox.engines import sharing
run = sharing.begin()
found = sharing.acquire(["postgres"], run=run)
print(msgspec.json.encode([run, found]).decode(), flush=True)
sys.stdin.read()
"""
"""The owner of a run, which holds an engine until its standard input closes."""

WORKER = """
import sys, msgspec
from pytest_vdkprobe.sandbox.engines import sharing
from pytest_vdkprobe.sandbox.engines.messages import Run
run = msgspec.json.decode(sys.argv[1], type=Run)
print(msgspec.json.encode(sharing.acquire(["postgres"], run=run)).decode())
"""


def notice_of(run: Run) -> Notice:
    return msgspec.json.decode((Path(run.folder) / "supervisor.json").read_bytes(), type=Notice)


def folder_of(pid: int) -> Path:
    """Where the engine of this process writes: it works there."""
    return Path(f"/proc/{pid}/cwd").readlink().parent


def wait_for_the_end(*processes: Process, folders: tuple[Path, ...]) -> None:
    wait_until(
        "the end of the run's engines",
        lambda: (
            [process.pid for process in processes if process.runs()]
            + [str(folder) for folder in folders if folder.exists()]
        ),
        done=lambda left: not left,
        deadline=Deadline.after(PATIENCE_S),
    )


def test_processes_that_ask_at_once_get_the_same_engines() -> None:
    run = sharing.begin()
    told = msgspec.json.encode(run).decode()
    try:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, told], stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        answers = {worker.communicate(timeout=60)[0] for worker in workers}
    finally:
        sharing.end(run)

    assert len(answers) == 1
    assert msgspec.json.decode(answers.pop(), type=Addresses).postgres is not None


def test_the_end_of_a_run_leaves_nothing() -> None:
    run = sharing.begin()
    found = sharing.acquire(["postgres"], run=run).postgres
    assert found is not None
    engine, supervisor = Process.of(found.pid), notice_of(run)
    folders = (folder_of(found.pid), Path(run.folder), Path(supervisor.socket).parent)

    sharing.end(run)
    sharing.end(run)

    wait_for_the_end(engine, supervisor.process, folders=folders)


def test_a_run_that_asks_for_nothing_starts_and_writes_nothing() -> None:
    run = sharing.begin()

    assert sharing.acquire([], run=run) == Addresses()
    assert sharing.require_alive(run) == Addresses()
    sharing.end(run)
    assert not Path(run.folder).exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_owner_that_is_killed_takes_everything_along(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        run, found = msgspec.json.decode(owner.stdout.readline(), type=tuple[Run, Addresses])
        assert found.postgres is not None
        engine, supervisor = Process.of(found.postgres.pid), notice_of(run)
        folders = (folder_of(engine.pid), Path(run.folder), Path(supervisor.socket).parent)
        owner.send_signal(number)

        # The owner is not waited for: a dead process that nobody reaps is gone as well.
        wait_for_the_end(engine, supervisor.process, folders=folders)


def test_a_supervisor_that_is_killed_takes_its_engines_along_and_is_missed() -> None:
    run = sharing.begin()
    found = sharing.acquire(["postgres"], run=run).postgres
    assert found is not None
    engine, supervisor = Process.of(found.pid), notice_of(run).process
    data = folder_of(found.pid)

    os.kill(supervisor.pid, signal.SIGKILL)
    wait_for_the_end(engine, supervisor, folders=(data,))

    with pytest.raises(ProbeError, match="supervisor of the sandbox's engines is gone"):
        sharing.acquire(["postgres"], run=run)
    sharing.end(run)
    assert not Path(run.folder).exists()


def test_an_engine_that_dies_in_the_middle_is_named_to_all_who_ask() -> None:
    run = sharing.begin()
    try:
        found = sharing.acquire(["postgres"], run=run).postgres
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)

        def asked() -> str:
            try:
                sharing.require_alive(run)
            except ProbeError as error:
                return str(error)
            return ""

        said = wait_until("word", asked, done=bool, deadline=Deadline.after(PATIENCE_S)).value
        with pytest.raises(ProbeError, match="postgres ended by itself"):
            sharing.acquire(["postgres"], run=run)
    finally:
        sharing.end(run)

    assert "killed by signal 9" in said


def test_an_engine_that_cannot_start_is_told_to_all_who_ask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VDKPROBE_PG_BIN", str(tmp_path))
    run = sharing.begin()
    try:
        for _ in range(2):
            with pytest.raises(ProbeError, match="no PostgreSQL where VDKPROBE_PG_BIN says"):
                sharing.acquire(["postgres"], run=run)
    finally:
        sharing.end(run)


def test_an_engine_that_does_not_exist_is_refused_before_anything_starts() -> None:
    run = sharing.begin()

    with pytest.raises(ProbeError, match="no engine 'oracle'"):
        sharing.acquire(["oracle"], run=run)
    assert not Path(run.folder).exists()
