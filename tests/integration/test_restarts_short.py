"""A few kills of the benchmark's loop: what a killed probe leaves is neither lost nor double."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_kills_invent_no_loss_and_no_duplicate() -> None:
    done = subprocess.run(
        [sys.executable, "ci/bench/restarts.py", "--kills", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was invented" in done.stdout
