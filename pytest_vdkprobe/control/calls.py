"""A call to the Control Service, from login to judgement.

Between the transport, which knows HTTP, and the client, which knows data jobs: here a call gets its
login and op id, and an answer that is not wanted becomes a finding. Whose fault it is depends on
what has worked before: until something at that address has behaved like a Control Service, address
and login are under suspicion, and the finding is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from pytest_vdkprobe.control.auth import Auth, headers_of
from pytest_vdkprobe.control.errors import (
    NotAControlService,
    ServiceFailure,
    checked,
    excerpt,
    explain,
    redirected_to,
    status_line,
)
from pytest_vdkprobe.control.exchanges import ExchangeLog
from pytest_vdkprobe.control.models import DataJobApiInfo, ErrorMessage
from pytest_vdkprobe.control.network import Reason, Unanswered
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.control.transport import Answer, Request, Transport
from pytest_vdkprobe.errors import Finding, LoginError, ProbeError, TransportError
from pytest_vdkprobe.secrets import Secret
from pytest_vdkprobe.waiting import Deadline, pause

T = TypeVar("T")

DONE = frozenset({200, 201, 202, 204})
"""Which of them a command is answered with differs between the API's document and its service."""

NO_EFFECT_YET = frozenset({429, 502, 503, 504})
"""After these, and after a cut connection, nobody knows whether a command was carried out."""
WITHOUT_DOUBT = frozenset({Reason.TOO_BIG, Reason.PACKING, Reason.NOT_BEGUN})
"""Why a call has no usable answer although its effect is known."""

FIRST_REPEAT_PAUSE_S = 0.1


