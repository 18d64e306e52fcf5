"""An HTTP endpoint that takes what is posted and lists what it took, and misbehaves on demand."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


class Endpoint:
    """`POST /ingest` and `GET /received`. `received` and `requests` hold what has come."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.received: list[dict[str, Any]] = []
        self.requests: list[dict[str, str]] = []
        self.answers: list[object] = []
        """What the next posts get instead of 200: a status, or `hang`, `cut`, `drip`. Each is taken
        in all the same, unless it is a 4xx."""
        self.listing: bytes | None = None
        """What is listed instead of what was received."""
        self.lines = False
        """Whether an object a line is listed, instead of an array."""
        self.login: str | None = None
        self._tls = tls
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Where it answers."""
        scheme, host = ("http", "127.0.0.1") if self._tls is None else ("https", "localhost")
        return f"{scheme}://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering. May be called again."""
        self._released.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def wait_released(self) -> None:
        """Hang until the end."""
        self._released.wait(60)


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_OPTIONS(self) -> None:
            self._answer(204, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            endpoint.requests.append({name.lower(): value for name, value in self.headers.items()})
            if endpoint.login is not None and self.headers.get("Authorization") != endpoint.login:
                self._answer(401, b"who are you?")
                return
            answer = endpoint.answers.pop(0) if endpoint.answers else 200
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            found = json.loads(body)
            if not (isinstance(answer, int) and 400 <= answer < 500):
                endpoint.received += found if isinstance(found, list) else [found]
            if answer == "hang":
                endpoint.wait_released()
            elif answer == "cut":
                self.connection.shutdown(socket.SHUT_RDWR)
            elif answer == "drip":
                self._drip()
            else:
                self._answer(int(str(answer)), b"{}")

        def _drip(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not endpoint._released.wait(0.05):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return

        def do_GET(self) -> None:
            query = {
                name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()
            }
            items = list(endpoint.received)
            if "since" in query:
                items = [each for each in items if each["seq"] > int(query["since"])]
            items = items[int(query.get("offset", 0)) :]
            kind = "application/json"
            if endpoint.listing is not None:
                body = endpoint.listing
            elif endpoint.lines:
                kind = "application/x-ndjson"
                body = b"".join(json.dumps(each).encode() + b"\n" for each in items)
            else:
                body = json.dumps(items).encode()
            self._answer(200, body, kind)

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{endpoint.url}/elsewhere")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            """Say nothing."""

    return Handler
