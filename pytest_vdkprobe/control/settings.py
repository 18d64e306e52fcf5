"""The `[control]` section: where the Control Service is, how to log in, what it offers.

Everything a call needs to know beforehand is fixed here, so that a wrong address or a missing
secret is said before anything is created.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

from pytest_vdkprobe.config import registry
from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.ownkind import OwnKind
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.secrets import REDACTOR


class NoAuthSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="none"
):
    """No login: the service answers everybody."""


class ApiTokenSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="api-token"
):
    """A long-lived API token, exchanged at `url` for access tokens (refresh-token grant)."""

    url: str
    token: SecretRef

    def __post_init__(self) -> None:
        check_url("auth.url", self.url)


class ClientCredentialsSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="client-credentials",
):
    """A client id and secret, exchanged at `url` for access tokens (client-credentials grant)."""

    url: str
    client_id: str
    client_secret: SecretRef
    scope: str | None = None

    def __post_init__(self) -> None:
        check_url("auth.url", self.url)


class BearerSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="bearer"
):
    """A ready access token, sent as it is: nobody renews it when it expires."""

    token: SecretRef


class OwnAuthSettings(OwnKind, frozen=True, tag_field="kind", tag="own"):
    """A scheme of the user's own, registered under `name`; its table is as its own type wants."""

    @staticmethod
    def type_of(name: str) -> type[msgspec.Struct] | None:
        """The type of that scheme's settings, if there is one."""
        found = LOGINS.get(name)
        return None if found is None else found.settings

    @staticmethod
    def names() -> list[str]:
        """The schemes that users have brought."""
        return [name for name in LOGINS.names() if name not in SHIPPED_LOGINS]


class Login(NamedTuple):
    """A login scheme of a user's own."""

    settings: type[msgspec.Struct]
    """A msgspec.Struct tagged with the scheme's name, that forbids unknown fields."""
    make: Callable[..., Any]
    """Called with the settings, and with what reads a secret: `resolve(ref, key)`."""


def register_auth(name: str, settings: type, make: Callable[..., Any] | None = None) -> None:
    """Let `control.auth`, and that of HTTP endpoints, be `{ kind = "name", ... }`; see `Login`.

    One class will do if it has the type of its settings as its attribute `settings`. What is made
    has `kind`, `authorize(post)` and `refresh()`, as control.auth.Auth says.
    """
    wanted: Any = settings
    if make is None:
        wanted, make = getattr(settings, "settings", None), settings
    registry.refuse_unless_struct("login", name, wanted, make)
    registry.refuse_unless_called_with("login", name, make, {"resolve": ""}, make)
    registry.refuse_lacking(
        "login", name, registry.methods_lacking(make, ("authorize", "refresh")), make
    )
    LOGINS.add(name, Login(wanted, make), brought=make)


SHIPPED_LOGINS = ("none", "api-token", "client-credentials", "bearer", "basic", "own")
LOGINS: registry.Registry[Login] = registry.Registry("login", register_auth, lambda: SHIPPED_LOGINS)
"""What users have brought."""

AuthSettings = (
    NoAuthSettings | ApiTokenSettings | ClientCredentialsSettings | BearerSettings | OwnAuthSettings
)


class ControlSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One Control Service, seen by one team.

    `url` is the address without `/data-jobs`; a trailing slash or `/data-jobs` is taken off.
    A call may take `connect_timeout_s` to get through and `read_timeout_s` from there to its last
    byte, and never longer than the step that makes it. `retries` counts for calls that can be
    repeated without harm.

    `keytab`, `secrets_enabled` and `cron_minute_s` tell what the platform offers: what a job's
    keytab is (`any` accepts all), whether there is a secrets store, and how long a minute of a cron
    schedule lasts (less than 60 only on a sandbox).
    """

    url: str
    team: str
    auth: AuthSettings = NoAuthSettings()
    ca_file: FilePath | None = None
    verify_tls: bool = True
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    retries: int = 5
    """Five: with one call in twenty answered 503, three would fail one run in two thousand."""
    frontend_url: str | None = None
    keytab: Literal["any", "bytes", "empty", "absent"] = "any"
    secrets_enabled: bool = False
    cron_minute_s: float = 60.0

    def __post_init__(self) -> None:
        check_url("url", self.url)
        if self.frontend_url is not None:
            check_url("frontend_url", self.frontend_url)
        if not self.team.strip():
            raise ValueError("team: empty; it is the team that owns the probe's data jobs")
        for name in ("connect_timeout_s", "read_timeout_s", "cron_minute_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0 seconds")
        if not 0 <= self.retries <= 20:
            raise ValueError("retries: must be 0 to 20")
        if self.ca_file and not self.verify_tls:
            raise ValueError("ca_file: has no effect while verify_tls is false; choose one")
        # Leases name the platform by its url: two spellings of one address would be two platforms.
        url = self.url.rstrip("/").removesuffix("/data-jobs").rstrip("/")
        msgspec.structs.force_setattr(self, "url", url)


def check_url(key: str, url: str) -> SplitResult:
    """Raise ValueError, which names `key`, unless `url` is an http address without credentials."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            f"{key}: not an address; write https://HOST or https://HOST:PORT"
        ) from None
    if parts.password:
        REDACTOR.add(parts.password)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"{key}: has no http:// or https:// in front; write https://HOST")
    if not parts.hostname or port == 0 or any(sign.isspace() for sign in url):
        raise ValueError(f"{key}: names no usable host and port; write https://HOST:PORT")
    if parts.username is not None:
        raise ValueError(f"{key}: credentials don't belong in an address; use auth")
    if parts.fragment or (key == "url" and parts.query):
        raise ValueError(f"{key}: must end before any ? or #")
    return parts
