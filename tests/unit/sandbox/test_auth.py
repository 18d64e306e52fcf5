"""Logins and access tokens, as a client meets them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import quote_plus

import pytest
import requests

from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.sandbox.conftest import Client

INFO = "/data-jobs/for-team/team-a/info"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(auth=True) as sandbox:
        yield sandbox
        assert sandbox.bugs == []


def login(sandbox: Sandbox, **form: str) -> requests.Response:
    return requests.post(sandbox.token_url, data=form, timeout=10)


def get(sandbox: Sandbox, path: str, authorization: str | None = None) -> requests.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return requests.get(sandbox.url + path, headers=headers, timeout=10)


def test_a_call_without_a_token_is_an_empty_401_with_a_challenge(sandbox: Sandbox) -> None:
    answer = get(sandbox, INFO)
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_bad_token_is_told_so(sandbox: Sandbox) -> None:
    answer = get(sandbox, INFO, "Bearer nonsense")
    assert (answer.status_code, answer.content) == (401, b"")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "path",
    [
        "/data-jobs/api-docs",
        "/data-jobs/debug/health",
        "/data-jobs/debug/health/liveness",
        "/data-jobs/debug/prometheus",
        "/data-jobs/debug/servertime",
    ],
)
def test_documents_and_monitoring_need_no_token(sandbox: Sandbox, path: str) -> None:
    assert get(sandbox, path).status_code == 200


def test_an_api_token_is_exchanged_by_the_refresh_token_grant(sandbox: Sandbox) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": sandbox.tokens.api_token}
    body = login(sandbox, **form).json()
    assert body["expires_in"] == 1799
    assert get(sandbox, INFO, f"Bearer {body['access_token']}").status_code == 200


def test_a_client_may_send_its_secret_in_the_form_or_by_basic(sandbox: Sandbox) -> None:
    sandbox.tokens.client_secret = "a blank, %+&"
    client = (sandbox.tokens.client_id, sandbox.tokens.client_secret)
    form = {"grant_type": "client_credentials"}
    in_form = login(sandbox, **form, client_id=client[0], client_secret=client[1])
    by_basic = requests.post(
        sandbox.token_url, data=form, auth=(client[0], quote_plus(client[1])), timeout=10
    )
    for answer in (in_form, by_basic):
        token = answer.json()["access_token"]
        assert get(sandbox, INFO, f"Bearer {token}").status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "refresh_token", "refresh_token": "no"}, "invalid_grant"),
        ({"grant_type": "refresh_token"}, "invalid_grant"),
        (
            {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"},
            "invalid_client",
        ),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
    ],
)
def test_a_refused_login_says_why_in_oauth_words(
    sandbox: Sandbox, form: dict[str, str], error: str
) -> None:
    answer = login(sandbox, **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_refused_basic_login_is_401(sandbox: Sandbox) -> None:
    form = {"grant_type": "client_credentials"}
    answer = requests.post(sandbox.token_url, data=form, auth=("x", "y"), timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(("age_s", "status"), [(-10, 200), (55, 200), (65, 401)])
def test_an_expired_token_is_forgiven_for_a_minute(
    sandbox: Sandbox, age_s: float, status: int
) -> None:
    token = sandbox.tokens.issue("someone", ttl_s=-age_s)
    assert get(sandbox, INFO, f"Bearer {token}").status_code == status


def test_the_user_shows_in_executions_and_deployments_and_jobs_log_in_too(
    sandbox: Sandbox, job: str
) -> None:
    client = Client(sandbox)
    client.deploy(job, a="def run(job_input):\n    job_input.set_all_properties({'in': 1})\n")
    assert client.live(job)["last_deployed_by"] == "someone"
    answer = client.call(
        "POST", f"{job}/deployments/x/executions", json={"started_by": "manual/me"}
    )
    execution = f"{job}/executions/{answer.headers['Location'].rpartition('/')[2]}"
    assert client.ended(execution)["status"] == "succeeded"
    assert client.get(execution)["started_by"] == "manual/me/someone"
    assert client.get(f"{job}/deployments/x/properties") == {"in": 1}


def test_revoked_tokens_are_refused_and_a_new_login_works() -> None:
    with Sandbox(auth=True) as sandbox:
        client = Client(sandbox)
        assert client.call("GET").status_code == 200
        sandbox.tokens.revoke()
        assert client.call("GET").status_code == 401
        assert Client(sandbox).call("GET").status_code == 200


def test_tls_is_trusted_with_the_sandboxs_authority_and_refused_without(job: str) -> None:
    with Sandbox(tls=True) as sandbox:
        assert sandbox.url.startswith("https://")
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(sandbox.url + INFO, timeout=10)
        client = Client(sandbox)
        client.deploy(job, a="def run(job_input):\n    job_input.set_all_properties({'in': 1})\n")
        execution = client.start(job)
        assert client.ended(execution)["status"] == "succeeded", client.log(execution)
        location = client.call("POST", json={"job_name": f"{job}x"}).headers["Location"]
        assert location.startswith(sandbox.url)
        assert ssl.create_default_context(cafile=sandbox.ca_file)
