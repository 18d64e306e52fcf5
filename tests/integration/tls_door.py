"""A door with TLS in front of a PostgreSQL, for one that can't speak it itself.

The wheel's PostgreSQL is built without TLS. Here the client's side is the real one, libpq with all
its checks; the server's is Python's ssl, and what passes goes to the real server behind.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
"""What libpq asks first (PostgreSQL, message formats: SSLRequest); `S` means yes."""
BUFFER = 65536
PATIENCE_S = 30.0


@contextmanager
def postgres_door(context: ssl.SSLContext, *, host: str, port: int) -> Iterator[int]:
    """The port of a door that speaks TLS and leads to the PostgreSQL at `host`, `port`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        door = threading.Thread(
            target=_serve, args=(listening, context, (host, port)), name="door", daemon=True
        )
        door.start()
        try:
            yield listening.getsockname()[1]
        finally:
            # Wakes accept(), which close() alone does not.
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            door.join(PATIENCE_S)


def _serve(listening: socket.socket, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
    guests: list[threading.Thread] = []
    while True:
        try:
            guest, _ = listening.accept()
        except OSError:
            break
        guest.settimeout(PATIENCE_S)
        thread = threading.Thread(target=_let_in, args=(guest, context, behind), daemon=True)
        thread.start()
        guests.append(thread)
    for thread in guests:
        thread.join(PATIENCE_S)


def _let_in(guest: socket.socket, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
    # An error is a guest that did not like our certificate, or went away.
    with guest, suppress(OSError):
        if guest.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
            return
        guest.sendall(b"S")
        with (
            context.wrap_socket(guest, server_side=True) as inside,
            socket.create_connection(behind) as server,
        ):
            _pass_on(inside, server)


def _pass_on(inside: ssl.SSLSocket, server: socket.socket) -> None:
    """Both ways, until one side ends. In one thread: OpenSSL's connections are not for two."""
    while True:
        ready, _, _ = select.select([inside, server], [], [])
        for source, sink in ((inside, server), (server, inside)):
            if source not in ready:
                continue
            more = True
            while more:
                data = source.recv(BUFFER)
                if not data:
                    return
                sink.sendall(data)
                # What was decrypted already makes no socket ready.
                more = source is inside and inside.pending() > 0
