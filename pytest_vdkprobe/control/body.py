"""An answer's body, read in pieces and never more than allowed.

A server can send without end, and a few kilobytes can unpack to gigabytes. So both what comes over
the wire and what it unpacks to are counted, and the packing is undone here, a bounded piece at a
time, whatever the HTTP library's version would do.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

PIECE = 64 * 1024
LARGEST = 10 * 1024 * 1024
"""Bytes, unpacked. The largest honest answer is a log; ten megabytes of it are for a log store."""

AUTO = 32 + zlib.MAX_WBITS
"""zlib's word for: gzip or zlib, as the first bytes say (zlib manual, inflateInit2)."""

PACKINGS = {"gzip": AUTO, "x-gzip": AUTO, "deflate": AUTO}


class Body(Protocol):
    """What is read from: urllib3's response."""

    def read(self, amt: int, decode_content: bool) -> bytes:
        """At most `amt` bytes, as they came; none at the end."""


class TooBig(Exception):  # noqa: N818 - what is wrong with the body, for the transport to tell
    """The body is larger than allowed."""


class BadPacking(Exception):  # noqa: N818 - as above
    """The body is packed in a way that we don't know, or not as its header says."""


def read_body(
    raw: Body,
    *,
    packing: str = "",
    announced: str | None = None,
    limit: int = LARGEST,
    unwanted: Callable[[], bool] = lambda: False,
) -> bytes:
    """The whole body, unpacked.

    `packing` and `announced` are the headers Content-Encoding and Content-Length. `unwanted` is
    asked between the pieces and ends the reading. Raises TooBig and BadPacking.
    """
    if announced and announced.isdecimal() and int(announced[:20]) > limit:
        raise TooBig
    packing = packing.strip().lower()
    if packing in {"", "identity"}:
        return _collect(raw, limit, unwanted)
    if packing not in PACKINGS:
        raise BadPacking(f"Content-Encoding {packing[:40]!r}, which was not asked for")
    return _unpack(raw, limit, unwanted, PACKINGS[packing])


def _collect(raw: Body, limit: int, unwanted: Callable[[], bool]) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := raw.read(PIECE, decode_content=False):
        size += len(piece)
        if size > limit:
            raise TooBig
        pieces.append(piece)
        if unwanted():
            break
    return b"".join(pieces)


def _unpack(raw: Body, limit: int, unwanted: Callable[[], bool], wbits: int) -> bytes:
    unpacker = zlib.decompressobj(wbits)
    pieces: list[bytes] = []
    size = came = 0
    try:
        while piece := raw.read(PIECE, decode_content=False):
            came += len(piece)
            if came > limit:
                raise TooBig
            while piece and not unpacker.eof:
                out = unpacker.decompress(piece, PIECE)
                piece = unpacker.unconsumed_tail
                size += len(out)
                if size > limit:
                    raise TooBig
                pieces.append(out)
            if unwanted():
                break
        pieces.append(unpacker.flush())
    except zlib.error as exc:
        raise BadPacking("not packed as its Content-Encoding says") from exc
    if came and not unpacker.eof:
        raise BadPacking("packed data that ends in the middle")
    return b"".join(pieces)