class Caller:
    """Makes calls with one login; `deadline` and `op_id` are those of the step under way."""

    def __init__(
        self,
        settings: ControlSettings,
        auth: Auth,
        transport: Transport,
        *,
        log: ExchangeLog,
        op_id: str,
    ) -> None:
        self.settings = settings
        self.auth = auth
        self.transport = transport
        self.log = log
        self.deadline: Deadline | None = None
        self.op_id = op_id
        self.recognised = False
        """Whether it has answered like a Control Service."""
        self.logged_in = False
        """Whether it has accepted our login."""
        self.repeated = False
        """Whether the transport made the last call more than once."""

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        document: object = None,
        body: bytes | None = None,
        wanted: frozenset[int] = DONE,
        absent: frozenset[int] = frozenset(),
        accept: str = "application/json",
        op_id: str | None = None,
        repeatable: bool | None = None,
        confidential: bool = False,
        public: bool = False,
    ) -> Answer | None:
        """Make a call; None when the answer's status is in `absent` and it is the service's own.

        `document` is sent as JSON, `body` as it is. `public` ones go without login.
        """
        url = self.settings.url + path
        if query:
            url += "?" + urlencode(query, doseq=True, quote_via=quote)
        headers = {"Accept": accept, "X-OPID": op_id or self.op_id}
        if document is not None:
            body, headers["Content-Type"] = msgspec.json.encode(document), "application/json"
        elif body is not None:
            headers["Content-Type"] = "application/octet-stream"
        request = Request(
            method=method,
            url=url,
            op_id=op_id or self.op_id,
            headers=headers,
            body=body,
            repeatable=repeatable,
            confidential=confidential,
        )
        answer = self._send_public(request) if public else self._send(request)
        self.repeated = answer.retries > 0
        if answer.status in wanted:
            if _is_page(answer):
                # A login portal answers everything with its page, commands too, and does nothing.
                seen = (
                    f"a web page of {len(answer.body)} bytes" if confidential else _contents(answer)
                )
                raise self.unfit(answer, seen, method=method, path=path)
            return answer
        own = _own_words(answer)
        if own and answer.status < 500 and answer.status not in {401, 403} and not public:
            # Anything may say "not found". Only of a Control Service does it mean that a job is
            # gone, and cleanup must not believe it of a wrong address.
            self._recognise(path)
        if own and answer.status in absent:
            return None
        raise self._judge(request, answer, public=public)

    def info(self) -> DataJobApiInfo:
        """What the service is. The call that shows whether it is one."""
        path = self._info_path
        return self.decode(self.need("GET", path), DataJobApiInfo, method="GET", path=path)

    def need(self, method: str, path: str, **options: Any) -> Answer:
        """A `call` whose answer can't be absent."""
        answer = self.call(method, path, **options)
        if answer is None:
            raise TypeError("need() takes no `absent`")
        return answer

    @property
    def _info_path(self) -> str:
        return f"/data-jobs/for-team/{segment(self.settings.team)}/info"

    def _recognise(self, path: str) -> None:
        if not self.recognised and path != self._info_path:
            self.info()

    def page(self, url: str) -> str:
        """A web page beside the service: 200 and HTML, or it is not there."""
        request = Request(method="GET", url=url, op_id=self.op_id, headers={"Accept": "text/html"})
        answer = self._send_public(request)
        text = answer.body.decode("utf-8", "backslashreplace")
        if answer.status == 200 and "<html" in text[:4096].lower():
            return text
        raise ServiceFailure(
            "The frontend does not show a page.",
            status=answer.status,
            method="GET",
            url=url,
            op_id=self.op_id,
            seen=f"{status_line(answer.status)}, {_contents(answer)}",
            expected="200 with an HTML page",
        )

    def decode(self, answer: Answer, kind: type[T], *, method: str, path: str) -> T:
        """The answer's JSON as `kind`; what does not fit is named with its place in it."""
        try:
            document = msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            raise self.unfit(answer, _why_unfit(answer, exc), method=method, path=path) from exc
        self.recognised = True
        return document

    def unfit(self, answer: Answer, why: str, *, method: str, path: str) -> Finding:
        """The finding for an answer with a good status and the wrong content."""
        url = self.settings.url + path
        what = f"{method} {path} answered {answer.status} with something else than was asked for."
        if not self.recognised:
            return self._stranger(what, why, method=method, url=url)
        return ServiceFailure(
            what,
            status=answer.status,
            method=method,
            url=url,
            op_id=self.op_id,
            seen=why,
            to_try="a proxy or login page before the service, or another version of its API",
        )

    def unless_done(self, act: Callable[[], T], done: Callable[[], T | None]) -> T:
        """Act; when it stays unknown whether that had its effect, look, and repeat only if not.

        `done` looks and returns what `act` would have, or None. It is also asked when a repeated
        act is refused with 409, which is how an effect that came late shows.
        """
        attempt = 0
        doubtful: ServiceFailure | None = None
        while True:
            try:
                return act()
            except ServiceFailure as failure:
                if not failure.ambiguous and not (doubtful and failure.status == 409):
                    raise
                found = self._look(done, failure)
                if found is not None:
                    return found
                spent = self.deadline is not None and self.deadline.expired
                if not failure.ambiguous or attempt >= self.settings.retries or spent:
                    raise
                doubtful = failure
            pause(FIRST_REPEAT_PAUSE_S * 2**attempt, deadline=self.deadline)
            attempt += 1
            self.log.counts.repeats += 1

    def _look(self, done: Callable[[], T | None], failure: ServiceFailure) -> T | None:
        try:
            return done()
        except Finding as finding:
            # The first cause stays the cause; that looking failed as well stands behind it.
            raise failure from finding

    def post_form(
        self, url: str, fields: Mapping[str, str | Secret], headers: Mapping[str, str | Secret]
    ) -> Answer:
        """Ask a token endpoint. A grant changes nothing, so it may be asked for again."""
        return self._send_public(
            Request(
                method="POST",
                url=url,
                op_id=self.op_id,
                headers=headers,
                body=fields,
                repeatable=True,
                confidential=True,
            )
        )

    def _send(self, request: Request) -> Answer:
        """With login; a 401 had no effect, so any method is repeated once with a new token."""
        for again in (True, False):
            login = headers_of(self.auth, self.post_form)
            signed = msgspec.structs.replace(request, headers={**request.headers, **login})
            answer = self._send_public(signed)
            if answer.status != 401 or not again or not self.auth.refresh():
                break
            self.log.counts.repeats += 1
        done = answer.status in DONE and not _is_page(answer)
        if done or (answer.status in {404, 409} and _own_words(answer)):
            self.logged_in = True
        return answer

    def _send_public(self, request: Request) -> Answer:
        before = self.transport.answered(request.url)
        try:
            return self.transport.send(request, deadline=self.deadline)
        except Unanswered as error:
            raise self._silent(request, error, answered=before) from error

    def _silent(self, request: Request, error: Unanswered, *, answered: bool) -> Finding:
        """The finding for a call without a usable answer."""
        reason = error.reason
        answered = answered or self.transport.answered(request.url)
        host = urlsplit(request.url).netloc.rpartition("@")[2]
        path = urlsplit(request.url).path
        if reason in {Reason.LOCAL, Reason.INVALID} or not answered:
            silent = "was not asked" if reason is Reason.NOT_BEGUN else "gives no answer"
            return TransportError(
                f"{host} {silent}: {error.text}.",
                checked=checked(request.method, request.url, request.op_id),
                to_try=reason.to_try,
            )
        silent = "was not sent" if reason is Reason.NOT_BEGUN else "has no answer"
        return ServiceFailure(
            f"{request.method} {path} {silent}: {error.text}.",
            method=request.method,
            url=request.url,
            op_id=request.op_id,
            seen=f"{host} did answer earlier in this run",
            ambiguous=not request.may_repeat and reason not in WITHOUT_DOUBT,
            to_try=reason.to_try,
        )

    def _judge(self, request: Request, answer: Answer, *, public: bool) -> Finding:
        """The finding for an answer with a status that was not wanted."""
        status = answer.status
        what = f"{request.method} {urlsplit(request.url).path} answered {status_line(status)}."
        explanation = explanation_of(answer)
        seen, to_try = explain(explanation)
        if seen is None:
            seen = "(not shown: confidential)" if request.confidential else _contents(answer)
        if status in {401, 403} and not public and not self.logged_in:
            return self._refused(request, status, seen if explanation else None)
        if status == 407:
            line = checked(request.method, request.url, request.op_id)
            return TransportError(what, checked=line, to_try=Reason.PROXY.to_try)
        if 300 <= status < 400:
            location = redirected_to(answer.headers)
            seen = f"a redirect to {location}, which is not followed: our login is for this host"
            to_try = "write the address that it redirects to, if that is the service"
        if status < 500 and not self.recognised and explanation is None and not public:
            return self._stranger(what, seen, method=request.method, url=request.url, to_try=to_try)
        return ServiceFailure(
            what,
            status=status,
            method=request.method,
            url=request.url,
            op_id=request.op_id,
            explanation=explanation,
            ambiguous=status in NO_EFFECT_YET and not request.may_repeat,
            seen=seen,
            to_try=to_try,
        )

    def _refused(self, request: Request, status: int, why: str | None) -> LoginError:
        kind = self.auth.kind
        what = (
            "The service wants a login, and none is configured."
            if kind == "none"
            else f"The service refuses our login ({kind})."
        )
        return LoginError(
            what,
            seen=status_line(status) + (f": {why}" if why else ""),
            checked=checked(request.method, request.url, request.op_id),
            to_try='set control.auth, e.g. { kind = "api-token", url = ..., token = { env = ... } }'
            if kind == "none"
            else f"check control.auth, and that it may act for team {self.settings.team}",
        )

    def _stranger(
        self, what: str, seen: str | None, *, method: str, url: str, to_try: str | None = None
    ) -> NotAControlService:
        host = urlsplit(url).netloc
        return NotAControlService(
            f"What answers at {host} does not behave like a Control Service: {what}",
            seen=seen,
            expected="the answers of the VDK Control Service API",
            checked=checked(method, url, self.op_id),
            to_try=to_try or "check control.url: scheme, host, port, and no path behind them",
        )


