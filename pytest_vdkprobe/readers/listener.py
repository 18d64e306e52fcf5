"""One listener of a websocket: connects, hands on what comes, and connects again.

A thread of its own, so that what arrives has the time when it came. Who has never been connected is
told what to mend; whoever was and is no more goes on trying, and tells when asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlencode, urlsplit

import msgspec

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.control.endpoint import Endpoint, EndpointSettings
from pytest_vdkprobe.control.errors import excerpt, public_url, status_line
from pytest_vdkprobe.control.network import Unanswered
from pytest_vdkprobe.errors import Finding, LoginError, ProbeError, TransportError
from pytest_vdkprobe.secrets import Secret
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from pytest_vdkprobe.readers.websocket import WebsocketReaderSettings

LONGEST_PAUSE_S = 30.0
LARGEST_MESSAGE = 16 * 1024 * 1024
THROWN_OUT_S = 0.2
"""A connection that ends sooner than this, with nothing heard, was none."""
LOGIN_STATUSES = (401, 403)
LOGIN_CODES = (1008, 3000, 3003)
"""How a server closes a connection whose token has expired or been withdrawn: a violated policy
(RFC 6455, section 7.4.1), unauthorized and forbidden (IANA's registry of close codes)."""
JOIN_S = 5.0
CLOSE_S = 1.0


class Authorizer(EndpointSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where tokens to listen come from."""

    method: str = "POST"
    json: Any = None
    """The call's body."""
    field: str = "token"
    """Where the token is in the answer."""


class Token:
    """The token to listen with: configured, granted, or none. Threads share it."""

    def __init__(
        self, configured: SecretRef | None, authorizer: Authorizer | None, *, base_dir: Path | None
    ) -> None:
        self._lock = threading.Lock()
        self._value: Secret | None = None
        self._authorizer = authorizer
        self._endpoint: Endpoint | None = None
        if configured is not None:
            self._value = configured.resolve(base_dir=base_dir, key="reader.token")
        if authorizer is not None:
            self._endpoint = Endpoint(authorizer, key="reader.authorizer", base_dir=base_dir)

    def get(self) -> Secret | None:
        """The token, asked for where there is none yet. Raises LoginError."""
        with self._lock:
            if self._value is None and self._endpoint is not None:
                self._value = self._granted(self._endpoint)
            return self._value

    def refuse(self, used: Secret | None) -> None:
        """The websocket has refused it: the next call gets another, where there is a way."""
        with self._lock:
            if self._endpoint is not None and used is self._value:
                self._value = None

    def close(self) -> None:
        """Give back connections."""
        if self._endpoint is not None:
            self._endpoint.close()

    def _granted(self, endpoint: Endpoint) -> Secret:
        settings = self._authorizer
        assert settings is not None  # noqa: S101 - the endpoint is made of it
        limit_s = settings.connect_timeout_s + settings.read_timeout_s
        body = None if settings.json is None else msgspec.json.encode(settings.json)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            answer = endpoint.call(
                settings.method, deadline=Deadline.after(limit_s), body=body, headers=headers
            )
        except Unanswered as error:
            raise endpoint.unreachable(error) from None
        if answer.status == 401:
            endpoint.refresh_login()
        if not 200 <= answer.status < 300:
            kind = LoginError if answer.status < 500 else ProbeError
            raise kind(
                f"The authorizer gives no token: {status_line(answer.status)}.",
                seen=excerpt(answer.body) or "an empty answer",
                checked=endpoint.place,
                to_try="check reader.authorizer: its url and auth"
                if kind is LoginError
                else "is the authorizer up? listeners need it each time that they connect anew",
            )
        try:
            found = msgspec.json.decode(answer.body)
            value = found[settings.field]
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
            value = None
        if not isinstance(value, str) or not value:
            raise LoginError(
                f"The authorizer's answer has no {settings.field}.",
                checked=endpoint.place,
                to_try="name the field that holds the token: reader.authorizer.field",
            )
        return Secret(value, "authorizer")


class Connection:
    """How a listener connects: address, token, trust."""

    def __init__(self, settings: WebsocketReaderSettings, token: Token) -> None:
        self.settings = settings
        self.place = public_url(settings.url)
        self._token = token

    def open(self) -> tuple[ClientConnection, Secret | None]:
        """A connection and the token that let us in.

        Raises what `websockets` does, and LoginError of the authorizer.
        """
        from websockets.exceptions import InvalidStatus  # noqa: PLC0415 - 40 ms, for who listens
        from websockets.sync.client import connect  # noqa: PLC0415 - as above

        settings = self.settings
        token = self._token.get()
        try:
            connection = connect(
                self._address(token),
                open_timeout=settings.connect_timeout_s,
                close_timeout=CLOSE_S,
                max_size=LARGEST_MESSAGE,
                ssl=self._trust(),
                compression=None,
                user_agent_header="pytest-vdkprobe",
                logger=_silent(),
            )
            # Entered by hand, since whoever listens closes it; some versions warn otherwise.
            return connection.__enter__(), token
        except InvalidStatus as exc:
            if about_login(exc):
                self.refuse(token)
            raise

    def refuse(self, token: Secret | None) -> None:
        """The server takes this token no more."""
        self._token.refuse(token)

    def close(self) -> None:
        """Give back what the authorizer's connections are."""
        self._token.close()

    def _address(self, token: Secret | None) -> str:
        settings = self.settings
        query = dict(settings.query)
        if token is not None:
            query[settings.token_parameter] = token.reveal()
        if not query:
            return settings.url
        joint = "&" if urlsplit(settings.url).query else "?"
        return f"{settings.url}{joint}{urlencode(query)}"

    def _trust(self) -> Any:
        import ssl  # noqa: PLC0415 - for wss alone

        if not self.settings.url.startswith("wss:"):
            return None
        context = ssl.create_default_context()
        if self.settings.ca_file is not None:
            context.load_verify_locations(self.settings.ca_file)
        if not self.settings.verify_tls:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


class Listener:
    """From `start()` to `stop()`; `add` takes its number and each message."""

    def __init__(
        self,
        number: int,
        connection: Connection,
        *,
        add: Callable[[tuple[int, str | bytes]], None],
        start_after_s: float,
    ) -> None:
        self.number = number
        self.connected = False
        self.begun = False
        """Whether it has ever tried: it may start later than the first."""
        self.failures = 0
        """Tries in a row that failed."""
        self.trouble = ""
        """Why the last one did, or how the last connection ended."""
        self.barred = False
        """Whether that was for our login."""
        self.ends = 0
        """Connections that ended by themselves."""
        self.ended_at: float | None = None
        """When the last of these did, on the monotonic clock."""
        self.heard = 0
        self.error: BaseException | None = None
        """A bug of ours that ended it."""
        self._connection = connection
        self._add = add
        self._start_after_s = start_after_s
        self._socket: ClientConnection | None = None
        self._token: Secret | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"vdkprobe-listener-{number + 1}", daemon=True
        )

    def connect_first(self) -> None:
        """Connect now, or raise what has to be mended: LoginError, TransportError."""
        self.begun = True
        try:
            self._socket, self._token = self._connection.open()
        except Exception as exc:  # noqa: BLE001 - told apart below
            self._refused(exc)
        self.connected = True

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; returns at once."""
        self._stopped.set()

    def join(self) -> None:
        """Close the connection, which ends the thread's waiting, and wait for it."""
        socket = self._socket
        if socket is not None:
            socket.close()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)

    def story(self) -> str:
        """What it went through, where that is news: reconnects, trouble."""
        if not self.ends and not self.failures:
            return ""
        now = "connected now"
        if not self.connected:
            now = f"not connected, {self.failures} tries in a row failed"
        return (
            f"listener {self.number + 1}: {now}, {self.heard} events heard, its connection ended "
            f"{self.ends} times; the last: {self.trouble}"
        )

    def _run(self) -> None:
        if self._socket is None:
            self._stopped.wait(self._start_after_s)
        try:
            while not self._stopped.is_set():
                self._connect()
                self._listen()
        except BaseException as exc:  # noqa: BLE001 - whoever asks next gets it
            self.error = exc
        finally:
            self.connected = False
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _connect(self) -> None:
        """Be connected, however many tries it takes, or stopped."""
        self.begun = True
        while self._socket is None and not self._stopped.is_set():
            try:
                self._socket, self._token = self._connection.open()
            except Exception as exc:  # noqa: BLE001 - whatever it is, the next try may work
                self.trouble, self.barred = _told(exc), about_login(exc)
                self._failed()

    def _listen(self) -> None:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 - loaded by now

        socket = self._socket
        if socket is None:
            return
        self.connected = True
        silent = Deadline.after(THROWN_OUT_S)
        heard_before = self.heard
        try:
            while not self._stopped.is_set():
                # Without a limit, which would cost as much as the message: `join` closes it.
                message = socket.recv()
                self._add((self.number, message))
                self.heard += 1
                self.failures = 0
        except (ConnectionClosed, OSError) as exc:
            if not self._stopped.is_set():
                self.ends += 1
                self.ended_at = time.monotonic()
                self.trouble, self.barred = _told(exc), about_login(exc)
                if self.barred:
                    self._connection.refuse(self._token)
        finally:
            # Whoever stops us may find no socket to close any more.
            socket.close()
        self.connected = False
        self._socket = None
        if self.heard == heard_before and (self.barred or not silent.expired):
            # Let in and thrown out: as good as refused.
            self._failed()
        else:
            self.failures = 0

    def _failed(self) -> None:
        """One more try that came to nothing: wait longer than after the one before."""
        self.failures += 1
        pause_s = self._connection.settings.backoff_s * 2 ** min(self.failures - 1, 16)
        self._stopped.wait(min(pause_s, LONGEST_PAUSE_S))

    def _refused(self, exc: Exception) -> NoReturn:
        """Raise what is wrong with the first connection of all."""
        from websockets.exceptions import InvalidStatus, InvalidURI  # noqa: PLC0415 - loaded by now

        place = self._connection.place
        if isinstance(exc, Finding):
            raise exc
        if isinstance(exc, InvalidStatus) and about_login(exc):
            raise LoginError(
                f"The websocket refused us: {_told(exc)}.",
                checked=place,
                to_try="check the token (reader.token, reader.authorizer) and what it is for "
                "(reader.query)",
            ) from exc
        if isinstance(exc, InvalidURI):
            raise ProbeError(
                "The websocket's address can't be used.", seen=_told(exc), checked=place
            ) from exc
        host = urlsplit(self._connection.settings.url).netloc
        raise TransportError(
            f"{host} lets nobody listen: {_told(exc)}.",
            checked=place,
            to_try="check the address: host, port and path (reader.url)",
        ) from exc


