"""No secret of a login stands in what a failing call leaves behind, local variables included."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from pytest_vdkprobe.control.auth import ApiToken, Auth, BearerToken, ClientCredentials
from pytest_vdkprobe.control.client import ControlClient
from pytest_vdkprobe.secrets import Secret
from tests.unit.control.conftest import MakeClient
from tests.unit.control.fake import Asked, Fake, Line, Reply, Script, info

Serve = Callable[[Script], Fake]
CANARY = "canary-7c1e-login"
GRANTED = "canary-7c1e-access"


def hang(asked: Asked, line: Line) -> None:
    line.hang()


def reset(asked: Asked, line: Line) -> None:
    line.reset()


def logins(url: str) -> list[Auth]:
    secret = Secret(CANARY, "test")
    return [
        BearerToken(secret),
        ApiToken(f"{url}/token", secret),
        ClientCredentials(f"{url}/token", "probe", secret),
    ]


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("endpoint_works", [True, False])
@pytest.mark.parametrize(
    "broken", [hang, reset, Reply(500), Reply(401), Reply(302, headers={"Location": "/x"})]
)
def test_a_traceback_with_local_variables_shows_no_login(
    serve: Serve, connect: MakeClient, kind: int, endpoint_works: bool, broken: Script | Reply
) -> None:
    def fail(asked: Asked, line: Line) -> Reply | None:
        return broken if isinstance(broken, Reply) else broken(asked, line)

    def script(asked: Asked, line: Line) -> Reply | None:
        if asked.path == "/token" and endpoint_works:
            return Reply(body={"access_token": GRANTED, "expires_in": 1799})
        return fail(asked, line)

    fake = serve(script)
    client = connect(fake, auth=logins(fake.url)[kind], within_s=0.2, retries=0)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of whatever family: not the point here
        client.info()
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(told.format(chain=True))
    assert "client" in text
    assert CANARY not in text
    assert GRANTED not in text
    assert "canary" not in repr(client.exchanges)


def test_a_login_is_not_in_the_repr_of_anything(serve: Serve, connect: MakeClient) -> None:
    fake = serve(info)
    client: ControlClient = connect(fake, auth=BearerToken(Secret(CANARY, "test")))
    client.info()
    parts = [client, client._caller, client._transport, client._caller.auth, client._caller.log]
    assert CANARY not in "".join(repr(part) + repr(vars(part)) for part in parts)
