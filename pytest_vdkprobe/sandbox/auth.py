"""The token endpoint and the check of what it gave out.

A token service of the sandbox's own, so that a login is exercised end to end: the two grants that
clients of the Control Service use, access tokens that expire, and the error words of OAuth 2.0
(RFC 6749, sections 4.4, 5.2 and 6; RFC 6750, section 3).
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

FORGIVEN_SKEW_S = 60.0
"""The real service accepts a token until 60 s after its expiry (recorded: 55 s yes, 65 s no)."""

REALM = "sandbox"


@dataclass
class Tokens:
    """Who may log in, and which access tokens are good until when."""

    ttl_s: float
    api_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    client_id: str = "sandbox-client"
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    user: str = "sandbox-user"
    _good: dict[str, tuple[float, str]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def issue(self, user: str, *, ttl_s: float | None = None) -> str:
        """A new access token of `user`."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            expires = time.time() + (self.ttl_s if ttl_s is None else ttl_s)
            self._good[token] = (expires, user)
        return token

    def revoke(self) -> None:
        """Refuse every access token given out so far; logins still work."""
        with self._lock:
            self._good.clear()

    def user_of(self, authorization: str | None) -> str | None:
        """Whose bearer token the header carries, or None if it is not a good one."""
        scheme, _, token = (authorization or "").partition(" ")
        expires, user = self._good.get(token.strip(), (0.0, ""))
        alive = time.time() <= expires + FORGIVEN_SKEW_S
        return user if scheme.lower() == "bearer" and user and alive else None

    def grant(
        self, form: Mapping[str, str], authorization: str | None
    ) -> tuple[int, dict[str, str | int]]:
        """The token endpoint: status and JSON body for a form and an `Authorization` header."""
        kind = form.get("grant_type")
        if kind == "refresh_token":
            return self._refresh(form)
        if kind == "client_credentials":
            return self._client(form, authorization)
        error = "unsupported_grant_type" if kind else "invalid_request"
        return 400, {"error": error, "error_description": f"grant_type {kind!r}"}

    def _refresh(self, form: Mapping[str, str]) -> tuple[int, dict[str, str | int]]:
        if not secrets.compare_digest(
            form.get("refresh_token", "").encode(), self.api_token.encode()
        ):
            return 400, {"error": "invalid_grant", "error_description": "the API token is unknown"}
        return self._answer(self.user)

    def _client(
        self, form: Mapping[str, str], authorization: str | None
    ) -> tuple[int, dict[str, str | int]]:
        given = _basic(authorization) or (form.get("client_id", ""), form.get("client_secret", ""))
        if given != (self.client_id, self.client_secret):
            status = 401 if authorization else 400
            return status, {"error": "invalid_client", "error_description": "id or secret is wrong"}
        return self._answer(self.client_id)

    def _answer(self, user: str) -> tuple[int, dict[str, str | int]]:
        body: dict[str, str | int] = {"access_token": self.issue(user), "token_type": "bearer"}
        return 200, body | {"expires_in": int(self.ttl_s)}


def challenge(authorization: str | None) -> str:
    """The `WWW-Authenticate` of a 401: bare without a token, with the reason for a bad one."""
    if not authorization:
        return "Bearer"
    return f'Bearer realm="{REALM}", error="invalid_token", error_description="unknown or expired"'


def is_open(path: str) -> bool:
    """Whether the real service answers `path` without a token, beside the sandbox's own pages."""
    return (
        not path.startswith("/data-jobs/")
        or path.startswith(("/data-jobs/api-docs", "/data-jobs/debug/"))
        or path == "/data-jobs/oauth-credentials/client-ids"
        or (path.startswith("/data-jobs/teams/") and path.endswith("/oauth-credentials/client-id"))
    )


def _basic(authorization: str | None) -> tuple[str, str] | None:
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value).decode().partition(":")
    except ValueError:
        return None
    # Form-encoded before base64 (RFC 6749, section 2.3.1): a blank may be a plus.
    return unquote_plus(name), unquote_plus(secret)
