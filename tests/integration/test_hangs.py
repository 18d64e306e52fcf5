"""Whatever hangs, and however: the step ends at its limit, and says which call hung in what.

Each way of hanging is met as a user meets it, by a whole run.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.integration.children import Ended, run_pytest
from tests.integration.crooked import crooked, lead, way_through
from tests.integration.heartbeats import configuration, sandbox
from tests.integration.planted_causes import up_to
from tests.unit.control.fake import Asked, Line, Script

LIMIT_S = 1.5
OVERRUN_S = 6.0
"""What a step may need beyond its limit: a second, or several where others have the processor. What
hangs here hangs for minutes."""
CLEANUP_S = 1.0
PROCESS_S = 40.0
"""Start, steps before, end of a process: generous, and far from any time that a hang would take."""

Open = Callable[[Path], AbstractContextManager[Path]]


def limited(*steps: str) -> str:
    """Limits of the steps that hang: those before may take what a loaded machine makes them."""
    limits = ", ".join(f"{step} = {LIMIT_S}" for step in steps)
    return f"step_timeout_s = 60\ncleanup_timeout_s = {CLEANUP_S}\nlimits = {{ {limits} }}"


GETADDRINFO = """
import socket, threading
asked = socket.getaddrinfo
def getaddrinfo(host, *args, **kwargs):
    if host == "hangs.invalid":
        threading.Event().wait(600)
    return asked(host, *args, **kwargs)
socket.getaddrinfo = getaddrinfo
"""
"""A conftest: the resolver of this machine does not answer, and no timeout reaches it."""


@contextmanager
def backlogged() -> Iterator[int]:
    """A port whose queue of connections is full: the next one hangs in connecting."""
    with ExitStack() as opened:
        listening = opened.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def drip_headers(_: Asked, line: Line) -> None:
    line.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    line.drip(0.2)


def drip_body(_: Asked, line: Line) -> None:
    line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
    line.drip(1.0)


def drip_chunks(_: Asked, line: Line) -> None:
    line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not line.server.over.wait(0.5):
        line.say(b"1\r\nx\r\n")


def hang(_: Asked, line: Line) -> None:
    line.server.over.wait(600)


@contextmanager
def at_once(url: str, folder: Path, *, resolver: str = "") -> Iterator[Path]:
    """A configuration that leads there, from the first call on."""
    (folder / "conftest.py").write_text(resolver)
    with sandbox() as platform:
        yield lead(configuration(platform, folder, run=limited("reach")), url)


@contextmanager
def connecting(folder: Path) -> Iterator[Path]:
    with backlogged() as port, at_once(f"http://127.0.0.1:{port}", folder) as path:
        yield path


@contextmanager
def shaking_hands(folder: Path) -> Iterator[Path]:
    with silent() as port, at_once(f"https://127.0.0.1:{port}", folder) as path:
        yield path


@contextmanager
def resolving(folder: Path) -> Iterator[Path]:
    with at_once("http://hangs.invalid:8080", folder, resolver=GETADDRINFO) as path:
        yield path


@contextmanager
def no_token(folder: Path) -> Iterator[Path]:
    with sandbox(auth=True) as platform:
        platform.plant("hang", path="/oauth/token")
        yield configuration(platform, folder, run=limited("reach"))


def later(call: str, script: Script) -> Open:
    """A platform that answers, until it comes to that call."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Path]:
        with sandbox() as platform, crooked(platform, call, script) as fake:
            yield way_through(fake, platform, folder, run=limited("keytab"))

    return opened


@dataclass(frozen=True)
class Hang:
    """A way to hang, where it is met, and what is said of it."""

    name: str
    opened: Open
    step: str
    verdict: str
    call: str
    says: str


KEYTAB = "GET .*/keytab$"
HANGS = (
    Hang("connecting", connecting, "reach", "error", "/info", "while connecting"),
    Hang("TLS handshake", shaking_hands, "reach", "error", "/info", "while shaking hands for TLS"),
    Hang("name resolution", resolving, "reach", "error", "/info", "while resolving the name"),
    Hang("token endpoint", no_token, "reach", "error", "/sandbox/oauth/token", "waiting for the"),
    Hang("first byte", later(KEYTAB, hang), "keytab", "fail", "/keytab", "waiting for the answer"),
    Hang(
        "headers that drip",
        later(KEYTAB, drip_headers),
        "keytab",
        "fail",
        "/keytab",
        "waiting for the answer",
    ),
    Hang(
        "body that drips",
        later(KEYTAB, drip_body),
        "keytab",
        "fail",
        "/keytab",
        "while reading the answer",
    ),
    Hang(
        "chunks without end",
        later(KEYTAB, drip_chunks),
        "keytab",
        "fail",
        "/keytab",
        "while reading the answer",
    ),
)


