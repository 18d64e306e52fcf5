"""What a run of events has made stays its own however long the run is."""

from __future__ import annotations

from pathlib import Path

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.journeys.event_subject import open_events
from pytest_vdkprobe.journeys.run import Run
from pytest_vdkprobe.waiting import Deadline, wait_until


def test_leases_of_a_run_are_renewed_while_its_events_go_on(tmp_path: Path) -> None:
    end = {"kind": "file", "path": str(tmp_path / "events.json")}
    tables = {
        "events": [{"name": "pipeline", "target": end, "reader": end}],
        "run": {"lease_ttl_s": 0.4, "lease_folder": str(tmp_path / "leases")},
    }
    run = Run("0123abcd", from_tables("t.toml", tables, environ={}), report_folder=tmp_path)
    with open_events("pipeline", run):
        lease = run.leases.take("topic", "orders", where={})
        first = lease.expires_at
        wait_until(
            "a renewal",
            lambda: lease.expires_at,
            done=lambda expires_at: expires_at > first,
            deadline=Deadline.after(20),
        )
