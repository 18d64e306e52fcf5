"""How to reach a Trino: one set of settings and one way in, for target and reader.

Trino's client repeats requests that fail, as its protocol asks for after a 502, 503 or 504. Here it
does so for what only reads, since a repeated INSERT might insert twice. Each statement carries its
deadline as a session property, so that the server ends it even when nobody is left to ask for it.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.engines import TRINO
from pytest_vdkprobe.connections.sql import GRACE_S, Fate, Name, Row, SqlError, one_line
from pytest_vdkprobe.connections.unverified import accept_unverified
from pytest_vdkprobe.errors import ConfigError, LoginError, ProbeError, TransportError
from pytest_vdkprobe.workers import Abandoned, Job, Workers

if TYPE_CHECKING:
    from pytest_vdkprobe.waiting import Deadline

HTTP_PORT = 8080
HTTPS_PORT = 443
STREAMED = 500
READS = {"SELECT", "SHOW", "WITH", "DESCRIBE"}
READ_TRIES = 4
"""With the client's own pauses between them, that double from a tenth of a second."""

LEFT_OPEN = {
    "ABANDONED_QUERY",
    "EXCEEDED_TIME_LIMIT",
    "HIVE_METASTORE_ERROR",
    "ICEBERG_COMMIT_ERROR",
    "REMOTE_HOST_GONE",
    "SERVER_SHUTTING_DOWN",
}
"""Errors (Trino's StandardErrorCode, Hive's and Iceberg's own) that may come when a commit was
under way: nobody knows then. After any other error a statement has no effect."""
TIMED_OUT = {"EXCEEDED_TIME_LIMIT", "EXCEEDED_QUEUED_TIME_LIMIT"}


class TrinoTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """HTTPS. Left empty (`tls = {}`), the server's certificate must be signed by an authority that
    Python's requests trusts."""

    ca_file: FilePath | None = None
    """The authority that signed the server's certificate."""
    certificate_file: FilePath | None = None
    """Ours, for servers that want one."""
    key_file: FilePath | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file: goes with key_file; name both or neither")
        if self.ca_file and not self.verify:
            raise ValueError("ca_file: has no effect while verify is false; choose one")


class TrinoConnection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the coordinator is and how to log in; what target and reader settings begin with."""

    host: str
    port: int = 0
    """0: 443 with tls, 8080 without."""
    user: str = "vdkprobe"
    password: SecretRef | None = None
    token: SecretRef | None = None
    """A JSON web token, instead of a password."""
    tls: TrinoTls | None = None
    catalog: str | None = None
    """Where a table lies that is named without one; and so with `schema`."""
    schema: str | None = None
    source: str = "vdkprobe"
    """Resource groups and Trino's own log tell queries apart by it."""
    session: dict[str, str] = msgspec.field(default_factory=dict)
    """Session properties by name."""
    request_timeout_s: float = 30.0
    """For one request; a statement takes several."""
    statement_timeout_s: float = 300.0
    """For one statement, where the step does not end sooner."""

    def __post_init__(self) -> None:
        for name in ("host", "user"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name}: empty")
        if "/" in self.host:
            raise ValueError("host: a name without https:// and path; for HTTPS write tls = {}")
        if not 0 <= self.port < 65536:
            raise ValueError("port: must be 1 to 65535")
        if self.password and self.token:
            raise ValueError("token: is given beside password; choose one of the two")
        if (self.password or self.token) and self.tls is None:
            raise ValueError("tls: a password or token is not sent in plain; write tls = {}")
        for name in ("request_timeout_s", "statement_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0 seconds")
        if not self.port:
            port = HTTP_PORT if self.tls is None else HTTPS_PORT
            msgspec.structs.force_setattr(self, "port", port)

    @property
    def place(self) -> str:
        """The coordinator, as messages and leases name it."""
        return f"{self.host}:{self.port}"


