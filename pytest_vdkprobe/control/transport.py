"""One HTTP call: bounded in time and size whatever hangs, repeated only where that is harmless.

requests does the talking; this is what it leaves open. A call ends at the step's deadline even in
name resolution (see `worker`). Redirects are reported, not followed, so credentials stay with the
host that they were given to. No `.netrc` replaces our login, and no cookie is kept. Repetition is
for calls that may be made twice (GET, PUT, DELETE), after 502, 503, 504 or a cut connection: so a
restarting service looks; and after 429, when a gateway has counted too many. A 500 is the service's
word for a bug of its own, and is a finding.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from pytest_vdkprobe.connections.unverified import accept_unverified
from pytest_vdkprobe.control.body import LARGEST, BadPacking, TooBig, read_body
from pytest_vdkprobe.control.exchanges import ExchangeLog, conceal
from pytest_vdkprobe.control.network import Reason, Unanswered, unanswered
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import MASK, Secret
from pytest_vdkprobe.waiting import Deadline, pause
from pytest_vdkprobe.workers import SOCKET_GRACE_S, Abandoned, Job, Workers

if TYPE_CHECKING:
    import requests
    from requests.adapters import BaseAdapter
    from requests.models import PreparedRequest

REPEATED_METHODS = {"GET", "PUT", "DELETE"}
TOO_MANY = 429
REPEATED_STATUS = {TOO_MANY, 502, 503, 504}
FIRST_PAUSE_S = 0.05
LONGEST_RETRY_AFTER_S = 30.0
"""A gateway that counts calls says in Retry-After when it will take the next (RFC 6585); so long a
pause is kept to, a longer one would be an outage that nobody is told of."""
LAST_WORD_S = 0.5
"""A call that begins with less time than this gets this much: a wait's last poll comes exactly at
its deadline, and must be able to say what it saw. All ends within a second of the deadline."""

HUNG = {
    "resolving the name": Reason.NAME,
    "connecting": Reason.UNREACHABLE,
    "shaking hands for TLS": Reason.TLS,
    "asking the proxy for a tunnel": Reason.PROXY,
}
"""What a call that was given up in one of `worker.PHASES` suffered from; else it was TIMEOUT."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A call to make. Headers may hold secrets; they are opened in the thread that sends them."""

    method: str
    url: str
    op_id: str
    headers: Mapping[str, str | Secret] = {}
    body: bytes | Mapping[str, str | Secret] | None = None
    """Bytes, or the fields of a form."""
    repeatable: bool | None = None
    """None: as the method says."""
    confidential: bool = False
    """Neither body is shown anywhere."""

    @property
    def may_repeat(self) -> bool:
        """Whether making it twice does no more than making it once."""
        return self.method in REPEATED_METHODS if self.repeatable is None else self.repeatable


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; header names are in lower case. `body` is whole and unpacked."""

    status: int
    headers: dict[str, str]
    body: bytes
    elapsed_s: float
    retries: int = 0


def new_session() -> requests.Session:
    """A session as the transport wants it: add headers or adapters to it before use."""
    import requests  # noqa: PLC0415 - 57 ms, for a run that makes calls

    session = requests.Session()
    session.headers["User-Agent"] = "pytest-vdkprobe"
    # Packed answers are unpacked with care, but it is easier not to get them.
    session.headers["Accept-Encoding"] = "identity"
    return session


class Transport:
    """Makes calls for one client. `log` keeps them; `answered` knows who ever answered."""

    def __init__(
        self,
        settings: ControlSettings,
        *,
        log: ExchangeLog,
        session: requests.Session | None = None,
        largest_body: int = LARGEST,
    ) -> None:
        self._settings = settings
        self._session = session or new_session()
        self._owned = session is None
        self._verify = _verify(settings)
        self._largest_body = largest_body
        self._workers = Workers()
        self._surroundings: dict[str, dict[str, object]] = {}
        self._log = log
        self._answered: set[str] = set()
        self._concealed = {MASK}

    def close(self) -> None:
        """Give back threads and connections; a session that was handed in stays open."""
        self._workers.close()
        if self._owned:
            self._session.close()

    def answered(self, url: str) -> bool:
        """Whether anything at that address has answered a call of this client before."""
        return _origin(url) in self._answered

    def send(self, request: Request, *, deadline: Deadline | None) -> Answer:
        """Make the call, and again where that is harmless. Raises Unanswered."""
        started_at, started = datetime.now(UTC), time.monotonic()
        end = _end(deadline)
        attempts = _Attempts(request)
        notes: list[str] = []
        answer: Answer | None = None
        error: Unanswered | None = None
        try:
            while True:
                answer, error = self._attempt(request, attempts, end)
                if not self._worth_repeating(request, answer, error, attempts.made, end):
                    break
                notes.append(error.text if error else f"status {answer.status}" if answer else "")
                pause_s = FIRST_PAUSE_S * 2 ** (attempts.made - 1)
                pause(max(pause_s, _asked_pause_s(answer)), deadline=end)
                if end is not None and end.expired:
                    # Nothing new can be learnt: what was answered last is the cause.
                    notes.pop()
                    break
        finally:
            self._log.add(
                method=request.method,
                url=request.url,
                status=answer.status if answer else None,
                op_id=request.op_id,
                started_at=started_at,
                elapsed_s=time.monotonic() - started,
                request_headers=attempts.headers,
                request_body=request.body if isinstance(request.body, bytes) else b"",
                response_headers=answer.headers if answer else {},
                response_body=answer.body if answer else b"",
                retries=max(0, attempts.made - 1),
                notes=tuple(notes),
                error=error.text if error else None if answer else "left unfinished",
                confidential=request.confidential,
            )
        if answer is None:
            raise error or Unanswered(Reason.TIMEOUT, "the call was left unfinished")
        elapsed_s = time.monotonic() - started
        return msgspec.structs.replace(answer, elapsed_s=elapsed_s, retries=attempts.made - 1)

    def _worth_repeating(
        self,
        request: Request,
        answer: Answer | None,
        error: Unanswered | None,
        made: int,
        end: Deadline | None,
    ) -> bool:
        if not request.may_repeat or made > self._settings.retries or (end and end.expired):
            return False
        if answer is not None:
            return answer.status in REPEATED_STATUS
        reason = error.reason if error else None
        # A service that restarts refuses for a moment; one that never answered is not there.
        restarting = reason is Reason.REFUSED and self.answered(request.url)
        return restarting or reason is Reason.CUT

    def _attempt(
        self, request: Request, attempts: _Attempts, end: Deadline | None
    ) -> tuple[Answer | None, Unanswered | None]:
        limit_s = self._settings.connect_timeout_s + self._settings.read_timeout_s
        cut_by = f"{limit_s:g} s, as connect_timeout_s and read_timeout_s allow"
        if end is not None and end.remaining_s() < limit_s:
            limit_s, cut_by = end.remaining_s(), end.name
        if limit_s <= 0:
            return None, Unanswered(Reason.NOT_BEGUN, f"its time was up before it began ({cut_by})")
        attempts.made += 1
        attempts.limit_s = limit_s
        try:
            answer = self._workers.run(
                lambda job: self._exchange(request, attempts, job), timeout_s=limit_s
            )
        except Abandoned as abandoned:
            phase = abandoned.phase or "it was under way"
            text = f"given up after {limit_s:.1f} s ({cut_by}) while {phase}"
            return None, Unanswered(HUNG.get(abandoned.phase or "", Reason.TIMEOUT), text)
        except Unanswered as error:
            return None, error
        self._answered.add(_origin(request.url))
        return answer, None

    def _exchange(self, request: Request, attempts: _Attempts, job: Job[Answer]) -> Answer:
        """In the worker's thread: send, read, and put what went wrong into our own words."""
        reading = False
        host = urlsplit(request.url).hostname or ""
        try:
            prepared = self._prepare(request)
            attempts.headers = _shown(prepared.headers, request.headers)
            conceal(attempts.headers, known=self._concealed)
            settings = self._settings
            started = time.monotonic()
            raw = self._adapter(request.url).send(
                prepared,
                stream=True,
                timeout=(
                    min(settings.connect_timeout_s, attempts.limit_s + SOCKET_GRACE_S),
                    min(settings.read_timeout_s, attempts.limit_s + SOCKET_GRACE_S),
                ),
                **self._surroundings_of(request.url),  # type: ignore[arg-type]  # as requests made it
            )
            reading = True
            # A read that hangs ends when its socket does (urllib3 2.3 and later can do it).
            job.on_abandon = getattr(raw.raw, "shutdown", None)
            headers = {name.lower(): value for name, value in raw.headers.items()}
            whole = False
            try:
                body = b"" if job.abandoned else self._read(raw, headers, job)
                whole = not job.abandoned
            finally:
                job.on_abandon = None
                # Half an answer on a line would be taken for the next call's.
                raw.raw.release_conn() if whole else raw.raw.close()
            elapsed_s = time.monotonic() - started
            return Answer(status=raw.status_code, headers=headers, body=body, elapsed_s=elapsed_s)
        except Exception as exc:
            failure = self._failure(exc, host=host, reading=reading)
            if failure is None:
                raise
            # Without the library's exception: its frames hold the opened headers, and a traceback
            # with local variables would print them.
            raise failure from None

    def _read(self, raw: requests.Response, headers: Mapping[str, str], job: Job[Answer]) -> bytes:
        return read_body(
            raw.raw,
            packing=headers.get("content-encoding", ""),
            announced=headers.get("content-length"),
            limit=self._largest_body,
            unwanted=lambda: job.abandoned,
        )

    def _failure(self, exc: Exception, *, host: str, reading: bool) -> Unanswered | None:
        if isinstance(exc, TooBig):
            size = f"{self._largest_body / 1024 / 1024:g} MB"
            return Unanswered(Reason.TOO_BIG, f"the answer is larger than {size}")
        if isinstance(exc, BadPacking):
            return Unanswered(Reason.PACKING, f"the answer can't be unpacked: {exc}")
        return unanswered(exc, host=host, reading=reading)

    def _prepare(self, request: Request) -> PreparedRequest:
        import requests  # noqa: PLC0415 - 57 ms, for a run that makes calls

        body = request.body
        if isinstance(body, Mapping):
            body = {name: _open(value) for name, value in body.items()}
        return self._session.prepare_request(
            requests.Request(
                request.method,
                request.url,
                headers={name: _open(value) for name, value in request.headers.items()},
                data=body,
                # With no login of its own, requests would take one from .netrc or the URL.
                auth=self._session.auth or _leave_alone,
            )
        )

    def _adapter(self, url: str) -> BaseAdapter:
        # Straight to the adapter: the session's own send reads the body of a redirect, whole.
        return self._session.get_adapter(url)

    def _surroundings_of(self, url: str) -> dict[str, object]:
        """Proxies and TLS verification for that address, worked out once."""
        origin = _origin(url)
        if origin not in self._surroundings:
            merged = self._session.merge_environment_settings(url, {}, True, self._verify, None)
            self._surroundings[origin] = {
                "proxies": merged["proxies"],
                "verify": merged["verify"],
                "cert": merged["cert"],
            }
        found = self._surroundings[origin]
        if found["verify"] is False:
            accept_unverified()
        return found


