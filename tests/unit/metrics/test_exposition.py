"""What is exported is what Prometheus takes: no series twice."""

from __future__ import annotations

from pathlib import Path

from pytest_vdkprobe.metrics.cells import Cells
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.observe.exposition import Exposition


def test_after_a_change_of_the_sla_each_series_is_there_once(tmp_path: Path) -> None:
    for sla_s in (20.0, 30.0):
        recorder = Recorder(Cells(tmp_path / "metrics"))
        recorder.declare_pipeline("events[x]", sla_s=sla_s, app_id="x")
        recorder.cells.publish()
        lines = Exposition(recorder.cells.items).text().decode().splitlines()
        recorder.cells.close()
    names = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(names) == len(set(names))
    assert 'vdkprobe_sla_seconds{check="events[x]"} 30.0' in lines