class TrinoDatabase:
    """One Trino. It keeps no session, so each statement stands for itself. Not for several threads
    at once."""

    engine = TRINO

    def __init__(
        self, connection: TrinoConnection, *, base_dir: Path | None = None, key: str = "trino"
    ) -> None:
        self.settings = connection
        self._base_dir = base_dir or Path()
        self._key = key
        self._http: Any = None
        self._auth: Any = None
        self._workers = Workers()

    @property
    def place(self) -> str:
        """The coordinator."""
        return self.settings.place

    def run(self, sql: str, parameters: Row = (), *, deadline: Deadline) -> list[Row]:
        """The rows of one statement."""
        rows: list[Row] = []
        self.stream(sql, parameters, rows.append, deadline=deadline)
        return rows

    def stream(
        self, sql: str, parameters: Row, take: Callable[[Row], None], *, deadline: Deadline
    ) -> None:
        """Hand each row to `take`, as the server makes them.

        Raises SqlError; whether a write had its effect is in its `fate`.
        """
        # Imported here: 47 ms, and requests 57, that only their users shall pay.
        import requests  # noqa: PLC0415
        import trino  # noqa: PLC0415

        limit = deadline.within(self.settings.statement_timeout_s)
        cursors: list[Any] = []

        def call(job: Job[None]) -> None:
            tries = READ_TRIES if sql.split(maxsplit=1)[0].upper() in READS else 1
            cursor = self._connect(limit, tries).cursor()
            cursors.append(cursor)
            job.on_abandon = lambda: _cancel(cursor)
            for row in _rows(cursor, sql, parameters):
                take(row)

        try:
            self._workers.run(call, timeout_s=limit.remaining_s() + GRACE_S)
        except Abandoned as exc:
            self._forget()
            said = "no answer in time" + (f", {exc.phase}" if exc.phase else "")
            raise SqlError(said, fate=Fate.UNKNOWN, timed_out=True) from exc
        except trino.exceptions.TrinoQueryError as exc:
            raise query_error(exc) from exc
        except trino.exceptions.HttpError as exc:
            raise self._http_error(exc, began=bool(cursors and cursors[0].query_id)) from exc
        except (trino.exceptions.Error, requests.RequestException, OSError) as exc:
            self._forget()
            raise self._unanswered(exc, limit) from exc

    def stream_numbers(
        self, sql: str, parameters: Row, take: Callable[[Row], None], *, deadline: Deadline
    ) -> None:
        """As `stream`."""
        self.stream(sql, parameters, take, deadline=deadline)

    def _connect(self, limit: Deadline, tries: int) -> Any:
        import trino  # noqa: PLC0415 - as above

        settings = self.settings
        if self._http is None:
            self._log_in()
        if settings.tls is not None and not settings.tls.verify:
            accept_unverified()
        left_s = max(0.001, limit.remaining_s())
        return trino.dbapi.connect(  # type: ignore[no-untyped-call]  # trino has none
            host=settings.host,
            port=settings.port,
            user=settings.user,
            source=settings.source,
            catalog=settings.catalog,
            schema=settings.schema,
            http_scheme="http" if settings.tls is None else "https",
            auth=self._auth,
            http_session=self._http,
            session_properties={
                **settings.session,
                "query_max_run_time": f"{max(1, int(left_s * 1000))}ms",
            },
            timezone="UTC",
            max_attempts=tries,
            request_timeout=min(settings.request_timeout_s, left_s + GRACE_S / 2),
        )

    def _log_in(self) -> None:
        import trino  # noqa: PLC0415 - as above

        settings = self.settings
        http = _session()
        if settings.tls is not None:
            http.verify = settings.tls.verify
            if settings.tls.ca_file:
                http.verify = self._file("ca_file", settings.tls.ca_file)
            if settings.tls.certificate_file and settings.tls.key_file:
                http.cert = (
                    self._file("certificate_file", settings.tls.certificate_file),
                    self._file("key_file", settings.tls.key_file),
                )
        if settings.password:
            secret = settings.password.resolve(base_dir=self._base_dir, key=f"{self._key}.password")
            self._auth = trino.auth.BasicAuthentication(settings.user, secret.reveal())
        elif settings.token:
            secret = settings.token.resolve(base_dir=self._base_dir, key=f"{self._key}.token")
            self._auth = trino.auth.JWTAuthentication(secret.reveal())
        self._http = http

    def _file(self, name: str, given: str) -> str:
        path = self._base_dir / given
        if not os.access(path, os.R_OK):
            why = "may not be read" if path.exists() else "is not there"
            raise ConfigError(
                f"The file {path} {why}.",
                key=f"{self._key}.tls.{name}",
                to_try="check the path (relative ones start from the configuration's folder)",
            )
        return str(path)

    def _http_error(self, exc: Exception, *, began: bool) -> Exception:
        """What an answer means that is not Trino's own."""
        said = one_line(exc)
        status = said.removeprefix("error ")[:3]
        if status in {"401", "403"} and not began:
            return LoginError(
                f"Trino at {self.place} refuses our login ({status}).",
                seen=said,
                checked=f"user {self.settings.user}; settings {self._key}.user, password, token",
                to_try="check user, password and token",
            )
        # 4xx comes before a statement is looked at; a proxy's 5xx says nothing of what is behind.
        refused = status.startswith("4") and not began
        return SqlError(said, fate=Fate.REFUSED if refused else Fate.UNKNOWN)

    def _unanswered(self, exc: Exception, limit: Deadline) -> Exception:
        """What it means that no answer came, or none at all of HTTP."""
        causes = list(_chain(exc))
        settings = self.settings
        host = f"{settings.host}:{settings.port}"
        for kind, why, to_try in (
            (socket.gaierror, "the name is not known", "check the host's name and DNS"),
            (
                ssl.SSLCertVerificationError,
                "its certificate is not trusted",
                "name the authority that signed it: tls.ca_file",
            ),
            (ssl.SSLError, "no TLS connection came about", "does that port speak TLS at all?"),
            (
                ConnectionRefusedError,
                "the connection was refused",
                "check host and port: is Trino up there?",
            ),
        ):
            found = next((each for each in causes if isinstance(each, kind)), None)
            if found is not None:
                # Nothing was sent yet.
                return self._unreached(host, why, one_line(found), to_try)
        names = {type(each).__name__ for each in causes}
        if names & {"ConnectTimeout", "ConnectTimeoutError", "NewConnectionError"}:
            return self._unreached(
                host, "no connection came about", one_line(causes[-1]), "check host and port"
            )
        if names & {"ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
            said = f"no answer within {min(settings.request_timeout_s, 1e9):g} s"
            return SqlError(said, fate=Fate.UNKNOWN, timed_out=limit.expired)
        return SqlError(f"the connection was lost: {one_line(exc)}", fate=Fate.UNKNOWN)

    def _unreached(self, host: str, why: str, seen: str, to_try: str) -> ProbeError:
        spoken = "http" if self.settings.tls is None else "https"
        return TransportError(
            f"Trino at {host} can't be reached: {why}.",
            seen=seen,
            checked=f"{spoken}, user {self.settings.user}",
            to_try=to_try,
        )

    def _forget(self) -> None:
        """Begin anew with the next statement: the connections may hang."""
        self._http = None

    def close(self) -> None:
        """Let go of the server. May be called again."""
        if self._http is not None:
            http, self._http = self._http, None
            http.close()
        self._workers.close()


def _session() -> Any:
    """A session of requests whose own `verify` counts, where there is one.

    Otherwise REQUESTS_CA_BUNDLE in the environment would go before an authority that is configured.
    """
    import requests  # noqa: PLC0415 - as above

    class Session(requests.Session):
        def merge_environment_settings(  # type: ignore[no-untyped-def]  # as requests has it
            self, url, proxies, stream, verify, cert
        ):
            verify = self.verify if verify is None else verify
            return super().merge_environment_settings(url, proxies, stream, verify, cert)

    return Session()


def table_name(connection: TrinoConnection, text: str) -> Name:
    """The table that a setting names, in full. Raises ValueError, as the setting's own objection.

    Trino knows no capitals in names.
    """
    parts = Name.of(text).parts
    defaults = (connection.catalog, connection.schema)
    whole = (*(part.lower() for part in defaults[: 3 - len(parts)] if part), *parts)
    if len(parts) > 3 or len(whole) != 3:
        raise ValueError(
            f"table: {text!r} does not say where; write catalog.schema.table, or set catalog and"
            " schema"
        )
    return Name(tuple(part.lower() for part in whole))


def _rows(cursor: Any, sql: str, parameters: Row) -> Iterator[Row]:
    with _understood():
        cursor.execute(sql, list(parameters))
    rows: list[Row] = [()]
    while rows:
        with _understood():
            rows = cursor.fetchmany(STREAMED)
        yield from rows


@contextmanager
def _understood() -> Iterator[None]:
    """The client takes all that comes with 200 for Trino's; a proxy may have cut it, or made it."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise SqlError(f"an answer that is not Trino's: {exc!r}", fate=Fate.UNKNOWN) from exc


def _cancel(cursor: Any) -> None:
    """Ask the server to end the statement, without waiting whether it does."""

    def ask() -> None:
        with suppress(Exception):  # it ends by itself at its deadline
            cursor.cancel()

    threading.Thread(target=ask, name="vdkprobe-trino-cancel", daemon=True).start()


def query_error(exc: Any) -> SqlError:
    """What the server said of a statement, and what that says of its fate."""
    name = exc.error_name or ""
    return SqlError(
        one_line(exc.message),
        fate=Fate.UNKNOWN if name in LEFT_OPEN else Fate.REFUSED,
        code=name,
        timed_out=name in TIMED_OUT,
    )


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """An exception and all that stand behind it, however the libraries hung them together."""
    todo: list[object] = [exc]
    seen: set[int] = set()
    while todo:
        each = todo.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        todo += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
