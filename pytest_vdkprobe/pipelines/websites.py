"""Websites of our own, whose answers are known: what the pipeline is given to check.

Each keeps account of who asked: a request of the pipeline says which check it is of, so a check
that was never made is told from one whose message was lost.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Self

from pytest_vdkprobe.errors import ProbeError

CHECK_HEADER = b"x-vdkprobe-check"
START_LIMIT_S = 10.0
LARGEST_HEAD = 16384
WORDS = "all is well"
NEVER_S = 3600.0
_ID = re.compile(rb"(\d{1,18})/(\d{1,18})")


class Answer(NamedTuple):
    """How a website of one kind answers, and what a check of it must find."""

    pattern: str | None
    code: int | None
    found: bool | None
    error: str | None = None
    """The word that the check's error begins with."""


ANSWERS: Mapping[str, Answer] = {
    "well": Answer(WORDS, 200, True),
    "other": Answer("something else", 200, False),
    "missing": Answer(None, 404, None),
    "broken": Answer(WORDS, 500, False),
    "moved": Answer(WORDS, 200, True),
    "circle": Answer(WORDS, None, None, "redirects"),
    "cut": Answer(WORDS, None, None, "closed"),
    "endless": Answer(WORDS, 200, True),
    "silent": Answer(WORDS, None, None, "timeout"),
}
"""The kinds, by the first part of their paths."""


class Hit(NamedTuple):
    """One request that says which check it is of."""

    site: int
    slot_us: int
    at_us: int


class Websites:
    """A server on one port; `url(kind, name)` is a website of that kind."""

    def __init__(self, host: str = "127.0.0.1", *, port: int = 0) -> None:
        self._host = host
        self._wanted_port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._serve, name="vdkprobe-websites", daemon=True)
        self._ready = threading.Event()
        self._trouble: OSError | None = None
        self._hits: list[Hit] = []
        self.port = 0

    def __enter__(self) -> Self:
        self.open()
        return self

    def open(self) -> None:
        """Begin to listen. May be called again. Raises ProbeError."""
        if self.port:
            return
        self._thread.start()
        if not self._ready.wait(START_LIMIT_S) or self._trouble is not None:
            raise ProbeError(
                f"The probe's own websites can't listen on {self._host}.",
                seen=str(self._trouble or "no answer"),
                to_try="name an address of this machine, and a port that is free:"
                " pipelines.websites_host, pipelines.websites_port",
            )

    def __exit__(self, *exc: object) -> None:
        self.close()

    def url(self, kind: str, name: str) -> str:
        """The address of a website of this kind; `name` tells several of one kind apart."""
        return f"http://{self._host}:{self.port}/{kind}/{name}"

    def hits(self) -> list[Hit]:
        """Every request so far that said of which check it is, in the order in which they came."""
        return list(self._hits)

    def close(self) -> None:
        """Stop to listen. May be called again."""
        if self._thread.is_alive() and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_LIMIT_S)

    def _serve(self) -> None:
        loop = self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            self._server = loop.run_until_complete(
                asyncio.start_server(self._answer, self._host, self._wanted_port, backlog=1024)
            )
            self.port = self._server.sockets[0].getsockname()[1]
            self._ready.set()
            loop.run_forever()
        except OSError as exc:
            self._trouble = exc
            self._ready.set()
        finally:
            if self._server is not None:
                self._server.close()
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            at_us = time.time_ns() // 1000
            kind, first = self._note(head, at_us)
            await BEHAVIOURS.get(kind, _missing)(writer, first)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # whoever asked is gone, or asked for nothing
        except asyncio.CancelledError:
            pass  # the end; Python 3.11 would complain of a cancelled answer
        finally:
            writer.close()

    def _note(self, head: bytes, at_us: int) -> tuple[str, bool]:
        """Whose page is asked for, and whether by a check itself rather than by its redirect."""
        request, *lines = head.split(b"\r\n")
        path = request.split(b" ")[1].decode("ascii", "replace")
        kind = path.strip("/").partition("/")[0].partition("?")[0]
        first = not path.endswith("?moved")
        for line in lines:
            name, _, value = line.partition(b":")
            found = _ID.fullmatch(value.strip()) if name.strip().lower() == CHECK_HEADER else None
            if found and first:
                self._hits.append(Hit(int(found[1]), int(found[2]), at_us))
        return kind, first


def _response(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def _well(writer: asyncio.StreamWriter, _first: bool) -> None:
    writer.write(_response("200 OK", f"<p>{WORDS}</p>"))


async def _missing(writer: asyncio.StreamWriter, _first: bool) -> None:
    writer.write(_response("404 Not Found", "no such page"))


async def _broken(writer: asyncio.StreamWriter, _first: bool) -> None:
    writer.write(_response("500 Internal Server Error", "no such luck"))


async def _moved(writer: asyncio.StreamWriter, first: bool) -> None:
    if first:
        writer.write(_response("302 Found", "", "Location: ?moved"))
    else:
        await _well(writer, first)


async def _circle(writer: asyncio.StreamWriter, _first: bool) -> None:
    writer.write(_response("302 Found", "", "Location: ?moved"))


async def _cut(writer: asyncio.StreamWriter, _first: bool) -> None:
    writer.transport.abort()


async def _silent(_writer: asyncio.StreamWriter, _first: bool) -> None:
    await asyncio.sleep(NEVER_S)


async def _endless(writer: asyncio.StreamWriter, _first: bool) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + WORDS.encode())
    while True:
        writer.write(b"." * 65536)
        await writer.drain()


BEHAVIOURS: Mapping[str, Callable[[asyncio.StreamWriter, bool], Awaitable[None]]] = {
    "well": _well,
    "other": _well,
    "missing": _missing,
    "broken": _broken,
    "moved": _moved,
    "circle": _circle,
    "cut": _cut,
    "endless": _endless,
    "silent": _silent,
}
