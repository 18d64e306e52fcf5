"""SIGINT and SIGTERM stop a run cleanly; a second one, or the end of the grace time, ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.plugin.conftest import LEAN, Probe

STEPS = """
from pathlib import Path
from pytest_vdkprobe.waiting import pause
@pytest.fixture(scope="module")
def job():
    yield
    Path("cleaning").touch()
    pause({cleanup_s})
    Path("cleaned").touch()
@step
def test_hang(job, vdk_step):
    Path("hanging").touch()
    {body}
@step
def test_after(vdk_step): vdk_step.evidence("went on")
"""
HANG = "pause(600)"
PATIENCE_S = 60.0
"""For what takes a second or two on an idle machine."""


class Started:
    """A run of pytest in a process group of its own."""

    def __init__(self, probe: Probe, *args: str) -> None:
        self.folder = probe.pytester.path
        command = [sys.executable, "-m", "pytest", f"--vdk-config={probe.config}", *LEAN, *args]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, name: str) -> None:
        """Until the run has touched that file."""
        path: Path = self.folder / name
        limit = Deadline.after(PATIENCE_S)
        wait_until(name, path.exists, done=bool, deadline=limit, longest_pause_s=0.1)

    def end(self) -> tuple[int, str]:
        """Its exit code and output."""
        try:
            output, _ = self.process.communicate(timeout=PATIENCE_S)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.returncode, output


def start(probe: Probe, *args: str, body: str = HANG, cleanup_s: float = 0.2) -> Started:
    """A run that hangs in its first step."""
    probe.scenario(STEPS.format(body=body, cleanup_s=cleanup_s))
    return Started(probe, "test_mine.py", *args)


def alive(group: int) -> bool:
    """Whether any process of the group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_step_and_lets_the_cleanup_run(probe: Probe, number: int) -> None:
    run = start(probe)
    run.wait_for("hanging")
    run.process.send_signal(number)
    code, output = run.end()
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert (run.folder / "cleaned").exists()
    assert "went on" not in output
    assert "interrupted in mine[hello-platform]::hang  step 1 of 2, after" in output


SWALLOW = """
    try: pause(600)
    except Exception: vdk_step.evidence("swallowed it")
"""
SIGTERM_WHILE_REMEMBERING = """
import os, signal
from pytest_vdkprobe.history.recorder import Recorder
def write(self, act, **arguments):
    if act == "begin": os.kill(os.getpid(), signal.SIGTERM)
Recorder.write = write
"""


def test_no_handler_of_errors_swallows_sigterm(probe: Probe) -> None:
    run = start(probe, body=SWALLOW)
    run.wait_for("hanging")
    run.process.send_signal(signal.SIGTERM)
    code, output = run.end()
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert (run.folder / "cleaned").exists()
    assert "swallowed it" not in output
    assert "went on" not in output


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "controller"])
def test_sigterm_while_a_step_is_remembered_stops_the_run(
    workers: tuple[str, ...], probe: Probe
) -> None:
    probe.write("conftest.py", SIGTERM_WHILE_REMEMBERING)
    code, output = start(probe, *workers, body="vdk_step.evidence('ran')").end()
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert "stopped by SIGTERM" in output
    assert "this is a bug" not in output
    assert (probe.pytester.path / "cleaned").exists()


def test_sigterm_while_something_is_cleaned_up_waits_for_it(probe: Probe) -> None:
    probe.scenario(
        STEPS.format(body="vdk_step.evidence('x')", cleanup_s=0.05)
        .replace('scope="module"', 'scope="function"')
        .replace("    pause(0.05)", "    while not Path('signalled').exists(): pause(0.05)")
    )
    run = Started(probe, "test_mine.py")
    run.wait_for("cleaning")
    run.process.send_signal(signal.SIGTERM)
    (run.folder / "signalled").touch()
    code, output = run.end()
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert (run.folder / "cleaned").exists()
    assert "stopped by SIGTERM" in output


def test_a_second_sigterm_ends_it_at_once(probe: Probe) -> None:
    run = start(probe, cleanup_s=600)
    run.wait_for("hanging")
    run.process.send_signal(signal.SIGTERM)
    run.wait_for("cleaning")
    run.process.send_signal(signal.SIGTERM)
    code, _ = run.end()
    assert code == -signal.SIGTERM
    assert not (run.folder / "cleaned").exists()


def test_the_end_of_the_grace_time_ends_a_cleanup_that_hangs(probe: Probe) -> None:
    probe.write("platform.toml", probe.config.read_text() + "\n[run]\ngrace_s = 0.5\n")
    run = start(probe, cleanup_s=600)
    run.wait_for("hanging")
    run.process.send_signal(signal.SIGTERM)
    code, output = run.end()
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert "cleanup did not end within 0.5 s" in output


def test_under_xdist_the_controller_sweeps_after_its_workers(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        """
import pytest_vdkprobe.journeys.cleanup as cleanup
from pytest_vdkprobe.journeys.run import Run
def sweep_run(run): return ["swept job x"]
def pytest_configure(config):
    cleanup.sweep_run = sweep_run
    Run.may_have_leases = True
""",
    )
    # A worker has no signal; its step goes on until the controller had one.
    run = start(probe, "-n1", body="while not Path('signalled').exists(): pause(0.05)")
    run.wait_for("hanging")
    run.process.send_signal(signal.SIGTERM)
    (run.folder / "signalled").touch()
    code, output = run.end()
    assert code == pytest.ExitCode.INTERRUPTED, output
    assert "swept job x" in output
    # A worker closes what we wait for a moment before it is gone.
    wait_until(
        "the end of the group",
        lambda: alive(run.process.pid),
        done=lambda there: not there,
        deadline=Deadline.after(PATIENCE_S),
    )