def segment(name: str) -> str:
    """One part of a path, encoded. Refuses what would address something else."""
    if not name.strip() or name in {".", ".."}:
        raise ProbeError(f"{name!r} can't be the name of anything on the platform.")
    return quote(name, safe="")


def explanation_of(answer: Answer) -> ErrorMessage | None:
    """The service's own explanation of an error, where its answer holds one."""
    try:
        return msgspec.json.decode(answer.body, type=ErrorMessage)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _own_words(answer: Answer) -> bool:
    """Whether a refusal comes from the service itself.

    It says so with its four fields, or with no body at all. Its framework's page for an unknown
    path, a proxy's and a web server's have other bodies: they say nothing about a data job.
    """
    return not answer.body or explanation_of(answer) is not None


def _is_page(answer: Answer) -> bool:
    """Whether it is a web page, whatever its header says: the service has none of these."""
    start = answer.body[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


def _contents(answer: Answer) -> str:
    if not answer.body:
        return "an empty answer"
    kind = excerpt(answer.headers.get("content-type", "no type").encode(), 60)
    return f"{len(answer.body)} bytes ({kind}): {excerpt(answer.body)}"


def _why_unfit(answer: Answer, exc: Exception) -> str:
    if not answer.body:
        return "an empty answer, where JSON belongs"
    if isinstance(exc, msgspec.ValidationError):
        return excerpt(str(exc).encode("utf-8", "backslashreplace"))
    if isinstance(exc, RecursionError):
        return f"JSON nested too deep to be read ({len(answer.body)} bytes)"
    return f"not JSON: {_contents(answer)}"
