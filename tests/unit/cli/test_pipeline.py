"""`vdkprobe pipeline` takes the arguments of the pipeline before."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.cli import pipeline
from pytest_vdkprobe.cli.main import main

SEEDS = """
monitor: {websites_per_container: 3, timeout: 5, check_periodicity: 60}
kafka: {service_uri: "127.0.0.1:9", topic_name: website_availability, security_protocol: PLAINTEXT}
database: {host: 127.0.0.1, port: 9, database: monitoring, sslmode: disable}
"""


def test_configure_database_finds_the_configuration_of_the_pipeline_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its log is the process's, and this process is pytest's.
    monkeypatch.setattr(pipeline, "_log_to_stderr", lambda: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VDKPROBE_PIPELINE__DATABASE__USER", "owner")
    assert main(["pipeline", "configure-database", "--dry-run"]) == 4
    assert "config/config.yaml can't be read" in capsys.readouterr().err
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(SEEDS)
    assert main(["pipeline", "configure-database", "--dry-run"]) == 0
    assert "availability_monitor_config" in capsys.readouterr().out
