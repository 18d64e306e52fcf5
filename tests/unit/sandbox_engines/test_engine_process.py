"""An engine's process ends with whoever started it, and what it said is not lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.engines.engine_process import EngineDiedError, EngineProcess
from pytest_vdkprobe.waiting import Deadline, wait_until

SH = "/bin/sh"
ENVIRON = {"PATH": os.defpath}


def process_in(folder: Path) -> EngineProcess:
    return EngineProcess("toy", parent=folder, kill_with=signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_closing_ends_the_process_and_removes_its_folder(tmp_path: Path) -> None:
    with process_in(tmp_path) as process:
        process.start([SH, "-c", "sleep 60"], environ=ENVIRON)
        pid = process.pid
        assert pid is not None
    process.close()

    assert not alive(pid)
    assert not list(tmp_path.iterdir())


def test_what_the_process_started_itself_ends_with_it(tmp_path: Path) -> None:
    with process_in(tmp_path) as process:
        note = process.folder / "child"
        process.start([SH, "-c", f"sleep 60 & echo $! > {note}; wait"], environ=ENVIRON)
        wait_until(
            "the child",
            lambda: note.is_file() and note.read_text().strip(),
            done=bool,
            deadline=Deadline.after(10),
        )
        child = int(note.read_text())

    wait_until(
        "its end", lambda: alive(child), done=lambda there: not there, deadline=Deadline.after(10)
    )


def test_the_process_sees_the_given_environment_alone(tmp_path: Path) -> None:
    with process_in(tmp_path) as process:
        process.start(["/usr/bin/env"], environ={"ONLY": "this", "LC_ALL": "C.UTF-8"})
        assert process.join(10) == 0

        assert sorted(process.tail().splitlines()) == ["LC_ALL=C.UTF-8", "ONLY=this"]


def test_one_that_dies_while_it_comes_up_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with process_in(tmp_path) as process:
        process.start([SH, "-c", "echo the disk is gone; exit 3"], environ=ENVIRON)
        with pytest.raises(EngineDiedError) as caught:
            process.wait_ready(lambda: False, 10)

    assert "exit code 3" in str(caught.value)
    assert "the disk is gone" in str(caught.value)


def test_one_that_is_not_ready_in_time_is_a_probe_error_with_the_last_reason(
    tmp_path: Path,
) -> None:
    def refuse() -> bool:
        raise ConnectionRefusedError("nobody listens")

    with process_in(tmp_path) as process:
        process.start([SH, "-c", "echo coming up; sleep 60"], environ=ENVIRON)
        with pytest.raises(ProbeError, match=r"not ready in 0\.5 s") as caught:
            process.wait_ready(refuse, 0.5)

    assert "nobody listens" in str(caught.value)


@pytest.mark.parametrize("starter", ["parent", "before-its-engine"])
def test_a_killed_parent_leaves_neither_process_nor_folder(tmp_path: Path, starter: str) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from pytest_vdkprobe.sandbox.engines.engine_process import EngineProcess
process = EngineProcess("toy", parent=Path({str(tmp_path)!r}), kill_with=signal.SIGKILL)
if {starter == "parent"}:
    process.start(["/bin/sh", "-c", "echo up; sleep 60"], environ={{"PATH": os.defpath}})
    while "up" not in process.tail():
        pass
    print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert killed.returncode == -9

    wait_until(
        "an empty folder",
        lambda: list(tmp_path.iterdir()),
        done=lambda left: not left,
        deadline=Deadline.after(10),
    )
    if killed.stdout:
        # It was killed before its folder went, and may take a moment to die.
        pid = int(killed.stdout)
        wait_until(
            "its end", lambda: alive(pid), done=lambda there: not there, deadline=Deadline.after(10)
        )
