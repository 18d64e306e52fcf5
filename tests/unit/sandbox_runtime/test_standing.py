"""A sandbox stays up between commands, is told from a killed one, and goes without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.config.loader import load
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.sandbox import standing
from pytest_vdkprobe.sandbox.standing import Standing, Wishes
from pytest_vdkprobe.waiting import Deadline, wait_until

INSTANT = ["sandbox", "up", "--executor", "instant"]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of this test's own, with nothing up before and after."""
    folder = tmp_path / "state"
    monkeypatch.setenv("VDKPROBE_STATE", str(folder))
    yield folder
    standing.down()


def killed(found: Standing) -> None:
    """Kill it as the kernel would."""
    os.kill(found.process.pid, signal.SIGKILL)
    wait_until("its end", found.runs, done=lambda there: not there, deadline=Deadline.after(10))


def test_up_returns_when_it_answers_and_prints_a_usable_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(INSTANT) == 0
    said = capsys.readouterr()
    tables = tomllib.loads(said.out)
    url = tables["control"]["url"]
    with urllib.request.urlopen(f"{url}/data-jobs/debug/health", timeout=5) as answer:
        assert json.load(answer)["status"] == "UP"
    assert tables["jobs"][0]["name"] == "hello-platform"
    assert f"is up now: {url}" in said.err
    path = tmp_path / "sandbox.toml"
    path.write_text(said.out)
    settings = load(str(path), environ={}).section("control", ControlSettings)
    assert settings.url == url
    assert settings.cron_minute_s == 5.0


def test_a_second_up_finds_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    main(INSTANT)
    first = capsys.readouterr()
    assert main(["sandbox", "up"]) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert "was up already" in second.err


def test_a_second_up_that_asks_for_something_else_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(INSTANT)
    assert main(["sandbox", "up", "--auth"]) == 6
    assert "not as asked" in capsys.readouterr().err


def test_status_tells_where_it_is_or_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "status"]) == 3
    assert "is not up" in capsys.readouterr().err
    main(INSTANT)
    found = standing.status()
    assert found is not None
    capsys.readouterr()
    assert main(["sandbox", "status"]) == 0
    said = capsys.readouterr().out
    assert found.url in said
    assert f"process   {found.process.pid}" in said
    assert "executor  instant" in said


def test_down_leaves_no_process_no_port_and_no_file(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*INSTANT, "--auth", "--tls"])
    found = standing.status()
    assert found is not None
    assert main(["sandbox", "down"]) == 0
    assert "is gone" in capsys.readouterr().err
    assert found.process.runs() is False
    assert not found.answers()
    assert sorted(path.name for path in state.iterdir()) == ["sandbox.lock", "sandbox.log"]
    assert main(["sandbox", "down"]) == 0
    assert "was not up" in capsys.readouterr().err


def test_a_killed_sandbox_is_not_taken_for_one_that_is_up(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(INSTANT)
    found = standing.status()
    assert found is not None
    killed(found)
    assert main(["sandbox", "status"]) == 3
    assert main(INSTANT) == 0
    again = standing.status()
    assert again is not None
    assert again.url != found.url
    assert not Path(found.folder).exists()


def test_another_process_with_the_same_id_is_not_taken_for_it(state: Path) -> None:
    found, _ = standing.up(Wishes(executor="instant"))
    note = json.loads(standing.state_file().read_text())
    note["process"]["started"] += 1
    standing.state_file().write_text(json.dumps(note))
    assert standing.status() is None
    killed(found)


def test_nobody_else_can_read_what_it_wrote(state: Path) -> None:
    found, _ = standing.up(Wishes(executor="instant", auth=True))
    for path in (standing.state_file(), standing.log_file()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(found.folder).stat().st_mode) == 0o700


def test_no_secret_is_in_the_note_or_in_the_printed_configuration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main([*INSTANT, "--auth"])
    said = capsys.readouterr().out
    auth = tomllib.loads(said)["control"]["auth"]
    token = Path(auth["token"]["file"]).read_text()
    assert len(token) > 20
    assert token not in said
    assert token not in standing.state_file().read_text()


def test_a_login_and_tls_sandbox_answers_a_client_of_its_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*INSTANT, "--auth", "--tls"])
    path = tmp_path / "sandbox.toml"
    path.write_text(capsys.readouterr().out)
    assert main(["check", str(path), "--connect"]) == 0
    assert "trusted by" in capsys.readouterr().out


def test_a_taken_port_is_said_so(capsys: pytest.CaptureFixture[str], state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([*INSTANT, "--port", str(port)]) == 6
    assert f"Port {port} is taken" in capsys.readouterr().err
    assert [path for path in state.iterdir() if path.is_dir()] == []


def test_a_note_that_cannot_be_read_is_as_good_as_none(state: Path) -> None:
    state.mkdir()
    for text in ("", "{}", "[]", '{"url": 3}'):
        standing.state_file().write_text(text)
        assert standing.status() is None


def test_in_the_foreground_a_signal_ends_it_cleanly(
    state: Path, environ_of_a_child: Callable[[], dict[str, str]]
) -> None:
    command = [sys.executable, "-m", "pytest_vdkprobe.cli.main", *INSTANT, "--foreground"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environ_of_a_child()
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "# The sandbox at http://127.0.0.1:" in first
        assert main([*INSTANT, "--foreground"]) == 6  # one is enough
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert standing.status() is None
    assert [path for path in state.iterdir() if path.is_dir()] == []


@pytest.fixture
def environ_of_a_child(state: Path) -> Callable[[], dict[str, str]]:
    """What a child needs to find this checkout and this test's state."""

    def make() -> dict[str, str]:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        return {"PYTHONPATH": path, "VDKPROBE_STATE": str(state), "PATH": os.environ["PATH"]}

    return make
