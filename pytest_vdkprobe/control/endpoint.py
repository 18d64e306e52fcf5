"""An HTTP endpoint of the platform beside the Control Service: where records go in or come out.

It is called with the same care as the service (a call ends at its deadline, redirects are not
followed, secrets stay secret) but with none of its repetitions: a call here is a measurement.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.control.auth import Auth, Shared, build, headers_of
from pytest_vdkprobe.control.errors import ServiceFailure, checked, public_url
from pytest_vdkprobe.control.exchanges import ExchangeLog
from pytest_vdkprobe.control.network import Reason, Unanswered
from pytest_vdkprobe.control.settings import (
    AuthSettings,
    ControlSettings,
    NoAuthSettings,
    check_url,
)
from pytest_vdkprobe.control.transport import Answer, Request, Transport
from pytest_vdkprobe.errors import ConfigError, LoginError, TransportError
from pytest_vdkprobe.secrets import Secret
from pytest_vdkprobe.waiting import Deadline

LARGEST_ANSWER = 256 * 1024 * 1024
"""Bytes: one page of what an endpoint has received, megabyte texts and all."""
REFUSALS = (400, 401, 403)
"""How token endpoints refuse credentials (RFC 6749, section 5.2)."""


class BasicSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="basic"
):
    """A user and a password, sent with every call (RFC 7617)."""

    user: str
    password: SecretRef

    def __post_init__(self) -> None:
        if ":" in self.user:
            raise ValueError("user: a colon can't be part of it, it ends the user's name")


EndpointAuth = AuthSettings | BasicSettings


class EndpointSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One address and how to call it; what http target and reader settings begin with."""

    url: str
    auth: EndpointAuth = NoAuthSettings()
    headers: dict[str, str] = {}
    """Sent with every call; secret ones belong in `secret_headers`."""
    secret_headers: dict[str, SecretRef] = {}
    ca_file: FilePath | None = None
    verify_tls: bool = True
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        # An endpoint's address may have a query, unlike that of the service.
        check_url("url", self.url.partition("?")[0])
        for name in ("connect_timeout_s", "read_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0 seconds")
        if self.ca_file and not self.verify_tls:
            raise ValueError("ca_file: has no effect while verify_tls is false; choose one")