class _Attempts:
    """What the attempts at one request share with the thread that makes them."""

    def __init__(self, request: Request) -> None:
        self.headers = _shown({}, request.headers)
        self.made = 0
        self.limit_s = 0.0


def _verify(settings: ControlSettings) -> bool | str | None:
    """What requests calls `verify`; None leaves it to the session and to REQUESTS_CA_BUNDLE."""
    if not settings.verify_tls:
        return False
    if settings.ca_file is None:
        return None
    path = Path(settings.ca_file).expanduser()
    try:
        text = path.read_text("ascii", "replace")
    except OSError as exc:
        raise ConfigError(
            f"The CA file can't be read: {exc.strerror}.",
            key="control.ca_file",
            value=settings.ca_file,
            to_try="Name the PEM file with the certificate that signed the service's own.",
        ) from exc
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigError(
            "The CA file holds no certificate.",
            key="control.ca_file",
            value=settings.ca_file,
            expected="a PEM file, with -----BEGIN CERTIFICATE-----",
            to_try="openssl x509 -inform der -in FILE -out ca.pem turns the binary form into PEM",
        )
    return str(path)


def _end(deadline: Deadline | None) -> Deadline | None:
    """When a call must have ended: at the deadline, or a moment later for a last word."""
    if deadline is None:
        return None
    last_word = min(time.monotonic(), deadline.at) + LAST_WORD_S
    return deadline if deadline.at > last_word else Deadline(last_word, deadline.name)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _asked_pause_s(answer: Answer | None) -> float:
    """How long a gateway that counts calls wants to be left alone."""
    after = answer.headers.get("retry-after", "") if answer and answer.status == TOO_MANY else ""
    return min(float(after[:9]), LONGEST_RETRY_AFTER_S) if after.isdecimal() else 0.0


def _open(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _shown(prepared: Mapping[str, str], given: Mapping[str, str | Secret]) -> dict[str, str]:
    """The headers as they may be kept: what was given as a secret is masked by name."""
    secret = {name.lower() for name, value in given.items() if isinstance(value, Secret)}
    names = prepared or given
    return {name: MASK if name.lower() in secret else str(names[name]) for name in names}


def _leave_alone(request: PreparedRequest) -> PreparedRequest:
    return request
