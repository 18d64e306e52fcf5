from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from pytest_vdkprobe.control.auth import ApiToken, BearerToken, ClientCredentials, make_auth
from pytest_vdkprobe.control.errors import NotAControlService, ServiceFailure
from pytest_vdkprobe.control.settings import AuthSettings, ControlSettings
from pytest_vdkprobe.errors import ConfigError, LoginError, TransportError
from pytest_vdkprobe.secrets import Secret, redact
from tests.unit.control.conftest import MakeClient
from tests.unit.control.fake import Asked, Fake, Line, Reply, Script, info, steps

Serve = Callable[[Script], Fake]
API_TOKEN = "canary-api-token-e4d1"


class Platform:
    """A service and its token endpoint, at one address; grants tok-1, tok-2, ..."""

    def __init__(self, **granted: Any) -> None:
        self.granted = granted
        self.accepts: set[str] | None = None
        self.grants: list[Asked] = []
        self.calls: list[Asked] = []
        self.endpoint: Reply | None = None

    def __call__(self, asked: Asked, line: Line) -> Reply:
        if asked.path == "/token":
            self.grants.append(asked)
            token = f"tok-canary-{len(self.grants)}"
            return self.endpoint or Reply(body={"access_token": token, **self.granted})
        self.calls.append(asked)
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if self.accepts is not None and token not in self.accepts:
            return Reply(401, headers={"WWW-Authenticate": "Bearer"})
        return info()


def api_token(fake: Fake) -> ApiToken:
    return ApiToken(f"{fake.url}/token", Secret(API_TOKEN, "test"))


def test_an_api_token_is_exchanged_without_a_client_login(
    serve: Serve, connect: MakeClient
) -> None:
    platform = Platform(expires_in=1799)
    fake = serve(platform)
    client = connect(fake, auth=api_token(fake))
    client.info()
    client.info()
    (grant,) = platform.grants
    assert parse_qs(grant.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [API_TOKEN],
    }
    assert grant.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in grant.headers
    assert [call.headers["authorization"] for call in platform.calls] == ["Bearer tok-canary-1"] * 2


def test_client_credentials_go_in_the_basic_header(serve: Serve, connect: MakeClient) -> None:
    platform = Platform(expires_in=1799)
    fake = serve(platform)
    auth = ClientCredentials(f"{fake.url}/token", "pro:be", Secret("s/cret", "test"), scope="a b")
    connect(fake, auth=auth).info()
    (grant,) = platform.grants
    assert parse_qs(grant.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["a b"]}
    assert grant.headers["authorization"] == "Basic " + b64encode(b"pro%3Abe:s%2Fcret").decode()


def test_a_ready_token_is_sent_as_it_is(serve: Serve, connect: MakeClient) -> None:
    platform = Platform()
    connect(serve(platform), auth=BearerToken(Secret("ready-made", "test"))).info()
    assert platform.calls[0].headers["authorization"] == "Bearer ready-made"


@pytest.mark.parametrize(
    ("expires_in", "later_s", "grants"),
    [(1799, 1700, 1), (1799, 1745, 2), ("1799", 1745, 2), (90, 40, 1), (90, 50, 2), (None, 9e9, 1)],
)
def test_a_token_is_renewed_shortly_before_it_expires(
    serve: Serve,
    connect: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    expires_in: float | str | None,
    later_s: float,
    grants: int,
) -> None:
    platform = Platform(expires_in=expires_in)
    fake = serve(platform)
    client = connect(fake, auth=api_token(fake), within_s=None)
    client.info()
    now = time.monotonic()
    monkeypatch.setattr("pytest_vdkprobe.control.auth.time.monotonic", lambda: now + later_s)
    client.info()
    assert len(platform.grants) == grants


