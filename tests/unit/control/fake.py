"""A server that answers as a test tells it, rightly or not, on a free port of loopback."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INFO = {"api_version": "PipelinesControlService/1/abc", "supported_python_versions": ["3.11"]}
EXPLAINED = {
    "what": "It broke.",
    "why": "A cause.",
    "consequences": "None.",
    "countermeasures": "Wait.",
}


@dataclass
class Asked:
    """A request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What to answer. A body that is not bytes is sent as JSON."""

    status: int = 200
    body: object = b""
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[Asked, "Line"], Reply | None]


class Line(BaseHTTPRequestHandler):
    """The connection of one request: a script that returns None has said everything on it."""

    protocol_version = "HTTP/1.1"
    server: Fake

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, self.rfile.read(size))
        self.server.asked.append(asked)
        reply = self.server.script(asked, self)
        if reply is None:
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {"Content-Length": str(len(body)), **reply.headers}
        if not isinstance(reply.body, bytes):
            headers.setdefault("Content-Type", "application/json")
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""

    def say(self, raw: bytes) -> None:
        """Put bytes on the line as they are."""
        self.wfile.write(raw)
        self.wfile.flush()

    def hang(self) -> None:
        """Say nothing until the test is over."""
        self.server.over.wait(20)

    def drip(self, every_s: float = 0.05) -> None:
        """One byte at a time, until the test is over or nobody listens."""
        try:
            while not self.server.over.wait(every_s):
                self.say(b"x")
        except OSError:
            self.server.hung_up.set()

    def reset(self) -> None:
        """Cut the line the hard way."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Fake(ThreadingHTTPServer):
    """The server; `script` may be replaced while it runs."""

    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), Line)
        self.script = script
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self.hung_up = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line that was cut on purpose is no error."""


@contextmanager
def serving(script: Script) -> Iterator[Fake]:
    """A fake for as long as the block runs."""
    fake = Fake(script)
    thread = threading.Thread(target=fake.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.over.set()
        fake.shutdown()
        fake.server_close()
        thread.join(5)


def steps(*replies: Reply | Script) -> Script:
    """A script that answers one after the other; the last one stays."""
    rest = list(replies)

    def script(asked: Asked, line: Line) -> Reply | None:
        reply = rest.pop(0) if len(rest) > 1 else rest[0]
        return reply if isinstance(reply, Reply) else reply(asked, line)

    return script


def info(*_: object) -> Reply:
    """What a sound service says of itself."""
    return Reply(body=INFO)
