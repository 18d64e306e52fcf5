"""`--vdk-metrics-file`: metrics for the node exporter's textfile collector, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from pytest_vdkprobe.durable import write_durably
from pytest_vdkprobe.observe.exposition import Exposition


def write_metrics(path: Path, exposition: Exposition) -> None:
    """Replace the file in one step: its reader never sees half of it. Raises OSError.

    Readable for everybody: the node exporter is another user.
    """
    write_durably(path, exposition.text())
    path.chmod(0o644)
