"""Logging in: from a configured scheme to the headers that a call carries.

Tokens live in memory only; each is a `Secret` from the moment it is read. They are renewed before
they expire, and once when the service refuses one in between. A scheme is anything with `kind`,
`authorize` and `refresh`: bring one with `register_auth`, or override the fixture `vdk_auth`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pytest_vdkprobe.config.registry import (
    in_short,
    of_users,
    place_of,
    raised_at,
    refuse_lacking,
)
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.config.words import name_of_value
from pytest_vdkprobe.control.errors import ServiceFailure, checked, excerpt, status_line
from pytest_vdkprobe.control.network import Unanswered
from pytest_vdkprobe.control.settings import (
    LOGINS,
    ApiTokenSettings,
    AuthSettings,
    BearerSettings,
    ClientCredentialsSettings,
    OwnAuthSettings,
)
from pytest_vdkprobe.control.transport import Answer
from pytest_vdkprobe.errors import ConfigError, Finding, LoginError
from pytest_vdkprobe.secrets import Secret

RENEW_BEFORE_S = 60.0
"""As the official client does; or half of its life for a token that lives less than two minutes."""


class PostForm(Protocol):
    """How a scheme reaches a token endpoint: with the client's timeouts, proxies and trust."""

    def __call__(
        self, url: str, fields: Mapping[str, str | Secret], headers: Mapping[str, str | Secret]
    ) -> Answer:
        """Send a form and return the answer, whatever its status."""


class Auth(Protocol):
    """A way of logging in."""

    kind: str

    def authorize(self, post: PostForm) -> Mapping[str, str | Secret]:
        """The headers for the next call; secret ones as `Secret`. Raises LoginError."""

    def refresh(self) -> bool:
        """The service said 401: forget what was granted. Whether asking anew may help."""


class Shared:
    """A login that several threads share: a token is asked for once, and not by each."""

    def __init__(self, auth: Auth) -> None:
        self.kind = auth.kind
        self._auth = auth
        self._lock = threading.Lock()

    def authorize(self, post: PostForm) -> Mapping[str, str | Secret]:
        """The headers for the next call."""
        with self._lock:
            return self._auth.authorize(post)

    def refresh(self) -> bool:
        """Forget what was granted."""
        with self._lock:
            return self._auth.refresh()


class NoAuth:
    """Nothing to show."""

    kind = "none"

    def authorize(self, post: PostForm) -> Mapping[str, str | Secret]:
        """No headers."""
        return {}

    def refresh(self) -> bool:
        """There is nothing to renew."""
        return False


class BearerToken:
    """A ready access token, sent with every call."""

    kind = "bearer"

    def __init__(self, token: Secret) -> None:
        self._header = _bearer(token.reveal(), token.source)

    def authorize(self, post: PostForm) -> Mapping[str, str | Secret]:
        """The token as it was given."""
        return {"Authorization": self._header}

    def refresh(self) -> bool:
        """Nobody can renew it."""
        return False


class Granted(msgspec.Struct):
    """A token endpoint's answer (RFC 6749, section 5.1). `expires_in` may be text, or missing."""

    access_token: str
    expires_in: float | str | None = None