def about_login(exc: BaseException) -> bool:
    """Whether a connection failed or ended because the server did not take our login."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: PLC0415 - as above

    if isinstance(exc, InvalidStatus):
        return exc.response.status_code in LOGIN_STATUSES
    if isinstance(exc, ConnectionClosed):
        return exc.rcvd is not None and exc.rcvd.code in LOGIN_CODES
    return isinstance(exc, LoginError)


def _told(exc: BaseException) -> str:  # noqa: PLR0911 - one line for each kind
    """Why a connection failed or ended, on one line, without the address and its token."""
    from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: PLC0415 - as above

    if isinstance(exc, InvalidStatus):
        return f"it answers {status_line(exc.response.status_code)}"
    if isinstance(exc, ConnectionClosed):
        got = exc.rcvd
        if got is None:
            return "the connection was cut"
        return f"the server closed it, code {got.code}" + (f" ({got.reason})" if got.reason else "")
    if isinstance(exc, Finding):
        return exc.what
    if isinstance(exc, TimeoutError):
        return "no connection came about in time"
    if isinstance(exc, OSError):
        return excerpt((exc.strerror or str(exc) or type(exc).__name__).encode(), 120)
    return excerpt((str(exc) or type(exc).__name__).encode(), 120)


def _silent() -> Any:
    """The library's logger would write each reconnect, tokens included."""
    import logging  # noqa: PLC0415 - with the library

    logger = logging.getLogger("pytest_vdkprobe.websocket")
    logger.setLevel(logging.CRITICAL)
    return logger
