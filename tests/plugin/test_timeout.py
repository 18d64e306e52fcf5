"""pytest-timeout ends a step that hangs, and leaves its cleanup alone."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Probe

HANGS = """
from pathlib import Path
from pytest_vdkprobe.waiting import pause
@pytest.fixture(scope="module")
def job():
    yield
    pause(2.5)
    Path("cleaned").touch()
@step
def test_hang(job, vdk_step):
    wait_until("a miracle", lambda: "no", done=lambda v: False, deadline=Deadline.after(60),
               describe=str)
"""


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["alone", "xdist"])
def test_the_step_is_named_and_its_cleanup_runs_to_its_end(
    probe: Probe, workers: list[str]
) -> None:
    probe.scenario(HANGS)
    result = probe.run_apart("test_mine.py", "--timeout=1.5", "--timeout-method=signal", *workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "mine[[]hello-platform]::hang  step 1 of 1  FAIL after [0-9]*.[0-9]* s",
            "  The step hang was ended by pytest-timeout after [0-9]*.[0-9]* s.",
            "  Seen:      the test was interrupted while waiting for a miracle: no, * polls",
        ]
    )
    assert (probe.pytester.path / "cleaned").exists()
