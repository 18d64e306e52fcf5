"""What each answer of an endpoint says of the records sent to it, and what bad settings say."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import trustme
from pyroaring import BitMap64

from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.control.endpoint import BasicSettings
from pytest_vdkprobe.control.settings import BearerSettings, ClientCredentialsSettings
from pytest_vdkprobe.errors import (
    ConfigError,
    LoginError,
    PlatformFailure,
    ProbeError,
    TransportError,
)
from pytest_vdkprobe.readers.http import HttpReader, HttpReaderSettings
from pytest_vdkprobe.records import Record, wire_json
from pytest_vdkprobe.targets.http import HttpTarget, HttpTargetSettings
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.collecting_endpoint import Endpoint

SMALL = profile("small")
TOKEN = "token-of-the-endpoint-77"


def records(count: int) -> list[Record]:
    return [SMALL.make("run-12345678", seq, sent_at_us=1) for seq in range(count)]


def target_of(url: str, **settings: object) -> HttpTarget:
    wanted = {"connect_timeout_s": 2.0, "read_timeout_s": 2.0, **settings}
    return HttpTarget(HttpTargetSettings(url=url, **wanted))  # type: ignore[arg-type]


def sent(
    endpoint: Endpoint, *, count: int = 2, limit_s: float = 5, **settings: object
) -> list[SendResult]:
    """What became of some records, within their deadline."""
    started = time.monotonic()
    with target_of(f"{endpoint.url}/ingest", **settings) as target:
        target.prepare(SMALL.columns)
        results = target.send(records(count), deadline=Deadline.after(limit_s))
    assert time.monotonic() - started < limit_s + 20
    return results


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        (200, Outcome.ACKNOWLEDGED, ""),
        (202, Outcome.ACKNOWLEDGED, ""),
        (307, Outcome.REFUSED, "which is not followed"),
        (400, Outcome.REFUSED, "400 Bad Request"),
        (413, Outcome.REFUSED, "413"),
        (429, Outcome.REFUSED, "429 Too Many Requests"),
        (500, Outcome.UNKNOWN, "500 Internal Server Error"),
        (503, Outcome.UNKNOWN, "503 Service Unavailable"),
        ("cut", Outcome.UNKNOWN, "cut"),
        ("hang", Outcome.UNKNOWN, "given up"),
        ("drip", Outcome.UNKNOWN, "given up"),
    ],
    ids=str,
)
def test_an_answer_decides_the_outcome(
    endpoint: Endpoint, answer: object, outcome: Outcome, said: str
) -> None:
    endpoint.answers = [answer]
    results = sent(endpoint, limit_s=1.5)
    assert {result.outcome for result in results} == {outcome}
    assert said in results[0].reason
    # Once, whatever was answered.
    assert len(endpoint.requests) == 1


def test_each_object_has_an_outcome_of_its_own(endpoint: Endpoint) -> None:
    endpoint.answers = [200, 422, 500, 200]
    results = sent(endpoint, count=4, layout="object")
    assert [result.outcome for result in results] == [
        Outcome.ACKNOWLEDGED,
        Outcome.REFUSED,
        Outcome.UNKNOWN,
        Outcome.ACKNOWLEDGED,
    ]


def test_an_endpoint_that_is_gone_refuses(endpoint: Endpoint) -> None:
    with target_of(f"{endpoint.url}/ingest") as target:
        target.prepare(SMALL.columns)
        endpoint.close()
        target._endpoint._transport._session.close()
        results = target.send(records(2), deadline=Deadline.after(3))
    assert {result.outcome for result in results} == {Outcome.REFUSED}
    assert "refused" in results[0].reason


def test_the_wire_is_vdk_s(endpoint: Endpoint) -> None:
    sent(endpoint, table="lake.events", headers={"X-Tenant": "blue"}, gzip_from_bytes=100)
    (request,) = endpoint.requests
    assert request["content-type"] == "application/octet-stream"
    assert request["content-encoding"] == "gzip"
    assert request["x-tenant"] == "blue"
    expected = [{**wire_json(record), "@table": "lake.events"} for record in records(2)]
    assert endpoint.received == expected


def test_small_bodies_are_not_packed(endpoint: Endpoint) -> None:
    sent(endpoint, gzip_from_bytes=1_000_000)
    assert "content-encoding" not in endpoint.requests[0]


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (BearerSettings(SecretRef(env="ENDPOINT_TOKEN")), f"Bearer {TOKEN}"),
        (
            BasicSettings("probe", SecretRef(env="ENDPOINT_TOKEN")),
            "Basic cHJvYmU6dG9rZW4tb2YtdGhlLWVuZHBvaW50LTc3",
        ),
    ],
    ids=["bearer", "basic"],
)
def test_a_login_is_shown(
    endpoint: Endpoint, auth: object, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDPOINT_TOKEN", TOKEN)
    endpoint.login = header
    assert {result.outcome for result in sent(endpoint, auth=auth)} == {Outcome.ACKNOWLEDGED}
    endpoint.login = "another"
    (refused, _) = sent(endpoint, auth=auth)
    assert refused.outcome is Outcome.REFUSED
    assert TOKEN not in refused.reason


def test_a_secret_header_is_sent(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_TOKEN", TOKEN)
    sent(endpoint, secret_headers={"X-Key": SecretRef(env="ENDPOINT_TOKEN")})
    assert endpoint.requests[0]["x-key"] == TOKEN


def test_a_token_endpoint_that_is_away_is_ours(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDPOINT_TOKEN", TOKEN)
    auth = ClientCredentialsSettings(
        url="http://127.0.0.1:1/token",
        client_id="probe",
        client_secret=SecretRef(env="ENDPOINT_TOKEN"),
    )
    with target_of(endpoint.url, auth=auth) as target, pytest.raises(LoginError) as caught:
        target.prepare(SMALL.columns)
    assert "token endpoint" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://127.0.0.1:1/x", "refused"), ("http://nowhere.invalid/x", "is not known")],
    ids=["port", "name"],
)
def test_an_endpoint_that_can_t_be_reached_is_told(url: str, said: str) -> None:
    with target_of(url) as target, pytest.raises(TransportError, match=said):
        target.prepare(SMALL.columns)
    reader = HttpReader(HttpReaderSettings(url=url, connect_timeout_s=2))
    with reader, pytest.raises(TransportError, match=said):
        reader.prepare(SMALL.columns)


def test_a_port_that_never_answers_is_bounded() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        started = time.monotonic()
        with target_of(url, read_timeout_s=0.5) as target:
            target.prepare(SMALL.columns)
            results = target.send(records(1), deadline=Deadline.after(1))
        assert results[0].outcome is Outcome.UNKNOWN
        assert time.monotonic() - started < 20


def test_a_certificate_is_trusted_by_its_ca_file_only(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with Endpoint(tls=context) as endpoint:
        results = sent(endpoint, ca_file=str(ca_file))
        assert {result.outcome for result in results} == {Outcome.ACKNOWLEDGED}
        with target_of(endpoint.url) as target, pytest.raises(TransportError) as caught:
            target.prepare(SMALL.columns)
    assert "target.ca_file" in str(caught.value)


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "empty"])
def test_a_ca_file_that_is_none_is_named(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        target_of("https://localhost", ca_file=str(path))
    assert "key target.ca_file" in str(caught.value)


@pytest.mark.parametrize(
    "listing", [b"<html>login</html>", b'{"error": "no"}'], ids=["page", "object"]
)
def test_an_endpoint_that_lists_nothing_is_told(endpoint: Endpoint, listing: bytes) -> None:
    endpoint.listing = listing
    with (
        HttpReader(HttpReaderSettings(url=endpoint.url)) as reader,
        pytest.raises(ProbeError, match="does not list what it received"),
    ):
        reader.prepare(SMALL.columns)


@pytest.mark.parametrize("paging", ["offset", "since"])
def test_an_endpoint_that_always_lists_all_is_told(
    endpoint: Endpoint, paging: Literal["offset", "since"]
) -> None:
    endpoint.listing = b'[{"position": 1}, {"position": 2}]'
    with (
        HttpReader(HttpReaderSettings(url=endpoint.url, paging=paging)) as reader,
        pytest.raises(ProbeError, match=f"the same again, whatever {paging}") as problem,
    ):
        reader.prepare(SMALL.columns)
    assert "reader.paging" in str(problem.value)


def test_a_record_that_comes_again_and_again_is_no_endpoint_that_lists_all(
    endpoint: Endpoint,
) -> None:
    (record,) = (wire_json(each) for each in records(1))
    with HttpReader(HttpReaderSettings(url=endpoint.url)) as reader:
        for _ in range(6):
            endpoint.received.append(record)
            assert reader._page() == [record]
            assert reader._page() == []


def test_an_endpoint_that_stops_listing_is_the_platform_s_doing(endpoint: Endpoint) -> None:
    expectation = Expectation(
        "run-12345678",
        SMALL,
        sent=BitMap64(range(3)),
        acknowledged=BitMap64(range(3)),
        refused=BitMap64(),
        start_us=time.time_ns() // 1000,
        rate_per_s=1000.0,
        within_s=600.0,
        late_s=1.0,
    )
    with HttpReader(HttpReaderSettings(url=endpoint.url, poll_s=0.02)) as reader:
        reader.prepare(SMALL.columns)
        endpoint.received += [wire_json(record) for record in records(3)]

        def look() -> int:
            return len(reader.observe(expectation, deadline=Deadline.after(5)).seen)

        wait_until("records", look, done=lambda seen: seen == 3, deadline=Deadline.after(5))
        endpoint.listing = b"<html>maintenance</html>"
        with pytest.raises(PlatformFailure, match="no longer lists what it received"):
            wait_until("more", look, done=lambda seen: seen > 3, deadline=Deadline.after(5))