def require_ended_in_time(ended: Ended, step: str, limit_s: float) -> None:
    """The step took its limit, and hardly more."""
    took_s = ended.steps[step]["duration_s"]
    assert limit_s * 0.9 <= took_s <= limit_s + OVERRUN_S, ended.output


@pytest.mark.parametrize("hang", HANGS, ids=lambda hang: hang.name.replace(" ", "-"))
def test_step_ends_at_its_limit_and_names_the_call_that_hung(hang: Hang, tmp_path: Path) -> None:
    # The first is long enough to come to that call, unless the machine is busy.
    for limit_s in (LIMIT_S, 4 * LIMIT_S, 16 * LIMIT_S):
        started = time.monotonic()
        with hang.opened(tmp_path) as path:
            path.write_text(path.read_text().replace(f" = {LIMIT_S}", f" = {limit_s}"))
            ended = run_pytest(path, *up_to(hang.step))
        seconds = time.monotonic() - started
        finding = " ".join(map(str, ended.steps[hang.step].get("finding", {}).values()))
        if "before it began" not in finding:
            break
    assert ended.first_bad == (hang.step, hang.verdict), ended.output
    require_ended_in_time(ended, hang.step, limit_s)
    assert hang.call in finding
    assert hang.says in finding
    assert re.search(rf"given up after [\d.]+ s \(the step's limit of {limit_s:g} s\)", finding)
    assert seconds < limit_s + PROCESS_S


def test_steps_before_and_cleanup_have_their_own_time(tmp_path: Path) -> None:
    """Everything hangs from the second step on: the cleanup ends too, and later than the step."""
    with sandbox() as platform:
        platform.plant("hang", path="/jobs", skip=1)
        path = configuration(platform, tmp_path, run=limited("read", "list"))
        started = time.monotonic()
        ended = run_pytest(path, *up_to("read"), *up_to("list"), *up_to("delete"))
        seconds = time.monotonic() - started
    assert ended.first_bad == ("read", "fail"), ended.output
    hung = [name for name, step in ended.steps.items() if step["verdict"] == "fail"]
    assert hung == ["read", "list", "delete"]
    for name in hung:
        require_ended_in_time(ended, name, CLEANUP_S if name == "delete" else LIMIT_S)
    (cleanup,) = ended.report["journeys"][0]["cleanup"]
    assert "time for the cleanup" in str(cleanup["finding"])
    # The journey's cleanup and the sweep after it.
    assert seconds < len(hung) * (LIMIT_S + OVERRUN_S) + 2 * (CLEANUP_S + OVERRUN_S) + PROCESS_S


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "workers"])
def test_run_ends_at_its_own_limit_and_still_cleans_up(
    workers: tuple[str, ...], tmp_path: Path
) -> None:
    # The first is long enough for the steps before, unless the machine is busy.
    for limit_s in (3.0, 15.0, 60.0):
        run = f"timeout_s = {limit_s}\nstep_timeout_s = 100\ncleanup_timeout_s = 5"
        with sandbox() as platform:
            platform.plant("run-stuck-running")
            path = configuration(platform, tmp_path, run=run)
            started = time.monotonic()
            ended = run_pytest(path, "--vdk-quick", *workers)
            seconds = time.monotonic() - started
            assert _jobs(platform) == []
        if ended.verdicts["deploy"] == "pass":
            break
    assert ended.first_bad == ("run", "fail"), ended.output
    assert f"the run's limit of {limit_s:g} s" in str(ended.steps["run"]["finding"])
    assert ended.steps["run"]["duration_s"] <= limit_s + OVERRUN_S
    assert ended.verdicts["log"] == "blocked"
    assert ended.verdicts["refuse"] == "unknown"
    assert ended.verdicts["delete"] == "pass"
    assert ended.exit_code == 1
    assert seconds < limit_s + 5 + PROCESS_S


def _jobs(platform: Sandbox) -> list[str]:
    import requests

    answer = requests.get(
        f"{platform.url}/data-jobs/for-team/{platform.team}/jobs",
        params={"query": "{jobs(pageNumber:1,pageSize:100){content{jobName}}}"},
        timeout=10,
    )
    return [job["jobName"] for job in answer.json()["data"]["content"]]
