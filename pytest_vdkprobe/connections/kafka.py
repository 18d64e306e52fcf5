"""How to reach a Kafka: one set of settings and one way in, for target, reader and pipeline.

kafka-python retries a connection until it gives up, and then says only that it did. So the way is
walked first on a plain socket (name, port, TLS), where every obstacle has a name, and what the
client logs on its own way is kept as the cause. What fails before the first record is ours: a
`ProbeError` with a remedy.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.kafka_sockets import Unopened, direct
from pytest_vdkprobe.connections.pem import client_context
from pytest_vdkprobe.errors import ConfigError, LoginError, ProbeError, TransportError
from pytest_vdkprobe.workers import Abandoned, Workers

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.admin import KafkaAdminClient

DEFAULT_PORT = 9092
OAUTHBEARER = "OAUTHBEARER"
RECONNECT_FIRST_MS = 100
RECONNECT_LONGEST_MS = 2000
"""kafka-python's own half minute would outlast a broker's restart and the wait for late records."""
_loading = threading.Lock()


class KafkaTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """TLS. Each certificate comes from a PEM file or, as PEM text, from a secret's place.

    Left empty (`tls = {}`), the brokers' certificates must be signed by an authority that this
    machine trusts.
    """

    ca_file: FilePath | None = None
    """The authority that signed the brokers' certificates."""
    ca: SecretRef | None = None
    certificate_file: FilePath | None = None
    """Ours, for brokers that want one."""
    certificate: SecretRef | None = None
    key_file: FilePath | None = None
    key: SecretRef | None = None
    key_password: SecretRef | None = None
    check_host: bool = True
    """Whether the certificate must be for the host that we connect to."""
    verify: bool = True

    def __post_init__(self) -> None:
        for name in ("ca", "certificate", "key"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                raise ValueError(f"{name}: is given beside {name}_file; choose one of the two")
        if (self.key or self.key_file) and not (self.certificate or self.certificate_file):
            raise ValueError("key: has no effect without a certificate; name certificate_file too")


class KafkaLogin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """SASL: a user and a password, or with OAUTHBEARER a token."""

    user: str | None = None
    password: SecretRef | None = None
    token: SecretRef | None = None
    """Read anew for each connection, so that a command or a file may renew it."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = "PLAIN"

    def __post_init__(self) -> None:
        if self.mechanism == OAUTHBEARER:
            if self.token is None:
                raise ValueError("token: is what OAUTHBEARER logs in with; name its place")
            if self.user or self.password:
                raise ValueError("user: has no effect with OAUTHBEARER; the token says who we are")
        else:
            if not self.user or self.password is None:
                raise ValueError(f"user: {self.mechanism} wants a user and a password")
            if self.token is not None:
                raise ValueError('token: goes with mechanism = "OAUTHBEARER"')

    @property
    def who(self) -> str:
        """Whom the brokers know us as, for messages."""
        return f"user {self.user}, {self.mechanism}" if self.user else self.mechanism


class KafkaConnection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the brokers are and how to log in; what target and reader settings begin with."""

    servers: tuple[str, ...]
    """`host:port` of one broker or more; the others are learnt from it."""
    tls: KafkaTls | None = None
    login: KafkaLogin | None = None
    client_id: str = "vdkprobe"
    connect_timeout_s: float = 5.0
    request_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.servers:
            raise ValueError('servers: empty; write servers = ["HOST:9092"]')
        for server in self.servers:
            host_and_port(server)
        for name in ("connect_timeout_s", "request_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0 seconds")

    @property
    def protocol(self) -> str:
        """As Kafka calls it: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        if self.login is None:
            return "PLAINTEXT" if self.tls is None else "SSL"
        return "SASL_PLAINTEXT" if self.tls is None else "SASL_SSL"

    @property
    def place(self) -> str:
        """The brokers as messages name them."""
        return ", ".join(self.servers)


def host_and_port(server: str) -> tuple[str, int]:
    """`host:port` in two. Raises ValueError, as a setting's own objection."""
    host, separator, port = server.rpartition(":")
    if not separator:
        host, port = server, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or "@" in host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"servers: {server!r} is no HOST:PORT; write for example kafka.local:9092")
    return host, int(port)