class Endpoint:
    """Makes calls to one address. `key` is what its settings are called in messages.

    One thread at a time; `another` is for the next thread, with the same login.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        key: str,
        base_dir: Path | None = None,
        auth: Auth | None = None,
    ) -> None:
        self.settings = settings
        self._key = key
        self._base_dir = base_dir
        self._log = ExchangeLog()
        self._auth = auth or self._make_auth()
        self._headers: dict[str, str | Secret] = {
            **settings.headers,
            **{
                name: ref.resolve(base_dir=base_dir, key=f"{key}.secret_headers.{name}")
                for name, ref in settings.secret_headers.items()
            },
        }
        self._transport = self._make_transport()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back connections and threads. May be called again."""
        self._transport.close()

    def another(self) -> Endpoint:
        """One for another thread: connections of its own, one login for both."""
        if not isinstance(self._auth, Shared):
            self._auth = Shared(self._auth)
        return Endpoint(self.settings, key=self._key, base_dir=self._base_dir, auth=self._auth)

    @property
    def place(self) -> str:
        """The address as messages name it."""
        return public_url(self.settings.url)

    def check(self) -> None:
        """Log in, and see that something answers there; nothing is sent that could have an effect.

        Any answer will do: what it is for shows with the first record. Raises LoginError,
        TransportError.
        """
        deadline = Deadline.after(self.settings.connect_timeout_s + self.settings.read_timeout_s)
        try:
            self.call("OPTIONS", deadline=deadline)
        except Unanswered as error:
            if not error.reason.sent:
                raise self.unreachable(error) from None

    def unreachable(self, error: Unanswered) -> TransportError:
        """The finding for an endpoint that was never reached."""
        host = urlsplit(self.settings.url).netloc.rpartition("@")[2]
        to_try = error.reason.to_try
        if error.reason is Reason.TLS_TRUST:
            to_try = f"name the authority that signed it: {self._key}.ca_file"
        return TransportError(
            f"{host} can't be reached: {error.text}.", checked=self.place, to_try=to_try
        )

    def call(
        self,
        method: str,
        *,
        deadline: Deadline,
        query: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call, once, and return whatever is answered. Raises Unanswered, LoginError."""
        url = self.settings.url
        if query:
            url += ("&" if urlsplit(url).query else "?") + query
        login = self._login(deadline)
        return self._transport.send(
            Request(
                method=method,
                url=url,
                op_id="",
                headers={**(headers or {}), **self._headers, **login},
                body=body,
                repeatable=False,
                # Not kept for a report: an account names records, not requests.
                confidential=True,
            ),
            deadline=deadline,
        )

    def refresh_login(self) -> None:
        """The endpoint said 401: the next call logs in anew."""
        self._auth.refresh()

    def _login(self, deadline: Deadline) -> Mapping[str, str | Secret]:
        def post_form(
            url: str, fields: Mapping[str, str | Secret], headers: Mapping[str, str | Secret]
        ) -> Answer:
            request = Request(
                method="POST",
                url=url,
                op_id="",
                headers=headers,
                body=fields,
                repeatable=True,
                confidential=True,
            )
            return self._transport.send(request, deadline=deadline)

        try:
            return headers_of(self._auth, post_form)
        except Unanswered as error:
            raise LoginError(
                f"The token endpoint gives no answer: {error.text}.",
                checked=checked("POST", getattr(self.settings.auth, "url", ""), ""),
                to_try=error.reason.to_try,
            ) from None
        except ServiceFailure as problem:
            if problem.status not in REFUSALS:
                raise
            # It worked once, and an endpoint may be called for months: credentials expire.
            raise LoginError(
                problem.what,
                seen=problem.seen,
                expected=problem.expected,
                checked=problem.checked,
                to_try=f"have the credentials of {self._key}.auth expired, or been withdrawn?",
            ) from None
        except LoginError as problem:
            # The schemes know themselves as those of [control].
            problem.to_try = (problem.to_try or "").replace("control.auth", f"{self._key}.auth")
            raise

    def _make_auth(self) -> Auth:
        def resolve(ref: SecretRef, key: str) -> Secret:
            name = f"{self._key}.auth.{key.rpartition('.')[2]}"
            return ref.resolve(base_dir=self._base_dir, key=name)

        settings = self.settings.auth
        if isinstance(settings, BasicSettings):
            return _Basic(settings.user, resolve(settings.password, "password"))
        return build(settings, resolve)

    def _make_transport(self) -> Transport:
        settings = self.settings
        if settings.ca_file is not None:
            _readable(settings.ca_file, key=f"{self._key}.ca_file")
        parts = urlsplit(settings.url)
        # The transport knows the limits of a call by the settings of [control].
        limits = ControlSettings(
            url=urlunsplit((parts.scheme, parts.netloc, "", "", "")),
            team="(none)",
            ca_file=settings.ca_file,
            verify_tls=settings.verify_tls,
            connect_timeout_s=settings.connect_timeout_s,
            read_timeout_s=settings.read_timeout_s,
            retries=0,
        )
        return Transport(limits, log=self._log, largest_body=LARGEST_ANSWER)


class _Basic:
    """HTTP Basic with every call."""

    kind = "basic"

    def __init__(self, user: str, password: Secret) -> None:
        pair = f"{user}:{password.reveal()}".encode()
        self._header = Secret("Basic " + b64encode(pair).decode(), password.source)

    def authorize(self, post: object) -> Mapping[str, str | Secret]:
        """The same header each time."""
        return {"Authorization": self._header}

    def refresh(self) -> bool:
        """There is nothing to renew."""
        return False


def _readable(file: str, *, key: str) -> None:
    """Raise ConfigError for a CA file that is none."""
    try:
        text = Path(file).expanduser().read_text("ascii", "replace")
    except OSError as exc:
        raise ConfigError(
            f"The CA file can't be read: {exc.strerror}.",
            key=key,
            value=file,
            to_try="name the PEM file with the certificate that signed the endpoint's own",
        ) from exc
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigError(
            "The CA file holds no certificate.",
            key=key,
            value=file,
            expected="a PEM file, with -----BEGIN CERTIFICATE-----",
        )
