"""Answers that nobody should give: only our own findings come out, readable and in bounded time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.dom.minidom import parseString
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from pytest_vdkprobe.control.auth import NoAuth
from pytest_vdkprobe.control.client import ControlClient
from pytest_vdkprobe.control.errors import NotAControlService, ServiceFailure
from pytest_vdkprobe.control.exchanges import ExchangeLog
from pytest_vdkprobe.control.models import DataJob, DataJobDeployment
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.control.transport import Answer, Request
from pytest_vdkprobe.errors import Finding, TransportError
from tests.unit.control.conftest import MakeClient
from tests.unit.control.fake import EXPLAINED, INFO, Fake, Reply, Script, info, steps

Serve = Callable[[Script], Fake]
RECORDED = Path(__file__).parents[2] / "data" / "control_service_transcript.jsonl"

OPERATIONS: list[tuple[str, Callable[[ControlClient], object]]] = [
    ("info", lambda client: client.info()),
    ("read_job", lambda client: client.read_job("probe-job")),
    ("create_job", lambda client: client.create_job(DataJob(job_name="probe-job"))),
    ("update_job", lambda client: client.update_job(DataJob(job_name="probe-job"))),
    ("delete_job", lambda client: client.delete_job("probe-job")),
    ("list_jobs", lambda client: list(client.list_jobs("blue"))),
    ("keytab", lambda client: client.keytab("probe-job")),
    ("deployments", lambda client: client.deployments("probe-job")),
    ("deployment", lambda client: client.deployment("probe-job")),
    ("deploy", lambda client: client.deploy("probe-job", DataJobDeployment(job_version="1"))),
    ("patch", lambda client: client.patch_deployment("probe-job", enabled=True)),
    ("upload", lambda client: client.upload_sources("probe-job", b"PK", reason="r")),
    (
        "start",
        lambda client: client.start_execution("probe-job", args={}, started_by="x", op_id="y"),
    ),
    ("execution", lambda client: client.execution("probe-job", "e-1")),
    ("executions", lambda client: client.executions("probe-job")),
    ("cancel", lambda client: client.cancel_execution("probe-job", "e-1")),
    ("logs", lambda client: client.logs("probe-job", "e-1")),
    ("properties", lambda client: client.properties("probe-job")),
    ("oauth", lambda client: client.oauth_credentials()),
    ("health", lambda client: client.health()),
]


class Canned:
    """A transport that has one answer for everything."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.given = Answer(status=status, headers=headers, body=body, elapsed_s=0.0)
        self.settings = ControlSettings(url="http://127.0.0.1:1", team="blue", retries=0)

    def answered(self, url: str) -> bool:
        return True

    def send(self, request: Request, *, deadline: object) -> Answer:
        return self.given

    def client(self, *, recognised: bool) -> ControlClient:
        client = ControlClient(self.settings, NoAuth(), op_id_prefix="7f3a90c2")
        client._caller.transport = self  # type: ignore[assignment]
        client._caller.recognised = recognised
        client._caller.log = ExchangeLog()
        return client


def recorded_bodies() -> list[bytes]:
    lines = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]
    bodies = [line["body"] for line in lines if isinstance(line.get("body"), dict | list)]
    return sorted(
        {json.dumps(body).encode() for body in bodies}, key=lambda body: (len(body), body)
    )


BODIES = recorded_bodies()

JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(["data", "content", "id", "status", "logs", "config", "what"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@some.composite
def mutated(draw: some.DrawFn) -> bytes:
    """A recorded answer with a piece cut out, doubled or replaced."""
    body = draw(some.sampled_from(BODIES))
    start = draw(some.integers(0, len(body)))
    end = draw(some.integers(start, min(len(body), start + 40)))
    return (
        body[:start] + draw(some.binary(max_size=6) | some.just(body[start:end] * 2)) + body[end:]
    )


ANSWERS = (
    some.binary(max_size=200) | mutated() | JSON.map(lambda document: json.dumps(document).encode())
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    operation=some.sampled_from(OPERATIONS),
    status=some.sampled_from(
        [200, 201, 202, 204, 301, 400, 401, 403, 404, 407, 409, 500, 501, 599]
    ),
    body=ANSWERS,
    headers=some.dictionaries(
        some.sampled_from(["location", "content-type"]), some.text(max_size=20)
    ),
    recognised=some.booleans(),
)
def test_whatever_is_answered_only_our_own_findings_come_out(
    operation: tuple[str, Callable[[ControlClient], object]],
    status: int,
    body: bytes,
    headers: dict[str, str],
    recognised: bool,
) -> None:
    client = Canned(status, body, headers).client(recognised=recognised)
    said = ""
    try:
        operation[1](client)
    except Finding as finding:
        said = str(finding)
    parseString(f"<a>{escape(said)}</a>".encode())
    assert len(said) < 4000


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_operation_passes_the_services_explanation_on(
    serve: Serve, connect: MakeClient, name: str, operation: Callable[[ControlClient], object]
) -> None:
    client = connect(serve(steps(Reply(500, EXPLAINED))))
    with pytest.raises(ServiceFailure, match="answered 500") as failure:
        operation(client)
    assert "It broke. A cause. None." in str(failure.value)
    assert "Wait." in str(failure.value)
    assert failure.value.explanation is not None
    assert "op id " in str(failure.value)


def test_terminal_sequences_in_an_error_are_shown_not_obeyed(
    serve: Serve, connect: MakeClient
) -> None:
    hostile = b'{"what": "\\u001b[2J\\u001b]0;title\\u0007gone", "why": "\\u202e", '
    hostile += b'"consequences": null, "countermeasures": "\\u0000"}'
    client = connect(serve(steps(Reply(400, hostile))))
    client._caller.recognised = True
    with pytest.raises(ServiceFailure) as failure:
        client.properties("probe-job")
    assert str(failure.value).isprintable() or "\n" in str(failure.value)
    assert r"\x1b[2J\x1b]0;title\x07gone \u202e" in str(failure.value)
    assert "\x1b" not in str(client.exchanges)


def test_invalid_utf8_in_an_error_is_readable(serve: Serve, connect: MakeClient) -> None:
    client = connect(serve(steps(Reply(500, b"\xff\xfe broke"))))
    with pytest.raises(ServiceFailure, match=r"\\xff\\xfe broke"):
        client.info()


def test_deep_json_is_refused(serve: Serve, connect: MakeClient) -> None:
    deep = b'{"a":' * 200_000 + b"1" + b"}" * 200_000
    client = connect(serve(steps(info, Reply(body=deep))))
    client.info()
    started = time.monotonic()
    with pytest.raises(ServiceFailure, match="nested too deep"):
        client.properties("probe-job")
    assert time.monotonic() - started < 15


def test_a_wrong_content_type_does_not_matter_where_the_content_is_right(
    serve: Serve, connect: MakeClient
) -> None:
    body = json.dumps(INFO).encode()
    reply = Reply(body=body, headers={"Content-Type": "text/html"})
    assert connect(serve(steps(reply))).info().api_version == INFO["api_version"]


def test_html_with_a_good_status_is_named(serve: Serve, connect: MakeClient) -> None:
    page = Reply(body=b"<html>maintenance</html>", headers={"Content-Type": "text/html"})
    client = connect(serve(steps(info, page)))
    client.info()
    with pytest.raises(ServiceFailure, match="something else than was asked for") as failure:
        client.properties("probe-job")
    assert "24 bytes (text/html): <html>maintenance</html>" in str(failure.value)


@pytest.mark.parametrize(
    "first",
    [
        Reply(200, b"<html>hello</html>"),
        Reply(200, {"hello": "world"}),
        Reply(200, b""),
        Reply(204),
        Reply(404),
        Reply(404, b"page not found"),
        Reply(405),
        Reply(418, b"teapot"),
        Reply(400, b"The plain HTTP request was sent to HTTPS port"),
    ],
)
def test_what_never_behaved_like_a_control_service_is_our_address_to_check(
    serve: Serve, connect: MakeClient, first: Reply
) -> None:
    with pytest.raises(NotAControlService, match="does not behave like") as error:
        connect(serve(steps(first))).info()
    assert "control.url" in str(error.value)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_service_that_breaks_at_once_has_failed_all_the_same(
    serve: Serve, connect: MakeClient, status: int
) -> None:
    with pytest.raises(ServiceFailure):
        connect(serve(steps(Reply(status, b"<html>bad</html>"))), retries=0).info()


def test_too_many_headers_are_refused(serve: Serve, connect: MakeClient) -> None:
    def flood(asked: Any, line: Any) -> None:
        line.say(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(5000)))

    with pytest.raises(TransportError, match="no HTTP answer"):
        connect(serve(flood)).info()


def test_an_overlong_header_is_refused(serve: Serve, connect: MakeClient) -> None:
    def flood(asked: Any, line: Any) -> None:
        line.say(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n")

    with pytest.raises(TransportError, match="no HTTP answer"):
        connect(serve(flood)).info()