def driver() -> Any:
    """kafka-python, with `errors`; loaded when first asked for."""
    with _loading:
        return _load()


@cache
def _load() -> Any:
    """It reads its own files in a way that Python 3.11 and 3.12 call deprecated, which must not end
    a run that makes errors of warnings.

    Once, and in one thread: two that change the filters of warnings at a time mix them up.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import kafka.admin  # noqa: PLC0415 - 80 ms, for a run that meets Kafka
        import kafka.errors  # noqa: PLC0415 - as above
    return kafka


class KafkaClients:
    """Opens clients of one Kafka. The secrets are read when the first is opened."""

    def __init__(
        self, connection: KafkaConnection, *, base_dir: Path | None = None, key: str = "kafka"
    ) -> None:
        self.connection = connection
        self._base_dir = base_dir
        self._key = key
        self._common: dict[str, Any] | None = None

    def producer(self, **settings: object) -> KafkaProducer:
        """A producer, connected."""
        return self._open("KafkaProducer", settings)

    def consumer(self, **settings: object) -> KafkaConsumer:
        """A consumer, connected."""
        return self._open("KafkaConsumer", settings)

    def admin(self) -> KafkaAdminClient:
        """A client for topics and groups, connected."""
        return self._open("KafkaAdminClient", {})

    def obstacle(self) -> ProbeError | None:
        """What stands in the way to all brokers just now; None when one can be reached."""
        common = self._common if self._common is not None else self._settings()
        return _walk(self.connection, common.get("ssl_context"))

    def _open(self, name: str, settings: dict[str, object]) -> Any:
        connection = self.connection
        kind = getattr(driver(), name)
        if self._common is None:
            self._common = self._settings()
            if (obstacle := self.obstacle()) is not None:
                raise obstacle
        with _Causes() as causes, Unopened() as client:
            try:
                opened = kind(**{**self._common, **settings, "kafka_client": client.make})
            except Exception as exc:
                problem = unopened(connection, exc, causes.seen)
                if problem is None:
                    raise
                if isinstance(problem, TransportError):
                    # It could be reached once, and that may have been long ago.
                    problem = self.obstacle() or problem
                raise problem from exc
            client.opened()
            return opened

    def _settings(self) -> dict[str, Any]:
        """What all clients of this Kafka have in common."""
        connection = self.connection
        timeout_ms = int(connection.connect_timeout_s * 1000)
        common: dict[str, Any] = {
            "bootstrap_servers": list(connection.servers),
            "bootstrap_timeout_ms": timeout_ms,
            "client_id": connection.client_id,
            "request_timeout_ms": int(connection.request_timeout_s * 1000),
            "reconnect_backoff_ms": RECONNECT_FIRST_MS,
            "reconnect_backoff_max_ms": RECONNECT_LONGEST_MS,
            "security_protocol": connection.protocol,
            "proxy_url": direct(),
        }
        if connection.tls is not None:
            common["ssl_context"] = client_context(
                connection.tls, base_dir=self._base_dir, key=f"{self._key}.tls"
            )
            common["ssl_check_hostname"] = connection.tls.check_host
        if connection.login is not None:
            common |= self._login(connection.login)
        return common

    def _login(self, login: KafkaLogin) -> dict[str, Any]:
        def secret(place: SecretRef, name: str) -> str:
            return place.resolve(base_dir=self._base_dir, key=f"{self._key}.login.{name}").reveal()

        found: dict[str, Any] = {"sasl_mechanism": login.mechanism}
        if login.token is not None:
            place = login.token
            secret(place, "token")  # a place where there is none is told now
            found["sasl_oauth_token_provider"] = _provider(lambda: secret(place, "token"))
        if login.password is not None:
            found["sasl_plain_username"] = login.user
            found["sasl_plain_password"] = secret(login.password, "password")
        return found


def _provider(token: Callable[[], str]) -> Any:
    """What kafka-python asks for a token before each connection."""
    from kafka.net.sasl.oauth import AbstractTokenProvider  # noqa: PLC0415 - loaded by now

    class Provider(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python publishes no types
        def token(self) -> str:
            return token()

    return Provider()


def unopened(
    connection: KafkaConnection, exc: Exception, causes: list[Exception]
) -> ProbeError | None:
    """Why no client could be opened, in words of ours; None for what is a bug of ours."""
    errors = driver().errors
    checked = f"{connection.protocol} to {connection.place}"
    refused = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)
    for cause in (exc, *causes):
        if isinstance(cause, refused):
            login = connection.login
            who = login.who if login else "no login"
            return LoginError(
                f"Kafka refuses our login ({who}).",
                seen=_text(cause),
                checked=checked,
                to_try="check login.mechanism, and login.user and login.password, or login.token",
            )
    if isinstance(exc, errors.KafkaConfigurationError | ValueError | AssertionError):
        return ConfigError(f"kafka-python can't work with these settings: {_text(exc)}.")
    if not isinstance(exc, errors.KafkaError | OSError):
        return None
    seen = _text(causes[-1]) if causes else _text(exc)
    hint = {
        "PLAINTEXT": "does the port want TLS (tls) or a user (login)?",
        "SSL": "does the port want a certificate of ours (tls.certificate_file) or a user (login)?",
    }.get(connection.protocol, "brokers cut the line on a wrong password, token or mechanism, too")
    return TransportError(
        f"Kafka at {connection.place} can be reached, but does not speak with us.",
        seen=seen,
        expected=f"an answer within {connection.connect_timeout_s:g} s",
        checked=checked,
        to_try=f"look at the broker's log; {hint}",
    )


def _text(exc: BaseException) -> str:
    return str(exc).strip() or type(exc).__name__


def _walk(connection: KafkaConnection, context: ssl.SSLContext | None) -> ProbeError | None:
    """Go the way to one of the brokers on a socket of ours; what stands in the way."""
    problems: list[ProbeError] = []
    workers = Workers()
    limit_s = connection.connect_timeout_s
    for server in connection.servers:
        host, port = host_and_port(server)
        try:
            found = workers.run(
                lambda _job, host=host, port=port: _obstacle(host, port, context, limit_s),  # type: ignore[misc]
                timeout_s=2 * limit_s,
            )
        except Abandoned as abandoned:
            phase = abandoned.phase or "connecting"
            found = _unreachable(host, port, f"given up after {2 * limit_s:g} s while {phase}")
        if found is None:
            workers.close()
            return None
        problems.append(found)
    workers.close()
    return problems[0]


def _obstacle(
    host: str, port: int, context: ssl.SSLContext | None, timeout_s: float
) -> ProbeError | None:
    """What keeps a socket from getting through to a broker."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as plain:
            if context is not None:
                context.wrap_socket(plain, server_hostname=host).close()
    except socket.gaierror:
        return _unreachable(host, port, "the name is not known", "check the host's name and DNS")
    except ssl.SSLCertVerificationError as exc:
        return _unreachable(
            host,
            port,
            f"its certificate is not trusted: {exc.verify_message}",
            "name the authority that signed it: tls.ca_file",
        )
    except ssl.SSLError as exc:
        said = (exc.reason or _text(exc)).replace("_", " ").lower()
        return _unreachable(
            host, port, f"no TLS connection came about: {said}", "does that port speak TLS at all?"
        )
    except TimeoutError:
        return _unreachable(host, port, f"no connection within {timeout_s:g} s")
    except OSError as exc:
        return _unreachable(host, port, (exc.strerror or _text(exc)).lower())
    return None


def _unreachable(host: str, port: int, why: str, to_try: str | None = None) -> TransportError:
    return TransportError(
        f"Kafka at {host}:{port} can't be reached: {why}.",
        to_try=to_try or "check host and port, and firewalls between: is a broker running there?",
    )


class _Causes(logging.Handler):
    """The exceptions that kafka-python logs while it tries, instead of raising them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[Exception] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what the record tells of."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.seen += [argument for argument in arguments if isinstance(argument, Exception)]

    def __enter__(self) -> Self:
        logging.getLogger("kafka").addHandler(self)
        return self

    def __exit__(self, *exc: object) -> None:
        logging.getLogger("kafka").removeHandler(self)