class _Grant:
    """Access tokens from a token endpoint, kept until shortly before they expire."""

    kind = "grant"

    def __init__(self, url: str) -> None:
        self.url = url
        self._header: Secret | None = None
        self._renew_at = 0.0
        self._worked = False

    def _fields(self) -> Mapping[str, str | Secret]:
        raise NotImplementedError

    def _headers(self) -> Mapping[str, str | Secret]:
        return {}

    def authorize(self, post: PostForm) -> Mapping[str, str | Secret]:
        """The current access token, after getting a new one where that is due."""
        if self._header is None or time.monotonic() >= self._renew_at:
            answer = post(
                self.url, self._fields(), {"Accept": "application/json", **self._headers()}
            )
            granted = self._read(answer)
            self._header = _bearer(granted.access_token, "token endpoint")
            self._renew_at = time.monotonic() + _life_s(granted.expires_in)
            self._worked = True
        return {"Authorization": self._header}

    def refresh(self) -> bool:
        """Forget the access token; the next call gets another."""
        self._header = None
        return True

    def _read(self, answer: Answer) -> Granted:
        if 200 <= answer.status < 300:
            try:
                granted = msgspec.json.decode(answer.body, type=Granted)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                # Not the body: it may hold the token in a shape that we don't know.
                raise self._problem(
                    "The token endpoint's answer can't be read.",
                    answer,
                    seen=f"{len(answer.body)} bytes of "
                    + excerpt(answer.headers.get("content-type", "no type").encode(), 80),
                    expected="JSON with an access_token",
                ) from None
            if _fits_a_header(granted.access_token):
                return granted
            raise self._problem(
                "The token endpoint granted a token that no header can carry.", answer
            )
        raise self._problem(
            f"The token endpoint refused the login: {status_line(answer.status)}.",
            answer,
            seen=_refusal(answer.body),
            expected="200 with an access_token",
        )

    def _problem(self, what: str, answer: Answer, **lines: Any) -> LoginError | ServiceFailure:
        """Ours until a login has worked in this run; from then on the platform's."""
        if self._worked:
            return ServiceFailure(what, status=answer.status, method="POST", url=self.url, **lines)
        return LoginError(
            what,
            checked=checked("POST", self.url, ""),
            to_try="check control.auth: its url, and whether its credentials are right and alive",
            **lines,
        )


class ApiToken(_Grant):
    """An API token, exchanged for access tokens: the refresh-token grant without client login."""

    kind = "api-token"

    def __init__(self, url: str, token: Secret) -> None:
        super().__init__(url)
        self._token = token

    def _fields(self) -> Mapping[str, str | Secret]:
        return {"grant_type": "refresh_token", "refresh_token": self._token}


class ClientCredentials(_Grant):
    """A client id and secret, exchanged for access tokens (RFC 6749, section 4.4)."""

    kind = "client-credentials"

    def __init__(
        self, url: str, client_id: str, client_secret: Secret, *, scope: str | None = None
    ) -> None:
        super().__init__(url)
        self._scope = scope
        self._basic = _basic(client_id, client_secret)

    def _fields(self) -> Mapping[str, str | Secret]:
        scope = {"scope": self._scope} if self._scope else {}
        return {"grant_type": "client_credentials", **scope}

    def _headers(self) -> Mapping[str, str | Secret]:
        return {"Authorization": self._basic}


Resolve = Callable[[SecretRef, str], Secret]
"""Reads a secret; the second argument is the key that it belongs to."""


def _build_api_token(settings: ApiTokenSettings, resolve: Resolve) -> Auth:
    return ApiToken(settings.url, resolve(settings.token, "control.auth.token"))


def _build_client_credentials(settings: ClientCredentialsSettings, resolve: Resolve) -> Auth:
    secret = resolve(settings.client_secret, "control.auth.client_secret")
    return ClientCredentials(settings.url, settings.client_id, secret, scope=settings.scope)


def _build_bearer(settings: BearerSettings, resolve: Resolve) -> Auth:
    token = resolve(settings.token, "control.auth.token")
    if not _fits_a_header(token.reveal()):
        raise ConfigError(
            f"The token in {token.source} has characters that no header can carry.",
            key="control.auth.token",
            expected="printable ASCII",
            to_try="Look for a byte order mark, a typographic dash or a control character.",
        )
    return BearerToken(token)


BUILDERS: dict[str, Callable[[Any, Resolve], Auth]] = {
    "none": lambda _settings, _resolve: NoAuth(),
    "api-token": _build_api_token,
    "client-credentials": _build_client_credentials,
    "bearer": _build_bearer,
}
"""From the `kind` in the configuration to what builds it."""


