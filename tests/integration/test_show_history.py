"""What `ci/try history` shows is what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.house.sources import ROOT


def test_the_demonstration_finds_every_edit(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [str(ROOT / "ci" / "show-history")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for told in (
        "  to load: orders\n",
        "  to transform: customers refunds weekly\n",
        "  to transform: customers negative_orders orders weekly\n",
        "removed         LOAD  customers/orders.json\n",
        "added           LOAD  people.json\n",
        "whitespace-only TRANSFORM  customers.sql\n",
        "renamed         TRANSFORM  negative_orders.sql (was refunds.sql)\n",
        "moved           TRANSFORM  orders.json (was orders.json in LOAD)\n",
        "changed         TRANSFORM  weekly.sql\n",
        "the source was empty\n",
        "to watch       heartbeat[hello-platform]::upload: ",
        "changed        heartbeat[hello-platform]: configuration/sandbox.faults added\n",
        "vdkprobe changed: left out  heartbeat[hello-platform]: nothing changed since run ",
    ):
        assert told in done.stdout
