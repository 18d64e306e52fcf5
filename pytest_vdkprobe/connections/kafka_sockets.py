"""Sockets of kafka-python that are closed when no connection comes about.

It forgets them (3.0.12, net/inet.py: sock_connect), so that Python's collector closes them at some
later moment, with a ResourceWarning that then ends a test of somebody else's. It looks up what
makes its sockets by the scheme of a proxy's address; that is where ours gets in. And a client that
finds no broker leaves its own wake-up sockets, and its thread, behind.
"""

from __future__ import annotations

import functools
import socket
from typing import Any, Self

SCHEME = "vdkprobe-direct"


class Unopened:
    """What a client consists of, closed at the end of the block unless it was `opened()`."""

    def __init__(self) -> None:
        self._made: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        made, self._made = self._made, []
        for client in made:
            client.close()

    def make(self, **config: Any) -> Any:
        """For kafka-python's setting `kafka_client`: as its own, and remembered."""
        from kafka.net.compat import KafkaNetClient  # noqa: PLC0415 - loaded by now

        client = KafkaNetClient(**config)
        self._made.append(client)
        return client

    def opened(self) -> None:
        """It came about: who has it closes it."""
        self._made.clear()


@functools.cache
def direct() -> str:
    """The `proxy_url` that stands for no proxy, and for sockets that are closed."""
    # Imported here: 80 ms, for a run that meets Kafka.
    from kafka.net import KafkaNetSocket  # noqa: PLC0415

    class ClosingSocket(KafkaNetSocket):  # type: ignore[misc]  # kafka-python publishes no types
        """kafka-python's own, but for what it forgets."""

        SCHEMES = (SCHEME,)

        async def sock_connect(
            self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: float | None = None
        ) -> socket.socket:
            """Connect, or close."""
            try:
                return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)  # type: ignore[no-any-return]  # untyped there
            except BaseException:
                sock.close()
                raise

    return f"{SCHEME}://"
