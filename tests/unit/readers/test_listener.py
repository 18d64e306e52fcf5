"""A listener gives back its connection, whatever comes at the moment when it is stopped."""

from __future__ import annotations

from typing import Any, cast

from pytest_vdkprobe.readers.listener import Connection, Listener


class Socket:
    """Brings one message, just after the listener was told to stop."""

    def __init__(self) -> None:
        self.listener: Listener
        self.closed = False

    def open(self) -> tuple[Any, None]:
        return self, None

    def recv(self) -> str:
        self.listener.stop()
        return "{}"

    def close(self) -> None:
        self.closed = True


def test_a_message_at_the_end_leaves_no_connection() -> None:
    socket = Socket()
    heard: list[object] = []
    socket.listener = Listener(0, cast("Connection", socket), add=heard.append, start_after_s=0.0)
    socket.listener.start()
    socket.listener._thread.join(30.0)
    socket.listener.join()
    assert len(heard) == 1
    assert socket.closed
