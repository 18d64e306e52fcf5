"""Faults are planted from configuration and from the command line, and refused with a remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.sandbox import session

UP = ("sandbox", "up", "--executor", "instant")


@pytest.fixture
def stops() -> Any:
    found: list[Any] = []
    yield found
    for stop in found:
        stop()


def started(text: str, stops: list[Any], **more: str) -> str:
    """The URL of a sandbox with these faults."""
    overrides = {"sandbox.executor": "instant", "sandbox.auth": "false", "sandbox.faults": text}
    configuration = from_tables("sandbox", {}, overrides={**overrides, **more}, environ={})
    tables = session.start(configuration, at_end=stops.append)
    return str(tables["control"]["url"])


def statuses(url: str, count: int) -> list[int]:
    path = f"{url}/data-jobs/for-team/sandbox/info"
    return [requests.get(path, timeout=10).status_code for _ in range(count)]


def test_configured_faults_are_there_from_the_first_call(stops: list[Any]) -> None:
    faults = '[{name="status", status=502, times=1}, {name="logs-empty"}]'
    url = started(faults, stops)
    assert statuses(url, 2) == [502, 200]
    planted = requests.get(f"{url}/sandbox/faults", timeout=10).json()
    assert planted == {"status": 1, "logs-empty": 0}


def test_a_configured_share_is_the_same_with_the_same_seed(stops: list[Any]) -> None:
    faults = '[{name="status", share=0.5}]'
    seen = [statuses(started(faults, stops, **{"sandbox.seed": s}), 30) for s in ("1", "1", "2")]
    assert seen[0] == seen[1] != seen[2]
    assert set(seen[0]) == {200, 503}


def test_a_configured_outage_ends(stops: list[Any]) -> None:
    url = started('[{name="status", for_s=3}]', stops)
    assert statuses(url, 1) == [503]
    while statuses(url, 1) != [200]:
        pass


@pytest.mark.parametrize(
    ("faults", "key", "to_try"),
    [
        ('[{name="logs-emty"}]', "sandbox.faults.0.name", "did you mean logs-empty?"),
        ('[{name="slow"}, {name="slow", shar=1}]', "sandbox.faults.1.shar", "did you mean share?"),
        ('[{name="slow", share=1.5}]', "sandbox.faults.0.share", None),
        ('[{name="slow", path="("}]', "sandbox.faults.0.path", "write /logs$"),
        ("[{share=0.5}]", "sandbox.faults.0.name", "name"),
    ],
)
def test_an_unusable_fault_is_refused_before_anything_starts(
    faults: str, key: str, to_try: str | None, stops: list[Any]
) -> None:
    with pytest.raises(ConfigError) as refused:
        started(faults, stops)
    assert key in str(refused.value)
    assert (to_try or "") in (refused.value.to_try or "")
    assert stops == []


def test_a_run_with_an_unknown_fault_ends_with_4(tmp_path: Path) -> None:
    options = ("--vdk-config=sandbox", "--vdk-set", 'sandbox.faults=[{name="logs-emty"}]')
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "sandbox.faults.0.name" in done.stderr
    assert "did you mean logs-empty?" in done.stderr


def test_a_standing_sandbox_is_made_wrong_and_right_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VDKPROBE_STATE", str(tmp_path))

    def fault(*arguments: str) -> str:
        capfd.readouterr()
        assert main(["sandbox", "fault", *arguments]) == 0
        return capfd.readouterr().out.strip()

    assert main([*UP, "--fault", "logs-empty", "--fault", "slow,share=0.05,delay_s=0"]) == 0
    try:
        assert fault() == "logs-empty (0 hits), slow (0 hits)"
        assert "cluster-down (0 hits)" in fault("cluster-down,for_s=30")
        assert fault("--clear", "slow") == "logs-empty (0 hits), cluster-down (0 hits)"
        assert fault("--clear") == "nothing is planted"
        assert main([*UP, "--fault", "list-empty"]) == 6
        assert "started without these faults" in capfd.readouterr().err
    finally:
        assert main(["sandbox", "down"]) == 0


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("logs-emty", "did you mean logs-empty?"), ("slow,share", "slow,share=0.05")],
)
def test_a_misspelt_fault_on_the_command_line_starts_nothing(
    text: str,
    remedy: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("VDKPROBE_STATE", str(tmp_path))
    assert main([*UP, "--fault", text]) == 4
    assert remedy in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_fault_for_no_sandbox_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VDKPROBE_STATE", str(tmp_path))
    assert main(["sandbox", "fault", "logs-empty"]) == 6
    assert "No sandbox is up" in capsys.readouterr().err
