"""What websites answer that no website should: a result that can be written, and nobody waits."""

from __future__ import annotations

import asyncio

import pytest

from pytest_vdkprobe.pipeline.message import Check, decoded, encoded
from pytest_vdkprobe.pipeline.settings import PipelineDatabase, PipelineKafka, PipelineSettings
from pytest_vdkprobe.pipeline.sites import Site
from pytest_vdkprobe.pipeline.web import Web

SETTINGS = PipelineSettings(
    kafka=PipelineKafka(servers=("127.0.0.1:9",)),
    database=PipelineDatabase(host="127.0.0.1", port=9, user="me", database="monitoring"),
)
SLOT_US = 1_795_882_134_000_000
LONG_S = 10.0
"""Shorter than the minute that the slow decoder takes, longer than a busy machine."""


def body(charset: str, text: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=%s\r\n\r\n" % charset.encode() + text
    )


def answer(head: bytes) -> bytes:
    return head + b"\r\nContent-Length: 0\r\n\r\n"


async def checked(said: bytes) -> Check:
    """The check of a website that answers with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    site = Site(id=7, url=f"http://127.0.0.1:{port}/", pattern="x+", interval_s=1.0)
    async with server, Web(SETTINGS) as web:
        return await web.check(site, SLOT_US)


@pytest.mark.parametrize(
    ("said", "code", "found", "error"),
    [
        (answer(b"HTTP/1.1 302 Found\r\nLocation: http://[\xff\xfe"), None, None, "redirects"),
        (answer(b"HTTP/1.1 302 Found\r\nLocation: http://x\xff.invalid/"), None, None, "redirects"),
        (answer(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd"), None, None, "error"),
        (answer(b"HTTP/1.1 000 Nothing"), None, False, "protocol"),
        (answer(b"HTTP/1.1 1000 Much"), None, None, "protocol"),
        (answer(b"HTTP/1.1 200 \xff\xfe\xed\xa0\x80"), 200, False, None),
        (b"\xff\xfe\xed\xa0\x80\x00\r\n\r\n", None, None, "protocol"),
        (body("punycode", b"a-" + b"b9" * 500_000), 200, False, None),
        (body("idna", b"xxx"), 200, True, None),
        (body("undefined", b"xxx"), 200, True, None),
        (body("unicode_escape", rb"\ud800x"), 200, True, None),
        (body("no-such-thing", b"xxx"), 200, True, None),
        (body("utf-16", "xxx".encode("utf-16")), 200, True, None),
    ],
)
def test_whatever_is_answered_can_be_written_and_is_soon_read(
    said: bytes, code: int | None, found: bool | None, error: str | None
) -> None:
    check = asyncio.run(checked(said))
    assert decoded(encoded(check)) == check
    assert (check.returned_code, check.regexp) == (code, found), check
    assert (check.error and check.error.partition(":")[0]) == error, check
    assert check.response_time < LONG_S