def make_auth(
    settings: AuthSettings,
    *,
    base_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Auth:
    """Build the configured scheme; its secrets are read now, relative files from `base_dir`.

    Raises ConfigError for a secret that can't be read.
    """

    def resolve(ref: SecretRef, key: str) -> Secret:
        return ref.resolve(environ, base_dir, key=key)

    return build(settings, resolve)


def build(settings: AuthSettings, resolve: Resolve) -> Auth:
    """The scheme of these settings, ours or a user's own, with what reads its secrets."""
    if not isinstance(settings, OwnAuthSettings):
        return BUILDERS[str(type(settings).__struct_config__.tag)](settings, resolve)
    login = LOGINS.get(settings.name)
    if login is None:
        raise LOGINS.unknown(settings.name, key="control.auth.kind")
    with of_users(f"The login {settings.name}", key="control.auth"):
        made: Auth = login.make(msgspec.convert(settings.table, login.settings), resolve=resolve)
    missing = [name for name in ("kind", "authorize", "refresh") if not hasattr(made, name)]
    refuse_lacking("login", settings.name, missing, login.make)
    return made


def headers_of(auth: Auth, post: PostForm) -> Mapping[str, str | Secret]:
    """What the scheme adds to the next call. Raises ConfigError for a user's own that breaks, or
    returns what no headers are; what it returned is not shown, since it may be a secret."""
    scheme = type(getattr(auth, "_auth", auth))
    try:
        told: object = auth.authorize(post)
    except (Finding, Unanswered):
        raise
    except Exception as exc:
        if scheme.__module__.startswith("pytest_vdkprobe."):
            raise
        raise ConfigError(
            f"The login {auth.kind} broke: {in_short(exc)}.",
            key="control.auth",
            to_try=f"correct it in {raised_at(exc) or place_of(scheme)}",
        ) from exc
    if isinstance(told, Mapping) and all(
        isinstance(name, str) and isinstance(value, str | Secret) for name, value in told.items()
    ):
        return told
    problem = ConfigError(
        f"The login {auth.kind} returned no headers.",
        key="control.auth",
        expected="a mapping of headers' names to texts, or to Secrets",
        to_try=f"correct what authorize returns in {place_of(scheme)}",
    )
    problem.seen = name_of_value(told)
    raise problem


def _fits_a_header(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable()


def _refusal(body: bytes) -> str:
    """What a token endpoint said against the login (RFC 6749, section 5.2), and no more of JSON:
    the rest of it may be tokens in a shape that we don't know."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return excerpt(body) or "an empty answer"
    if not isinstance(told, dict):
        return f"{len(body)} bytes of JSON"
    words = [str(told[name]) for name in ("error", "error_description") if told.get(name)]
    return excerpt(": ".join(words).encode("utf-8", "backslashreplace")) or (
        "JSON with " + excerpt(", ".join(sorted(map(str, told))).encode(), 120)
    )


def _bearer(token: str, source: str) -> Secret:
    # The token itself must be known to the redactor, not only behind the word Bearer.
    Secret(token, source)
    return Secret(f"Bearer {token}", source)


def _basic(client_id: str, client_secret: Secret) -> Secret:
    """HTTP Basic for a client: both parts are form-encoded first (RFC 6749, section 2.3.1)."""
    from base64 import b64encode  # noqa: PLC0415 - one of the schemes needs it
    from urllib.parse import quote_plus  # noqa: PLC0415 - as above

    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret.reveal())}"
    return Secret("Basic " + b64encode(pair.encode()).decode(), client_secret.source)


def _life_s(expires_in: float | str | None) -> float:
    """For how long a token is used. Without a word on it, until the service refuses it."""
    try:
        life_s = float(expires_in or 0)
    except ValueError:
        return float("inf")
    return life_s - min(RENEW_BEFORE_S, life_s / 2) if life_s > 0 else float("inf")
