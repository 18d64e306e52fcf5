"""The sandbox as a resource, its knobs, and the pages beside the API."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.sandbox.conftest import Client, until

PATIENCE_S = 60.0


def test_it_starts_and_stops_more_than_once_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        sandbox = Sandbox()
        for _ in range(2):
            url = sandbox.start()
            assert sandbox.start() == url
            assert requests.get(f"{url}/data-jobs/debug/health", timeout=10).ok
            assert list(tmp_path.iterdir()) != []
            sandbox.stop()
            sandbox.stop()
            assert list(tmp_path.iterdir()) == []
    # All are told to end, and not each is waited for.
    until("threads", lambda: {one.name for one in set(threading.enumerate()) - before}, set())


def test_a_stopped_sandbox_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = Sandbox().url


def unasked_port() -> int:
    """A free one below those that are given to whoever asks for any, and may get it meanwhile."""
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def test_a_port_can_be_chosen_and_a_taken_one_is_an_error() -> None:
    port = unasked_port()
    with Sandbox(port=port) as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port).start()


def test_it_serves_next_to_another_one(job: str) -> None:
    with Sandbox() as one, Sandbox() as other:
        Client(one).create(job)
        assert Client(other).call("GET", job).status_code == 404


def test_it_stops_while_a_call_hangs() -> None:
    with Sandbox() as sandbox:
        sandbox.plant("hang")
        errors: list[BaseException] = []

        def call() -> None:
            try:
                requests.get(f"{sandbox.url}/data-jobs/debug/health", timeout=10)
            except requests.RequestException as exc:
                errors.append(exc)

        thread = threading.Thread(target=call)
        thread.start()
        until("the call", sandbox.faults.planted, {"hang": 1})
    thread.join(PATIENCE_S)
    assert len(errors) == 1


def test_its_configuration_names_what_a_run_needs() -> None:
    with Sandbox(auth=True, tls=True, team="mine", keytab="bytes", secrets=True) as sandbox:
        control: Any = sandbox.configuration()["control"]
        assert control["url"] == sandbox.url
        assert (control["team"], control["keytab"]) == ("mine", "bytes")
        assert control["secrets_enabled"] is True
        assert Path(control["ca_file"]).is_file()
        assert control["auth"]["url"] == sandbox.token_url
        token = Path(control["auth"]["token"]["file"])
        assert token.read_text() == sandbox.tokens.api_token
        assert token.stat().st_mode & 0o777 == 0o600
        assert sandbox.tokens.api_token not in repr(sandbox)


@pytest.mark.parametrize(("keytab", "status", "size"), [("bytes", 200, 100), ("empty", 200, 0)])
def test_a_keytab_has_bytes_or_none(job: str, keytab: Any, status: int, size: int) -> None:
    with Sandbox(keytab=keytab) as sandbox:
        client = Client(sandbox)
        client.create(job)
        answer = client.call("GET", f"{job}/keytab")
        assert (answer.status_code, len(answer.content)) == (status, size)


def test_a_keytab_is_absent_where_the_service_or_the_job_wants_none(job: str) -> None:
    with Sandbox(keytab="absent") as sandbox:
        Client(sandbox).create(job)
        assert Client(sandbox).call("GET", f"{job}/keytab").status_code == 404
    with Sandbox(keytab="bytes") as sandbox:
        Client(sandbox).create(job, generate_keytab=False)
        assert Client(sandbox).call("GET", f"{job}/keytab").status_code == 404


def test_secrets_are_kept_by_team_and_job_up_to_a_mebibyte(job: str) -> None:
    with Sandbox(secrets=True) as sandbox:
        client, other = Client(sandbox), Client(sandbox, "team-b")
        path = f"{job}/deployments/TODO/secrets"
        assert client.get(path) == {}
        assert client.call("PUT", path, json={"a": "b"}).status_code == 202
        assert client.get(path) == {"a": "b"}
        assert other.get(path) == {}
        assert client.call("PUT", path, json={"a": "b" * (1 << 20)}).status_code == 413


def test_properties_can_be_made_to_go_with_the_job(job: str) -> None:
    with Sandbox(properties_survive_delete=False) as sandbox:
        client = Client(sandbox)
        client.create(job)
        client.call("PUT", f"{job}/deployments/x/properties", json={"a": 1})
        client.call("DELETE", job)
        assert client.get(f"{job}/deployments/x/properties") == {}


def test_the_monitoring_pages_answer(client: Client, job: str) -> None:
    client.create(job)
    debug = "/data-jobs/debug"
    for part in ("liveness", "readiness"):
        assert client.get(f"{debug}/health/{part}") == {"status": "UP"}
    assert client.get(f"{debug}/servertime").endswith("Z")
    assert client.get(f"{debug}/servertime-millis") > 1.7e12
    thrown = client.call("GET", f"{debug}/throw")
    assert thrown.status_code == 500
    assert set(thrown.json()) == {"what", "why", "consequences", "countermeasures"}
    assert (
        f'taurus_datajob_info{{data_job="{job}",team="team-a"'
        in client.call("GET", f"{debug}/prometheus").text
    )


def test_what_a_bug_of_its_own_raises_is_a_500_and_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("pytest_vdkprobe.sandbox.metrics.page", broken)
    answer = client.call("GET", "/data-jobs/debug/prometheus")
    assert (answer.status_code, answer.json()["why"]) == (500, "KeyError: 'oops'")
    assert "oops" in client.sandbox.bugs.pop()


def run_process(argument: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest_vdkprobe.sandbox", argument]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("how", ["signal", "end of input"])
def test_a_process_of_its_own_says_where_it_serves_and_stops_when_told(how: str) -> None:
    with run_process('{"executor": "instant", "team": "mine"}') as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert requests.get(f"{ready['url']}/data-jobs/debug/health", timeout=10).ok
        assert ready["configuration"]["control"]["team"] == "mine"
        if how == "signal":
            process.send_signal(signal.SIGTERM)
        elif process.stdin is not None:
            process.stdin.close()
        assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("argument", ["{", "[]", '{"nonsense": 1}'])
def test_a_process_refuses_an_unusable_argument(argument: str) -> None:
    with run_process(argument) as process:
        assert process.wait(PATIENCE_S) == 4
        assert process.stderr is not None
        assert "the argument is" in process.stderr.read()
