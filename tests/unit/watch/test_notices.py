"""Ping and push: told what happened, never in anybody's way, and never a verdict."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.observe.exposition import Exposition
from pytest_vdkprobe.watch import notices
from pytest_vdkprobe.watch.notices import Notice, Ping, Push
from pytest_vdkprobe.watch.settings import MetricsSettings, PingSettings

PATIENCE_S = 30.0


class Listener(ThreadingHTTPServer):
    """Notes what is called, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[tuple[str, str, bytes]] = []
        self.status = 200
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.calls.append((self.command, self.path, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - its names

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - its name


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_good_round_is_told_by_the_method_that_is_configured(listener: Listener) -> None:
    ping = Ping(PingSettings(url=listener.url + "/beat", method="HEAD"))
    ping("good")
    ping("bad")
    assert listener.calls == [("HEAD", "/beat", b"")]


def test_a_bad_round_is_told_where_there_is_an_address_for_it(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONITOR", listener.url + "/fail")
    ping = Ping(PingSettings(url=listener.url, fail_url=SecretRef(env="MONITOR")))
    ping("bad")
    assert listener.calls == [("GET", "/fail", b"")]


def test_an_answer_that_is_no_success_is_a_failure_of_the_ping(listener: Listener) -> None:
    listener.status = 404
    with pytest.raises(ProbeError, match=r"127\.0\.0\.1:\d+ answered 404"):
        Ping(PingSettings(url=listener.url))("good")


def test_a_monitor_that_hangs_is_left_after_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ping = Ping(PingSettings(url=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2))
        with pytest.raises(ProbeError, match=r"gives no answer within 0\.2 s"):
            ping("good")


def test_what_fails_is_said_once_and_counted_each_time() -> None:
    said: list[str] = []
    done = threading.Semaphore(0)
    broken = True

    def act(_occasion: object) -> None:
        try:
            if broken:
                raise OSError("the line is cut")
        finally:
            done.release()

    failed = Recorder().counter("vdkprobe_notices_failed_total", to="ping")
    notice = Notice("ping", act, failed=failed, say=said.append)
    for _ in range(3):
        notice.tell("good")
        assert done.acquire(timeout=PATIENCE_S)
    broken = False
    notice.tell("good")
    notice.close(PATIENCE_S)
    assert failed.value == 3
    assert said == [
        "ping does not get through, the watch goes on: the line is cut",
        "ping gets through again",
    ]


def test_telling_never_waits_for_one_that_hangs() -> None:
    go_on = threading.Event()
    told: list[object] = []

    def act(occasion: object) -> None:
        told.append(occasion)
        go_on.wait(PATIENCE_S)

    failed = Recorder().counter("vdkprobe_notices_failed_total", to="ping")
    notice = Notice("ping", act, failed=failed, say=lambda _: None)
    for number in range(1, 100):
        notice.tell(number)
    go_on.set()
    notice.close(PATIENCE_S)
    assert told[-1] == 99
    assert len(told) <= 3


def test_an_end_that_comes_while_it_wakes_up_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Event(threading.Event):
        def clear(self) -> None:
            notice._closing = True
            self.set()
            super().clear()

    stand_in = SimpleNamespace(Event=Event, Thread=threading.Thread)
    monkeypatch.setattr(notices, "threading", stand_in)
    told: list[object] = []
    failed = Recorder().counter("vdkprobe_notices_failed_total", to="ping")
    notice = Notice("ping", told.append, failed=failed, say=lambda _: None)
    notice.tell("last")
    notice._thread.join(PATIENCE_S)
    assert not notice._thread.is_alive()
    assert told == ["last"]


def test_a_group_is_pushed_whole_and_removed(listener: Listener) -> None:
    recorder = Recorder()
    recorder.counter("vdkprobe_events_sent_total", check="events[x]").inc(3)
    settings = MetricsSettings(grouping={"instance": "blue"})
    push = Push(listener.url, Exposition(recorder.cells.items), settings)
    push()
    push.remove()
    (put, path, body), (delete, removed, _) = listener.calls
    assert (put, delete) == ("PUT", "DELETE")
    assert path == removed == "/metrics/job/vdkprobe/instance/blue"
    assert b'vdkprobe_events_sent_total{check="events[x]"} 3.0' in body


def test_no_part_of_an_address_that_is_secret_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAT", "http://127.0.0.1:1/beats/0b5c0de-whoever-knows-it")
    said: list[str] = []
    failed = Recorder().counter("vdkprobe_notices_failed_total", to="ping")
    ping = Ping(PingSettings(url=SecretRef(env="BEAT")))
    notice = Notice("ping", ping, failed=failed, say=said.append)
    notice.tell("good")
    notice.close(PATIENCE_S)
    assert len(said) == 1
    assert "whoever" not in said[0]


def test_what_hangs_at_the_end_is_left_alone_and_said() -> None:
    said: list[str] = []
    failed = Recorder().counter("vdkprobe_notices_failed_total", to="pushgateway")
    let_go, hanging = threading.Event(), threading.Event()

    def hang(_occasion: object) -> None:
        hanging.set()
        let_go.wait(PATIENCE_S)

    notice = Notice("pushgateway", hang, failed=failed, say=said.append)
    notice.tell("now")
    assert hanging.wait(PATIENCE_S)
    notice.close(0.01)
    assert said == ["pushgateway gives no answer still, and the watch ends without it"]
    assert failed.value == 1
    let_go.set()
    notice.close(PATIENCE_S)


def test_pushgateway_that_is_not_there_is_named() -> None:
    said: list[str] = []
    failed = Recorder().counter("vdkprobe_notices_failed_total", to="pushgateway")
    push = Push("http://127.0.0.1:1", Exposition(Recorder().cells.items), MetricsSettings())
    notice = Notice("pushgateway", push, failed=failed, say=said.append)
    notice.tell("now")
    notice.close(PATIENCE_S)
    (text,) = said
    assert "the watch goes on: http://127.0.0.1:1: " in text
    assert "refused" in text
