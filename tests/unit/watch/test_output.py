"""What a scenario's process prints goes into the state folder, and a full disk must not end it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from pytest_vdkprobe.watch.child import _Output

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no disk that is always full")
def test_output_that_finds_no_room_is_dropped() -> None:
    descriptor = os.open(FULL, os.O_WRONLY)
    with io.TextIOWrapper(io.BufferedWriter(_Output(descriptor, "w"))) as output:
        print("x" * 100_000, file=output, flush=True)


def test_output_is_written_where_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with io.TextIOWrapper(io.BufferedWriter(_Output(path, "w"))) as output:
        print("a round", file=output)
    assert path.read_text() == "a round\n"
