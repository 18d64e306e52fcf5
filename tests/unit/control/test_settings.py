from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.control.settings import (
    ApiTokenSettings,
    ClientCredentialsSettings,
    ControlSettings,
    NoAuthSettings,
)
from pytest_vdkprobe.secrets import redact


def settings(**more: Any) -> ControlSettings:
    tables = {"url": "https://control.example.org", "team": "blue", **more}
    return msgspec.convert(tables, ControlSettings)


def test_url_and_team_are_enough() -> None:
    assert settings().auth == NoAuthSettings()


@pytest.mark.parametrize(
    "url",
    [
        "https://control.example.org/",
        "https://control.example.org/data-jobs",
        "https://control.example.org/data-jobs/",
    ],
)
def test_spellings_of_one_address_are_one_address(url: str) -> None:
    assert settings(url=url).url == "https://control.example.org"


def test_a_path_before_data_jobs_stays() -> None:
    assert settings(url="https://example.org/vdk/data-jobs").url == "https://example.org/vdk"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "control.example.org"}, "url: has no http:// or https://"),
        ({"url": "localhost:8092"}, "url: has no http:// or https://"),
        ({"url": "https://"}, "url: names no usable host"),
        ({"url": "https://example.org:port"}, "url: not an address"),
        ({"url": "https://example.org:0"}, "url: names no usable host and port"),
        ({"url": "https://exa mple.org"}, "url: names no usable host"),
        ({"url": "https://example.org?team=x"}, "url: must end before any"),
        ({"url": "https://[::1"}, "url: not an address"),
        ({"team": " "}, "team: empty"),
        ({"read_timeout_s": 0}, "read_timeout_s: must be more than 0"),
        ({"retries": 1000}, "retries: must be 0 to 20"),
        ({"verify_tls": False, "ca_file": "ca.pem"}, "ca_file: has no effect"),
        ({"frontend_url": "example.org"}, "frontend_url: has no http"),
        ({"auth": {"kind": "api-token", "url": "x", "token": {"env": "T"}}}, r"auth\.url: has no"),
        ({"auth": {"kind": "kerberos"}}, "kerberos"),
        ({"auth": {"kind": "bearer", "token": "plain"}}, "token"),
        ({"uri": "https://example.org"}, "uri"),
        ({"keytab": "maybe"}, "maybe"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        settings(**wrong)


def test_credentials_in_an_address_are_refused_and_hidden() -> None:
    with pytest.raises(msgspec.ValidationError, match="credentials don't belong") as refused:
        settings(url="https://eve:canary-url-pass@example.org")
    assert "canary" not in str(refused.value)
    assert "canary-url-pass" not in redact("https://eve:canary-url-pass@example.org")


def test_each_kind_of_login_has_its_own_fields() -> None:
    token = settings(auth={"kind": "api-token", "url": "https://l.org/t", "token": {"env": "T"}})
    assert isinstance(token.auth, ApiTokenSettings)
    client = settings(
        auth={
            "kind": "client-credentials",
            "url": "https://l.org/t",
            "client_id": "probe",
            "client_secret": {"file": "secret"},
        }
    )
    assert isinstance(client.auth, ClientCredentialsSettings)
    assert client.auth.scope is None