def test_a_401_in_the_middle_of_a_run_is_answered_with_a_new_token(
    serve: Serve, connect: MakeClient
) -> None:
    platform = Platform(expires_in=1799)
    fake = serve(platform)
    client = connect(fake, auth=api_token(fake))
    client.info()
    platform.accepts = {"tok-canary-2"}
    client.info()
    assert len(platform.grants) == 2
    assert client.counts.repeats == 1


def test_a_post_is_repeated_after_a_401_since_it_had_no_effect(
    serve: Serve, connect: MakeClient
) -> None:
    platform = Platform(expires_in=1799)
    fake = serve(platform)
    client = connect(fake, auth=api_token(fake))
    client.info()
    platform.accepts = {"tok-canary-2"}
    with pytest.raises(ServiceFailure, match="something else than was asked for"):
        client.upload_sources("some-job", b"PK", reason="test")
    posts = [call for call in platform.calls if call.method == "POST"]
    assert [call.headers["authorization"] for call in posts] == [
        "Bearer tok-canary-1",
        "Bearer tok-canary-2",
    ]


def test_credentials_that_never_worked_are_ours(serve: Serve, connect: MakeClient) -> None:
    platform = Platform(expires_in=1799)
    platform.accepts = set()
    fake = serve(platform)
    with pytest.raises(LoginError, match=r"refuses our login \(api-token\)") as error:
        connect(fake, auth=api_token(fake)).info()
    assert "team blue" in str(error.value)
    assert len(platform.calls) == 2


def test_a_service_that_wants_a_login_when_none_is_configured_is_named(
    serve: Serve, connect: MakeClient
) -> None:
    with pytest.raises(LoginError, match="wants a login, and none is configured") as error:
        connect(serve(steps(Reply(401)))).info()
    assert "control.auth" in str(error.value)


def test_credentials_that_worked_and_are_refused_later_are_the_platforms(
    serve: Serve, connect: MakeClient
) -> None:
    platform = Platform(expires_in=1799)
    fake = serve(platform)
    client = connect(fake, auth=api_token(fake))
    client.info()
    platform.accepts = set()
    with pytest.raises(ServiceFailure, match="401 Unauthorized") as failure:
        client.info()
    assert failure.value.status == 401


REFUSED = Reply(400, {"error": "invalid_grant", "error_description": f"bad {API_TOKEN}\x1b[1m"})


@pytest.mark.parametrize("status", [200, 201])
def test_a_token_may_be_granted_as_created(serve: Serve, connect: MakeClient, status: int) -> None:
    granted = Reply(status, {"access_token": "granted-token", "expires_in": 1799})
    fake = serve(lambda asked, line: granted if asked.path == "/token" else info())
    connect(fake, auth=api_token(fake)).info()
    assert fake.asked[-1].headers["authorization"] == "Bearer granted-token"


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ({"access_token": "leaky-token", "hint": "x"}, "JSON with access_token, hint"),
        ({"error": "invalid_grant", "id_token": "leaky-token"}, "invalid_grant"),
        (["leaky-token"], "15 bytes of JSON"),
    ],
)
def test_a_refusal_shows_no_token_that_it_may_hold(
    serve: Serve, connect: MakeClient, body: object, seen: str
) -> None:
    fake = serve(steps(Reply(400, body)))
    with pytest.raises(LoginError) as error:
        connect(fake, auth=api_token(fake)).info()
    assert error.value.seen == seen
    assert "leaky-token" not in str(error.value)


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (REFUSED, "refused the login: 400 Bad Request"),
        (Reply(503), "refused the login: 503"),
        (Reply(200, b"<html>login</html>"), "can't be read"),
        (Reply(200, {"access_token": None}), "can't be read"),
        (Reply(200, {"access_token": "bad\r\nX-Evil: 1"}), "no header can carry"),
        (Reply(302, headers={"Location": "http://elsewhere.example.org"}), "302 Found"),
    ],
)
def test_a_failing_token_endpoint_is_ours_first_and_the_platforms_later(
    serve: Serve, connect: MakeClient, endpoint: Reply, said: str
) -> None:
    platform = Platform(expires_in=1799)
    fake = serve(platform)
    platform.endpoint = endpoint
    with pytest.raises(LoginError, match=said) as error:
        connect(fake, auth=api_token(fake), retries=1).info()
    assert f"POST {fake.url}/token" in str(error.value)
    assert "\x1b" not in str(error.value)
    assert "canary" not in str(error.value)

    platform.endpoint = None
    client = connect(fake, auth=api_token(fake), retries=1)
    client.info()
    platform.accepts, platform.endpoint = set(), endpoint
    with pytest.raises(ServiceFailure, match=said):
        client.info()


