"""uvicorn on a thread of its own, on a loopback port that is bound before it starts.

Binding first means that the address is known, and nobody else's, from then on: no port is chosen
that another process can take in between.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from pytest_vdkprobe.waiting import Deadline, wait_until

HOST = "127.0.0.1"
START_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
LOOK_S = 0.1
"""How often to look whether to end; uvicorn itself looks as often."""


class _Protocol(H11Protocol):
    """Shows the application its connection, for the faults that cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Listener:
    """Serves one application from `start()` to `stop()`."""

    def __init__(self, port: int) -> None:
        # Naming the protocol lets asyncio see TCP and switch off its 40 ms of batching.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: ASGIApp, tls: ssl.SSLContext | None) -> None:
        """Serve, and return once calls are answered."""
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="websockets-sansio",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
        )
        # The context is ours; uvicorn would build one from files, and newer ones alone take ours.
        config.load()
        config.ssl = tls
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(server),), name="sandbox-server", daemon=True
        )
        self._thread.start()
        wait_until(
            "the sandbox's server",
            lambda: server.started,
            done=bool,
            deadline=Deadline.after(START_LIMIT_S),
        )

    async def _serve(self, server: uvicorn.Server) -> None:
        serving = asyncio.create_task(server.serve([self._socket]))
        while not (serving.done() or server.should_exit):
            await asyncio.wait({serving}, timeout=LOOK_S)
        # uvicorn leaves calls that are still under way, such as those that a fault hangs, and from
        # Python 3.12 on the end of a server waits for the last of its connections.
        while not serving.done():
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait({serving}, timeout=LOOK_S / 10)
        await serving

    def stop(self) -> None:
        """Close every connection and the port. Idempotent."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = self._server.force_exit = True
            self._thread.join(STOP_LIMIT_S)
            self._server = None
        self._socket.close()
