from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from pytest_vdkprobe.control.auth import NoAuth
from pytest_vdkprobe.control.client import ControlClient
from pytest_vdkprobe.control.errors import NotAControlService, ServiceFailure
from pytest_vdkprobe.control.models import DataJob
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.errors import ConfigError, TransportError
from pytest_vdkprobe.secrets import Secret
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.unit.control.conftest import MakeClient
from tests.unit.control.fake import INFO, Asked, Fake, Line, Reply, Script, info, steps

Serve = Callable[[Script], Fake]
HANGS_S = 8.0
"""What takes so much longer than its limit was not ended by that: the others are far beyond it."""


@contextmanager
def ends_in_time(limit_s: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < limit_s + HANGS_S


@contextmanager
def refused_port() -> Iterator[int]:
    """A port that nobody listens on, kept from anybody else."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def hang(asked: Asked, line: Line) -> None:
    line.hang()


def drip_body(asked: Asked, line: Line) -> None:
    line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    line.drip()


def drip_headers(asked: Asked, line: Line) -> None:
    line.say(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    line.drip()


def cut_body(asked: Asked, line: Line) -> None:
    line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def reset(asked: Asked, line: Line) -> None:
    line.reset()


# Hung and slow


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        (hang, "waiting for the answer"),
        (drip_headers, "waiting for the answer"),
        (drip_body, "reading the answer"),
    ],
)
def test_a_call_that_hangs_ends_at_the_steps_deadline(
    serve: Serve, connect: MakeClient, script: Script, phase: str
) -> None:
    fake = serve(info)
    client = connect(fake)
    client.info()
    fake.script = script
    client.deadline = Deadline.after(0.8, "step's limit")
    with ends_in_time(0.8), pytest.raises(ServiceFailure, match=r"/info has no answer") as failure:
        client.info()
    assert failure.value.status is None
    assert "op id 7f3a90c2" in str(failure.value)
    assert f"while {phase}" in failure.value.what


def test_the_message_names_the_limit_and_what_hung(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(info, drip_body))
    client = connect(fake)
    client.info()
    client.deadline = Deadline.after(0.9, "limit of step deploy")
    with pytest.raises(
        ServiceFailure,
        match=r"given up after 0\.\d s \(limit of step deploy\) while reading the answer",
    ):
        client.info()


def test_a_drip_is_ended_by_the_calls_own_limit_too(serve: Serve, connect: MakeClient) -> None:
    client = connect(serve(drip_body), connect_timeout_s=0.2, read_timeout_s=1.0, within_s=None)
    with ends_in_time(1.2), pytest.raises(TransportError, match="read_timeout_s allow"):
        client.info()


def test_a_drip_that_was_given_up_does_not_go_on_behind_our_back(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(drip_body)
    client = connect(fake, within_s=0.3)
    with pytest.raises(TransportError):
        client.info()
    assert fake.hung_up.wait(HANGS_S)


def test_a_name_resolution_that_never_ends_is_left_behind(
    connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo := _hanging(over))
    assert getaddrinfo.__name__ == "getaddrinfo"
    client = connect("http://platform.example.org", within_s=0.8)
    with (
        ends_in_time(0.8),
        pytest.raises(TransportError, match="while resolving the name") as failure,
    ):
        client.info()
    assert "DNS" in str(failure.value)
    over.set()


def _hanging(over: threading.Event) -> Callable[..., object]:
    def getaddrinfo(*args: object, **more: object) -> object:
        over.wait(20)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    return getaddrinfo


def test_after_a_call_that_was_given_up_the_next_one_works(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(steps(hang, info))
    client = connect(fake, within_s=0.2)
    with pytest.raises(TransportError):
        client.info()
    # It may be given up before it is even sent; the next is to be the second that is asked.
    wait_until("it is asked", lambda: fake.asked, done=bool, deadline=Deadline.after(HANGS_S))
    client.deadline = Deadline.after(5)
    assert client.info().api_version == INFO["api_version"]


def test_a_tls_handshake_that_hangs_ends_at_the_deadline(connect: MakeClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = connect(f"https://127.0.0.1:{mute.getsockname()[1]}", within_s=1.0)
        before = set(threading.enumerate())
        with ends_in_time(1.0), pytest.raises(TransportError, match="shaking hands for TLS"):
            client.info()
        # A socket whose other end went before its handshake began is left open by Python's ssl.
        wait_until(
            "the end of the call",
            lambda: set(threading.enumerate()) - before,
            done=lambda left: not [one for one in left if one.name == "vdkprobe-http"],
            deadline=Deadline.after(30),
        )


def test_a_connection_that_nobody_accepts_ends_at_the_deadline(connect: MakeClient) -> None:
    # A full backlog leaves a connection pending, as a firewall that drops packets does.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        pending = []
        for _ in range(4):
            client_side = socket.socket()
            client_side.setblocking(False)
            client_side.connect_ex(address)
            pending.append(client_side)
        client = connect(f"http://127.0.0.1:{address[1]}", within_s=0.8)
        with ends_in_time(0.8), pytest.raises(TransportError, match="gives no answer"):
            client.info()
        for each in pending:
            each.close()


def test_the_last_poll_of_a_wait_may_come_at_its_deadline(
    serve: Serve, connect: MakeClient
) -> None:
    client = connect(serve(info))
    client.info()
    client.deadline = Deadline.after(0.0, "step's limit")
    assert client.info().supported_python_versions == ["3.11"]


def test_long_after_its_deadline_a_step_makes_no_calls(serve: Serve, connect: MakeClient) -> None:
    fake = serve(info)
    client = connect(fake)
    client.info()
    client.deadline = Deadline(time.monotonic() - 5.0, "step's limit")
    with pytest.raises(ServiceFailure, match=r"time was up before it began \(step's limit\)"):
        client.info()
    with pytest.raises(ServiceFailure, match="was not sent") as unsent:
        client.create_job(DataJob(job_name="any"))
    assert not unsent.value.ambiguous
    assert "this machine, if it is busy" in str(unsent.value.to_try)
    assert len(fake.asked) == 1


def test_a_service_that_there_was_no_time_to_ask_is_not_blamed(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(info)
    client = connect(fake)
    client.deadline = Deadline(time.monotonic() - 5.0, "step's limit")
    with pytest.raises(TransportError, match="was not asked: its time was up before it began"):
        client.info()
    assert fake.asked == []


# Never reached, or gone


def test_a_refused_port_is_ours_while_nothing_ever_answered(connect: MakeClient) -> None:
    with (
        refused_port() as port,
        pytest.raises(TransportError, match="the connection was refused") as failure,
    ):
        connect(f"http://127.0.0.1:{port}").info()
    assert "check host and port" in str(failure.value)
    assert "GET http://127.0.0.1:" in str(failure.value)


def test_a_name_that_nobody_knows_is_ours(
    connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*args: object, **more: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(TransportError, match=r"the name platform\.invalid is not known"):
        connect("http://platform.invalid").info()


def test_a_service_that_goes_away_in_the_middle_of_a_run_has_failed(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(info)
    client = connect(fake, retries=1)
    client.info()
    fake.script = reset
    with pytest.raises(ServiceFailure, match="the connection was cut before an answer") as failure:
        client.info()
    assert "did answer earlier in this run" in str(failure.value)
    assert len(fake.asked) == 3


def test_a_refusal_after_answers_is_waited_out(serve: Serve, connect: MakeClient) -> None:
    fake = serve(info)
    client = connect(fake)
    client.info()
    port = fake.server_port
    fake.script = reset
    fake.shutdown()
    fake.server_close()
    client._transport._session.close()
    with socket.socket() as taken:
        # So that nobody else gets the port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        with pytest.raises(ServiceFailure, match="refused") as failure:
            client.info()
    assert failure.value.checked
    assert client.counts.retries == client.settings.retries
    assert str(port) in str(failure.value)


def test_an_answer_cut_in_the_middle_is_asked_for_again(serve: Serve, connect: MakeClient) -> None:
    client = connect(serve(steps(cut_body, info)))
    assert client.info().api_version
    assert client.counts.retries == 1
    assert client.exchanges[-1].notes == ("the connection was cut in the middle of the answer",)


def test_bytes_that_are_no_http_are_named(serve: Serve, connect: MakeClient) -> None:
    def babble(asked: Asked, line: Line) -> None:
        line.say(b"220 mail.example.org ESMTP\r\n")

    with pytest.raises(TransportError, match="no HTTP answer"):
        connect(serve(babble)).info()


# Repetition


@pytest.mark.parametrize("status", [502, 503, 504])
def test_one_bad_gateway_is_waited_out_and_counted(
    serve: Serve, connect: MakeClient, status: int
) -> None:
    client = connect(serve(steps(Reply(status), info)))
    client.info()
    assert client.counts.retries == 1
    assert client.exchanges[-1].retries == 1
    assert client.exchanges[-1].notes == (f"status {status}",)


def test_a_gateway_that_counts_calls_is_left_alone_as_long_as_it_says(
    serve: Serve, connect: MakeClient
) -> None:
    fake = serve(steps(Reply(429, headers={"Retry-After": "1"}), info))
    client = connect(fake)
    began = time.monotonic()
    client.info()
    assert time.monotonic() - began >= 1
    assert client.counts.retries == 1


def test_a_bug_of_the_service_is_not_asked_for_twice(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(Reply(500), info))
    with pytest.raises(ServiceFailure, match="500 Internal Server Error"):
        connect(fake).info()
    assert len(fake.asked) == 1


def test_repetition_is_bounded(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(Reply(503)))
    with pytest.raises(ServiceFailure, match="503 Service Unavailable") as failure:
        connect(fake, retries=2).info()
    assert failure.value.status == 503
    assert len(fake.asked) == 3


def test_repetition_ends_at_the_deadline(serve: Serve, connect: MakeClient) -> None:
    client = connect(serve(steps(Reply(503))), retries=20, within_s=0.4)
    with ends_in_time(0.4), pytest.raises(ServiceFailure):
        client.info()


# Size


def test_a_body_larger_than_allowed_is_refused(serve: Serve, connect: MakeClient) -> None:
    fake = serve(info)
    client = connect(fake)
    client.info()
    fake.script = steps(Reply(body=b"x", headers={"Content-Length": str(11 * 1024 * 1024)}))
    with pytest.raises(ServiceFailure, match="larger than 10 MB"):
        client.properties("some-job")


def test_a_body_without_end_is_refused(serve: Serve, connect: MakeClient) -> None:
    def endless(asked: Asked, line: Line) -> None:
        line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        try:
            while not line.server.over.is_set():
                line.say(piece)
        except OSError:
            line.server.hung_up.set()

    fake = serve(endless)
    with ends_in_time(5), pytest.raises(TransportError, match="larger than 10 MB"):
        connect(fake).info()
    assert fake.hung_up.wait(HANGS_S)


def test_a_bomb_is_refused_before_it_fills_the_memory(serve: Serve, connect: MakeClient) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=1)
    fake = serve(steps(info, Reply(body=bomb, headers={"Content-Encoding": "gzip"})))
    client = connect(fake)
    client.info()
    with ends_in_time(5), pytest.raises(ServiceFailure, match="larger than 10 MB"):
        client.properties("some-job")


def test_packed_answers_are_unpacked(serve: Serve, connect: MakeClient) -> None:
    packed = gzip.compress(b'{"a": 1}')
    fake = serve(steps(Reply(body=packed, headers={"Content-Encoding": "gzip"})))
    assert connect(fake).properties("some-job") == {"a": 1}


# Where credentials go


def test_a_redirect_is_reported_and_not_followed(serve: Serve, connect: MakeClient) -> None:
    other = serve(info)
    fake = serve(steps(Reply(302, headers={"Location": f"{other.url}/login"})))
    with pytest.raises(NotAControlService, match="302 Found") as failure:
        connect(fake).info()
    assert f"a redirect to {other.url}/login, which is not followed" in str(failure.value)
    assert other.asked == []


def test_the_endless_body_of_a_redirect_is_not_read(serve: Serve, connect: MakeClient) -> None:
    def redirect(asked: Asked, line: Line) -> None:
        line.say(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 99999999\r\n\r\n")

    with ends_in_time(1), pytest.raises(TransportError, match="larger than 10 MB"):
        connect(serve(redirect)).info()


def test_netrc_does_not_replace_our_login(
    serve: Serve, connect: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password from-netrc\n")
    monkeypatch.setenv("NETRC", str(netrc))
    fake = serve(info)
    connect(fake).info()
    assert "authorization" not in fake.asked[0].headers


def test_proxies_of_the_environment_are_used(
    serve: Serve, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(info)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    connect("http://platform.example.org").info()
    assert proxy.asked[0].path.startswith("http://platform.example.org/data-jobs/")


def test_cookies_are_not_kept(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(Reply(body=INFO, headers={"Set-Cookie": "a=b"}), info))
    client = connect(fake)
    client.info()
    client.info()
    assert "cookie" not in fake.asked[1].headers


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(serve: Serve, authority: trustme.CA) -> str:
    import ssl

    fake = serve(info)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    fake.socket = context.wrap_socket(fake.socket, server_side=True)
    return f"https://localhost:{fake.server_port}"


def test_a_certificate_of_an_unknown_authority_is_refused_with_its_remedy(
    tls: str, connect: MakeClient
) -> None:
    with pytest.raises(TransportError, match="certificate is not trusted") as failure:
        connect(tls).info()
    assert "ca_file" in str(failure.value)


def test_ca_file_makes_it_trusted(
    tls: str, connect: MakeClient, authority: trustme.CA, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    assert connect(tls, ca_file=str(ca_file)).info().api_version


def test_verification_can_be_switched_off(tls: str, connect: MakeClient) -> None:
    assert connect(tls, verify_tls=False).info().api_version


def test_https_on_a_plain_port_is_named(serve: Serve, connect: MakeClient) -> None:
    url = serve(info).url.replace("http://", "https://")
    with pytest.raises(TransportError) as failure:
        connect(url).info()
    assert "http://" in str(failure.value.to_try)


def test_a_ca_file_that_is_not_there_is_said_before_any_call(connect: MakeClient) -> None:
    with pytest.raises(ConfigError, match="can't be read") as failure:
        connect("https://localhost", ca_file="nowhere.pem")
    assert failure.value.key == "control.ca_file"


def test_a_ca_file_without_a_certificate_is_refused(connect: MakeClient, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_bytes(b"\x30\x82\x01")
    with pytest.raises(ConfigError, match="holds no certificate"):
        connect("https://localhost", ca_file=str(empty))


# Cost and secrets


def test_one_thread_serves_all_calls(serve: Serve, connect: MakeClient) -> None:
    client = connect(serve(info))
    for _ in range(5):
        client.info()
    # By the client's own pool: threads that earlier tests gave up may still be ending.
    assert len(client._transport._workers._idle) == 1


def test_secrets_in_headers_are_masked_where_they_are_kept(
    serve: Serve, connect: MakeClient
) -> None:
    class Custom:
        kind = "custom"

        def authorize(self, post: object) -> dict[str, str | Secret]:
            return {"X-Tenant-Pass": Secret("canary-4711", "test"), "Authorization": "Plain 0815"}

        def refresh(self) -> bool:
            return False

    fake = serve(info)
    client = connect(fake, auth=Custom())
    client.info()
    assert fake.asked[0].headers["x-tenant-pass"] == "canary-4711"
    kept = client.exchanges[0].request_headers
    assert kept["X-Tenant-Pass"] == kept["Authorization"] == "[redacted]"


def test_a_signal_in_the_middle_of_a_call_does_not_poison_the_next(
    serve: Serve, connect: MakeClient
) -> None:
    import os
    import signal

    class Interrupted(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    def slow(asked: Asked, line: Line) -> Reply:
        os.kill(os.getpid(), signal.SIGUSR1)
        line.server.over.wait(0.3)
        return Reply(body={"api_version": "late", "supported_python_versions": []})

    fake = serve(steps(slow, info))
    client = connect(fake)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupted):
            client.info()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert client.info().api_version == INFO["api_version"]


def test_a_client_works_without_pytest_and_closes_twice(serve: Serve) -> None:
    client = ControlClient(
        ControlSettings(url=serve(info).url, team="blue"), NoAuth(), op_id_prefix="12345678"
    )
    with client:
        client.info()
    client.close()