def test_a_token_endpoint_that_is_not_there_is_ours(serve: Serve, connect: MakeClient) -> None:
    gone = serve(info)
    gone.shutdown()
    gone.server_close()
    with pytest.raises(TransportError, match="refused") as error:
        connect(serve(info), auth=api_token(gone)).info()
    assert f"POST {gone.url}/token" in str(error.value)


def test_one_503_of_the_token_endpoint_is_waited_out(serve: Serve, connect: MakeClient) -> None:
    granted = Reply(body={"access_token": "tok-canary-9", "expires_in": 1799})
    fake = serve(steps(Reply(503), granted, info))
    connect(fake, auth=api_token(fake)).info()


def test_tokens_stay_out_of_exchanges_errors_and_reprs(serve: Serve, connect: MakeClient) -> None:
    platform = Platform(expires_in=1799)
    fake = serve(platform)
    auth = api_token(fake)
    client = connect(fake, auth=auth)
    client.info()
    shown = repr(client.exchanges) + repr(vars(auth)) + str(vars(auth))
    assert API_TOKEN not in shown
    assert "tok-canary" not in shown
    assert "tok-canary" not in redact("the answer was tok-canary-1")


def test_our_login_is_not_sent_where_none_is_needed(serve: Serve, connect: MakeClient) -> None:
    fake = serve(steps(Reply(body={"status": "UP"})))
    connect(fake, auth=BearerToken(Secret("ready-made", "test"))).health()
    assert "authorization" not in fake.asked[0].headers


def test_a_login_page_in_place_of_the_service_is_recognised(
    serve: Serve, connect: MakeClient
) -> None:
    page = Reply(body=b"<html>Sign in</html>", headers={"Content-Type": "text/html"})
    with pytest.raises(NotAControlService, match="does not behave like a Control Service"):
        connect(serve(steps(page))).info()


def build(tmp_path: Path, environ: dict[str, str], **auth: Any) -> object:
    settings = msgspec.convert(
        {"url": "https://c.example.org", "team": "blue", "auth": auth}, ControlSettings
    )
    login: AuthSettings = settings.auth
    return make_auth(login, base_dir=tmp_path, environ=environ)


def test_every_kind_is_built_from_its_settings(tmp_path: Path) -> None:
    environ = {"SECRET": "canary-env"}
    token = {"env": "SECRET"}
    url = "https://login.example.org"
    kinds = [
        build(tmp_path, environ, kind="none"),
        build(tmp_path, environ, kind="bearer", token=token),
        build(tmp_path, environ, kind="api-token", url=url, token=token),
        build(
            tmp_path,
            environ,
            kind="client-credentials",
            url=url,
            client_id="probe",
            client_secret=token,
        ),
    ]
    names = [getattr(auth, "kind", None) for auth in kinds]
    assert names == ["none", "bearer", "api-token", "client-credentials"]


def test_a_missing_secret_is_said_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        build(tmp_path, {}, kind="bearer", token={"env": "NOT_SET"})
    assert error.value.key == "control.auth.token"


def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no header can carry") as error:
        build(tmp_path, {"T": "canary\u2013dash"}, kind="bearer", token={"env": "T"})
    assert "canary" not in str(error.value)
