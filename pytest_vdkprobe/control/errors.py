"""How the Control Service goes wrong, in the words that a report needs.

What the service did wrong is a `ServiceFailure`. What looks the same but is ours, because nothing
has shown yet that address and login are right, is a `ProbeError`. Every text here may hold what a
stranger's server answered, so it is made printable and redacted before it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit, urlunsplit

from pytest_vdkprobe.control.models import ErrorMessage
from pytest_vdkprobe.errors import PlatformFailure, ProbeError
from pytest_vdkprobe.secrets import redact

EXCERPT = 400
"""Characters of an answer's body that a message quotes; the exchanges keep more."""

LONGEST_URL = 300
"""A GraphQL query travels in its URL, and would bury the line it stands in."""


class ServiceFailure(PlatformFailure):
    """The Control Service, or what stands in front of it, did something wrong.

    `status` is None when there was no answer. `ambiguous` says that the call may have had its
    effect all the same: read back before you repeat it. `explanation` holds the service's own what,
    why, consequences and countermeasures, where it gave them.
    """

    def __init__(
        self,
        what: str,
        *,
        status: int | None = None,
        method: str = "",
        url: str = "",
        op_id: str = "",
        explanation: ErrorMessage | None = None,
        ambiguous: bool = False,
        seen: str | None = None,
        expected: str | None = None,
        to_try: str | None = None,
    ) -> None:
        super().__init__(
            what, seen=seen, expected=expected, checked=checked(method, url, op_id), to_try=to_try
        )
        self.status = status
        self.method = method
        self.url = public_url(url)
        self.op_id = op_id
        self.explanation = explanation
        self.ambiguous = ambiguous


class NotAControlService(ProbeError):  # noqa: N818 - says what it is, as the other findings do
    """What answers at the configured address has never behaved like a Control Service."""


def checked(method: str, url: str, op_id: str) -> str:
    """The call as a report names it."""
    line = f"{method} {public_url(url)}".strip()
    return f"{line}  op id {op_id}" if op_id else line


def public_url(url: str) -> str:
    """`url` without user info and secrets, and no longer than a line."""
    try:
        parts = urlsplit(url)
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    except ValueError:
        # A redirect may name anything; without its parts, no part of it can be trusted.
        return "(an address that can't be read)"
    text = printable(redact(bare))
    return text if len(text) <= LONGEST_URL else text[: LONGEST_URL - 3] + "..."


def status_line(status: int) -> str:
    """`503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def printable(text: str | bytes) -> str:
    """`text` with everything escaped that a terminal obeys or that XML can't hold.

    Control characters, ANSI sequences, direction marks and invalid UTF-8 become visible escapes;
    line ends and tabs stay.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else _escaped(sign) for sign in text
    )


def excerpt(body: bytes, limit: int = EXCERPT) -> str:
    """The start of an answer's body, on one line, safe to print."""
    # Redacted before it is cut: half a secret would not be recognised any more.
    text = " ".join(redact(printable(body[: limit * 8])).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def redirected_to(headers: Mapping[str, str]) -> str:
    """Where an answer sends us, without its query: that may hold a token or a ticket."""
    location = headers.get("location", "nowhere")
    bare = location.partition("?")[0].partition("#")[0]
    return public_url(bare) + ("?..." if bare != location else "")


def explain(explanation: ErrorMessage | None) -> tuple[str | None, str | None]:
    """The service's explanation as the lines `Seen` and `To try`."""
    if explanation is None:
        return None, None
    told = [explanation.what, explanation.why, explanation.consequences]
    seen = " ".join(_line(part) for part in told if part and part.strip())
    return seen or None, _line(explanation.countermeasures or "") or None


def _line(text: str) -> str:
    return excerpt(text.encode("utf-8", "backslashreplace"))


def _escaped(sign: str) -> str:
    code = ord(sign)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
