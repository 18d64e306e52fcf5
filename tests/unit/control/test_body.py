from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pytest_vdkprobe.control.body import BadPacking, TooBig, read_body

LIMIT = 200_000


class Raw:
    """A body that comes in pieces of `size`."""

    def __init__(self, content: bytes, size: int = 7_777) -> None:
        self.stream, self.size = io.BytesIO(content), size

    def read(self, amt: int, decode_content: bool) -> bytes:
        assert decode_content is False
        return self.stream.read(min(amt, self.size))


@given(content=some.binary(max_size=3000), size=some.integers(1, 2000))
def test_what_was_packed_comes_out_whatever_the_pieces(content: bytes, size: int) -> None:
    assert read_body(Raw(content, size)) == content
    assert read_body(Raw(gzip.compress(content), size), packing="gzip") == content
    assert read_body(Raw(zlib.compress(content), size), packing="Deflate") == content


@pytest.mark.parametrize("packing", ["", "gzip"])
def test_exactly_the_limit_is_allowed_and_one_more_is_not(packing: str) -> None:
    def body(size: int) -> Raw:
        return Raw(gzip.compress(b"x" * size) if packing else b"x" * size)

    assert len(read_body(body(LIMIT), packing=packing, limit=LIMIT)) == LIMIT
    with pytest.raises(TooBig):
        read_body(body(LIMIT + 1), packing=packing, limit=LIMIT)


def test_an_announced_size_over_the_limit_is_not_even_read() -> None:
    raw = Raw(b"x" * 10)
    with pytest.raises(TooBig):
        read_body(raw, announced="99999999999999999999999999", limit=LIMIT)
    assert raw.stream.tell() == 0


@pytest.mark.parametrize("packing", ["br", "gzip, gzip", "zstd", "x" * 500])
def test_other_packings_are_refused_by_name(packing: str) -> None:
    with pytest.raises(BadPacking, match="not asked for"):
        read_body(Raw(b"x"), packing=packing)


@pytest.mark.parametrize(
    "content", [b"not packed at all", gzip.compress(b"x" * 999)[:-9]], ids=["not packed", "cut"]
)
def test_wrongly_packed_bodies_are_refused(content: bytes) -> None:
    with pytest.raises(BadPacking):
        read_body(Raw(content), packing="gzip")


def test_an_empty_body_is_empty_whatever_its_packing() -> None:
    assert read_body(Raw(b""), packing="gzip") == b""


def test_reading_ends_when_nobody_waits_for_it() -> None:
    assert len(read_body(Raw(b"x" * 100, 10), unwanted=lambda: True)) == 10
