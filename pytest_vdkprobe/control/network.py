"""Why there was no answer, told from the HTTP library's exceptions in words of our own.

The library's texts hold object addresses, whole URLs and sometimes headers; what a report needs is
the reason, whether the request can have had an effect, and what to do about it.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from collections.abc import Iterator
from enum import Enum


class Reason(Enum):
    """Why a call has no answer, with what to try; `sent` says that it may have had an effect."""

    NAME = (False, "check the host's name, this machine's DNS, and its proxy settings")
    REFUSED = (False, "check host and port: is the service running there?")
    UNREACHABLE = (
        False,
        "check host and port, firewalls between, and this machine's proxy settings",
    )
    TLS_TRUST = (False, 'name the file with the certificate that signed it: ca_file = "ca.pem"')
    TLS_PLAIN = (False, "that port speaks no TLS: does the address begin with http:// instead?")
    TLS = (False, "look at the server's TLS settings, and at proxies between")
    PROXY = (False, "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY")
    LOCAL = (False, "this machine is short of something: files, memory or ports")
    INVALID = (False, "check the address and the headers that are added to calls")
    TIMEOUT = (True, "the service hangs or is overloaded: look at its load and its database")
    NOT_BEGUN = (False, "slow answers before it took the time, or this machine, if it is busy")
    CUT = (True, "the service or a proxy before it fell over: look at restarts and their logs")
    GARBLED = (True, "is there an HTTP server at this address?")
    TOO_BIG = (True, "look at what the service sends, and who asked for it")
    PACKING = (True, "a proxy may pack answers although it was asked not to")

    def __init__(self, sent: bool, to_try: str) -> None:
        self.sent = sent
        self.to_try = to_try


class Unanswered(Exception):  # noqa: N818 - on its way to becoming a finding
    """No usable answer came: the reason, and a text that says it without an internal in it."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


LOCAL = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENOBUFS}


def unanswered(exc: Exception, *, host: str, reading: bool) -> Unanswered | None:
    """The reason behind an exception of requests or urllib3; None for one that is a bug of ours.

    `reading`: the answer had begun, so the request was certainly sent.
    """
    from requests import exceptions as raised  # noqa: PLC0415 - loaded with the first call anyway

    causes = list(_chain(exc))
    oserror = next((each for each in causes if isinstance(each, OSError) and each.errno), None)
    if oserror is not None and oserror.errno in LOCAL and not isinstance(oserror, socket.gaierror):
        return Unanswered(Reason.LOCAL, f"this machine can't make connections: {oserror.strerror}")
    if reading:
        return _while_reading(causes)
    if isinstance(exc, raised.ProxyError):
        return Unanswered(Reason.PROXY, f"the proxy gave no way through ({_innermost(causes)})")
    if any(isinstance(each, socket.gaierror) for each in causes):
        return Unanswered(Reason.NAME, f"the name {host} is not known")
    for each in causes:
        if isinstance(each, ssl.SSLError):
            return _tls(each)
    return _connecting(exc, causes)


def _connecting(exc: Exception, causes: list[BaseException]) -> Unanswered | None:
    """The reason why a request got no answer at all."""
    from requests import exceptions as raised  # noqa: PLC0415 - loaded with the first call anyway

    types = {kind.__name__ for each in causes for kind in type(each).__mro__}
    told = f"what came is no HTTP answer ({_innermost(causes)})"
    cut = "the connection was cut before an answer"
    # The first that fits: a cut connection is an HTTPException too.
    for names, reason, text in (
        ({"ConnectionRefusedError"}, Reason.REFUSED, "the connection was refused"),
        (
            {"NewConnectionError"},
            Reason.UNREACHABLE,
            f"no connection came about ({_innermost(causes)})",
        ),
        ({"ConnectTimeout"}, Reason.UNREACHABLE, "no connection came about in time"),
        (
            {"ReadTimeout", "TimeoutError"},
            Reason.TIMEOUT,
            "the request was taken, and no answer came in time",
        ),
        (
            {"InvalidURL", "InvalidHeader", "InvalidSchema", "UnicodeError", "LocationParseError"},
            Reason.INVALID,
            f"the request can't be made ({type(exc).__name__})",
        ),
        ({"ConnectionResetError", "BrokenPipeError", "ConnectionAbortedError"}, Reason.CUT, cut),
        ({"HTTPException"}, Reason.GARBLED, told),
    ):
        if names & types:
            return Unanswered(reason, text)
    if isinstance(exc, raised.ConnectionError):
        return Unanswered(Reason.CUT, cut)
    return Unanswered(Reason.GARBLED, told) if isinstance(exc, raised.RequestException) else None


def _while_reading(causes: list[BaseException]) -> Unanswered | None:
    names = {type(each).__name__ for each in causes}
    if "ReadTimeoutError" in names or any(isinstance(each, TimeoutError) for each in causes):
        return Unanswered(Reason.TIMEOUT, "the answer began, and did not go on in time")
    if any(isinstance(each, OSError | http.client.HTTPException) for each in causes) or (
        names & {"ProtocolError", "IncompleteRead", "InvalidChunkLength"}
    ):
        return Unanswered(Reason.CUT, "the connection was cut in the middle of the answer")
    return None


def _tls(exc: ssl.SSLError) -> Unanswered:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return Unanswered(
            Reason.TLS_TRUST, f"its TLS certificate is not trusted: {exc.verify_message}"
        )
    if exc.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        return Unanswered(Reason.TLS_PLAIN, "it does not speak TLS")
    said = (exc.reason or "").replace("_", " ").lower() or "the connection was cut"
    return Unanswered(Reason.TLS, f"no TLS connection came about: {said}")


def _innermost(causes: list[BaseException]) -> str:
    """The last cause as the operating system names it, or its type."""
    for each in reversed(causes):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return type(causes[-1]).__name__


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """An exception and all that stand behind it, however the library hung them together."""
    seen: set[int] = set()
    todo: list[object] = [exc]
    while todo:
        each = todo.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        todo += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
