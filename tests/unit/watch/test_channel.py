"""What a scenario's process says reaches its supervisor, however long it is and however it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from pytest_vdkprobe.watch.channel import Channel

LONG = "x" * 300_000
"""Several pieces of what is received at once."""


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = (Channel(end) for end in socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_long_message_before_the_end_is_heard_in_full(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends

    def speak() -> None:
        theirs.send(said=LONG)
        theirs.send(said="bye")
        theirs.close()

    speaker = threading.Thread(target=speak)
    speaker.start()
    assert [message["said"] for message in ours.rest(within_s=30.0)] == [LONG, "bye"]
    speaker.join()


def test_side_that_neither_speaks_nor_ends_is_not_waited_for(
    ends: tuple[Channel, Channel],
) -> None:
    ours, theirs = ends
    theirs.send(said="last")
    assert ours.rest(within_s=0.05) == [{"said": "last"}]


def test_message_is_heard_when_it_is_whole(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.socket.sendall(b'{"said": ')
    assert ours.receive() == []
    theirs.socket.sendall(b"1}\n")
    assert ours.receive() == [{"said": 1}]
    theirs.close()
    assert ours.receive() is None
