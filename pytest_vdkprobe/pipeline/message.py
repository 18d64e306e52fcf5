"""A check as it travels: one JSON object, keyed by its website.

The first four fields are those of the pipeline before; `site` and the rest are what it lacked to
tell whose check a message is of, and why it has no code.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from pytest_vdkprobe.pipeline.slots import MICROSECONDS

LONGEST_ERROR = 200
EARLIEST_S = 946_684_800.0
"""2000-01-01: what is before, or after the next, was no moment of a check."""
LATEST_S = 4_102_444_800.0
"""2100-01-01."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check of one website."""

    unix_timestamp: Annotated[float, msgspec.Meta(ge=EARLIEST_S, lt=LATEST_S)]
    """The moment that it was due at."""
    returned_code: Annotated[int, msgspec.Meta(ge=100, le=999)] | None
    response_time: Annotated[float, msgspec.Meta(ge=0, lt=1e6)]
    """Seconds from the request to the last byte read, or to the error."""
    regexp: bool | None
    """Whether the body has the regular expression; None where there is none, or no body."""
    site: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    error: Annotated[str, msgspec.Meta(max_length=LONGEST_ERROR)] | None = None
    """Why there is no answer, or no whole one: `timeout`, `tls: ...`."""
    attempted_at: float | None = None
    """When it was really begun."""

    @property
    def slot_us(self) -> int:
        """The moment that it was due at, in microseconds since 1970."""
        return round(self.unix_timestamp * MICROSECONDS)


class MalformedError(Exception):
    """A message that is no check; the text says why."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Check).decode


def key_of(site: int) -> bytes:
    """The message's key: all checks of a website are in one partition, in order."""
    return str(site).encode()


def encoded(check: Check) -> bytes:
    """The message's value."""
    return _encode(check)


def decoded(value: bytes | None) -> Check:
    """The check in a message. Raises MalformedError."""
    if value is None:
        raise MalformedError("no value")
    try:
        check = _decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise MalformedError(str(exc)[:LONGEST_ERROR]) from exc
    if check.error is not None and "\0" in check.error:
        # PostgreSQL keeps no such text.
        raise MalformedError("error has a NUL character")
    return check
