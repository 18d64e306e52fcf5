"""What was asked and answered, kept for the report of a step that fails.

A verdict that names only its own conclusion can't be argued with; the requests and answers can be
attached to a ticket. They are kept as they were and redacted when they are read, so that a secret
that became known later is masked in them too, and their memory is bounded: a poll that brings the
same answer again only raises a count, and the oldest go first.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from datetime import datetime

import msgspec

from pytest_vdkprobe.control.errors import printable
from pytest_vdkprobe.secrets import MASK, REDACTOR, redact

LONGEST_BODY = 20_000
"""Characters of a body that are kept."""

MOST = 200
MOST_BYTES = 2_000_000

CONFIDENTIAL = re.compile(
    r"auth|cookie|token|secret|password|key|credential|signature|session", re.IGNORECASE
)
"""Headers whose values are never shown, whatever they hold."""
SHORTEST_CONCEALED = 8
"""Shorter values are masked in their header only: `true` must not vanish from every text."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer, fit to be shown.

    `retries` says how often the transport repeated it, and `notes` why; `times` how many equal
    exchanges in a row it stands for, as polls make them. `status` is None where no answer came,
    and `error` says why. `elapsed_s` is the last one's, repetitions and their pauses included.
    """

    method: str
    url: str
    status: int | None
    op_id: str
    started_at: datetime
    elapsed_s: float
    request_headers: dict[str, str]
    request_body: str
    response_headers: dict[str, str]
    response_body: str
    retries: int = 0
    notes: tuple[str, ...] = ()
    times: int = 1
    error: str | None = None


class Counts(msgspec.Struct):
    """Calls; what the transport repeated of them; what was repeated after reading back."""

    calls: int = 0
    retries: int = 0
    repeats: int = 0


class ExchangeLog:
    """The latest exchanges, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[_Kept] = deque()
        self._size = 0
        self.dropped = 0
        """How many were let go to keep the memory bounded."""
        self.counts = Counts()

    def clear(self) -> None:
        """Forget them, and count from zero."""
        self._kept.clear()
        self._size = self.dropped = 0
        self.counts = Counts()

    def add(
        self,
        *,
        method: str,
        url: str,
        status: int | None,
        op_id: str,
        started_at: datetime,
        elapsed_s: float,
        request_headers: Mapping[str, str],
        request_body: bytes,
        response_headers: Mapping[str, str],
        response_body: bytes,
        retries: int,
        notes: tuple[str, ...],
        error: str | None,
        confidential: bool,
    ) -> None:
        """Keep one. The bodies of a confidential one are not kept at all."""
        self.counts.calls += 1
        self.counts.retries += retries
        request, response = request_body, response_body
        if confidential:
            request, response = request and MASK.encode(), response and MASK.encode()
        # Twice of what is shown: a secret at the edge must be whole to be found.
        request, response = request[: 2 * LONGEST_BODY], response[: 2 * LONGEST_BODY]
        last = self._kept[-1] if self._kept else None
        same = (method, url, status, request, response)
        if last is not None and last.same == same and not notes and not last.notes and not error:
            last.times += 1
            last.elapsed_s = elapsed_s
            return
        kept = _Kept(
            same=same,
            op_id=op_id,
            started_at=started_at,
            elapsed_s=elapsed_s,
            request_headers=dict(request_headers),
            response_headers=dict(response_headers),
            retries=retries,
            notes=notes,
            error=error,
        )
        self._kept.append(kept)
        self._size += kept.size
        while len(self._kept) > MOST or (self._size > MOST_BYTES and len(self._kept) > 1):
            self._size -= self._kept.popleft().size
            self.dropped += 1

    def read(self) -> list[Exchange]:
        """All that is kept, as it may be shown."""
        return [kept.shown() for kept in self._kept]


class _Kept(msgspec.Struct, kw_only=True):
    """An exchange as it was. Its repr tells nothing: it would end up in a traceback."""

    same: tuple[str, str, int | None, bytes, bytes]
    op_id: str
    started_at: datetime
    elapsed_s: float
    request_headers: dict[str, str]
    response_headers: dict[str, str]
    retries: int
    notes: tuple[str, ...]
    error: str | None
    times: int = 1

    def __repr__(self) -> str:
        return "<exchange>"

    @property
    def size(self) -> int:
        return 1000 + len(self.same[1]) + len(self.same[3]) + len(self.same[4])

    def shown(self) -> Exchange:
        method, url, status, request, response = self.same
        return Exchange(
            method=method,
            url=_text(url),
            status=status,
            op_id=self.op_id,
            started_at=self.started_at,
            elapsed_s=round(self.elapsed_s, 6),
            request_headers=_headers(self.request_headers),
            request_body=_body(request, self.request_headers),
            response_headers=_headers(self.response_headers),
            response_body=_body(response, self.response_headers),
            retries=self.retries,
            notes=tuple(map(_text, self.notes)),
            times=self.times,
            error=None if self.error is None else _text(self.error),
        )


def confidential_header(name: str) -> bool:
    """Whether a header's value is never to be shown."""
    return CONFIDENTIAL.search(name) is not None


def conceal(headers: Mapping[str, str], *, known: set[str]) -> None:
    """Let nothing show what confidential headers hold: a user may have set them in plain.

    `known` are the values that were concealed before; new ones are added to it.
    """
    for name, value in headers.items():
        if value in known or not confidential_header(name):
            continue
        known.add(value)
        # `Bearer TOKEN`: the token must be found without the word as well.
        for part in (value, value.partition(" ")[2]):
            if len(part) >= SHORTEST_CONCEALED:
                REDACTOR.add(part)


def _text(text: str) -> str:
    # Redacted first: escaping would change a secret that has a control character in it.
    return printable(redact(text))


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        _text(name): MASK if confidential_header(name) else _text(value)[:LONGEST_BODY]
        for name, value in headers.items()
    }


def _body(body: bytes, headers: Mapping[str, str]) -> str:
    kinds = [value for name, value in headers.items() if name.lower() == "content-type"]
    if body and kinds and "octet-stream" in kinds[0]:
        return f"<{len(body)} bytes, or more, of {_text(kinds[0])[:80]}>"
    text = printable(redact(body.decode("utf-8", "backslashreplace")))
    return (
        text if len(text) <= LONGEST_BODY else text[:LONGEST_BODY] + f"... (cut at {LONGEST_BODY})"
    )
