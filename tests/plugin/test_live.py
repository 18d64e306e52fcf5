"""What is being waited for is drawn on a terminal and logged elsewhere."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys

import pytest

from pytest_vdkprobe.observe.live import RESTORE, SAVE, WIPE, LiveLine, LogLines
from pytest_vdkprobe.waiting import WaitEvent
from tests.plugin.conftest import LEAN, Probe

WAITS = """
@step
def test_wait(vdk_step):
    state = iter(["submitted", "submitted", "running", "running", "succeeded"])
    wait_until("execution 7", lambda: next(state), done=lambda s: s == "succeeded",
               deadline=Deadline.after(10), describe=str, first_pause_s=0.3, longest_pause_s=0.3)
    vdk_step.evidence("succeeded")
"""


def event(state: str, elapsed_s: float, *, finished: bool = False) -> WaitEvent:
    """A poll that saw `state`."""
    return WaitEvent("execution 7", state, 3, elapsed_s, 60, finished)


def read_terminal(command: list[str], folder: os.PathLike[str]) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = dict(os.environ, TERM="xterm")
    process = subprocess.Popen(
        command, cwd=folder, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    )
    os.close(theirs)
    chunks = []
    try:
        while chunk := os.read(ours, 65536):
            chunks.append(chunk)
    except OSError:
        pass  # Linux says so when the other end has closed
    finally:
        os.close(ours)
        process.wait(timeout=30)
    return b"".join(chunks).decode(errors="replace")


def test_on_a_terminal_one_line_is_drawn_and_wiped(probe: Probe) -> None:
    probe.scenario(WAITS)
    command = [sys.executable, "-m", "pytest", f"--vdk-config={probe.config}", *LEAN]
    text = read_terminal([*command, "test_mine.py"], probe.pytester.path)
    assert f"{SAVE} waiting for execution 7: running" in text
    assert text.rindex(WIPE) > text.rindex(SAVE)
    assert "1 passed" in text


def test_in_a_pipe_nothing_is_drawn_and_changes_of_state_are_logged(probe: Probe) -> None:
    probe.scenario(WAITS)
    result = probe.run_apart("test_mine.py", "--log-file=run.log", "--log-file-level=INFO")
    assert SAVE not in result.stdout.str()
    log = (probe.pytester.path / "run.log").read_text()
    states = [line.partition("execution 7: ")[2].partition(",")[0] for line in log.splitlines()]
    assert states == ["submitted", "running", "succeeded"]


def test_under_xdist_nothing_is_drawn(probe: Probe) -> None:
    probe.scenario(WAITS)
    command = [sys.executable, "-m", "pytest", f"--vdk-config={probe.config}", *LEAN]
    assert SAVE not in read_terminal([*command, "test_mine.py", "-n1"], probe.pytester.path)


@pytest.fixture
def live(pytester: pytest.Pytester) -> tuple[LiveLine, io.StringIO]:
    """A live line on a stream that can be read."""
    stream = io.StringIO()
    return LiveLine(pytester.parseconfigure(*LEAN), stream), stream


def test_a_short_wait_is_not_drawn(live: tuple[LiveLine, io.StringIO]) -> None:
    live[0].show(event("running", 0.1))
    assert not live[1].getvalue()


def test_a_finished_wait_is_wiped_once(live: tuple[LiveLine, io.StringIO]) -> None:
    line, stream = live
    line.show(event("running", 1.0))
    line.show(event("done", 2.0, finished=True))
    line.wipe()
    assert stream.getvalue().endswith(RESTORE + WIPE)


def test_control_characters_of_a_platform_do_not_reach_the_terminal(
    live: tuple[LiveLine, io.StringIO],
) -> None:
    live[0].show(event("\x1b[2Jgone\r\n", 1.0))
    assert "\x1b[2J" not in live[1].getvalue()
    assert "\r" not in live[1].getvalue()


def test_a_terminal_that_has_gone_does_not_end_the_run(pytester: pytest.Pytester) -> None:
    stream = io.StringIO()
    stream.close()
    LiveLine(pytester.parseconfigure(*LEAN), stream).show(event("running", 1.0))


def test_an_unchanged_state_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vdkprobe")
    lines = LogLines()
    for elapsed_s in (0.0, 3.0, 11.0, 12.0):
        lines.show(event("running", elapsed_s))
    assert len(caplog.records) == 2
