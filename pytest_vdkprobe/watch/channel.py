"""Messages between a watch's supervisor and its children: a JSON document a line, over a socket.

Each side learns of the other's end by the end of the stream, however it came about.
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from typing import Any

Message = dict[str, Any]
_CHUNK = 1 << 16


class Channel:
    """One end. Sending is safe from any thread, and does nothing when the other side is gone."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._lock = threading.Lock()
        self._rest = b""

    def fileno(self) -> int:
        """For `selectors`."""
        return self.socket.fileno()

    def send(self, **message: Any) -> None:
        """Hand it over."""
        with self._lock, suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> list[Message] | None:
        """What has come by now, waiting for something to; None when the other side is gone."""
        try:
            chunk = self.socket.recv(_CHUNK)
        except OSError:
            return None
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def rest(self, *, within_s: float = 1.0) -> list[Message]:
        """All that is left of what the other side said before it ended."""
        found: list[Message] = []
        with suppress(OSError):
            self.socket.settimeout(within_s)
        # A piece of a long message is no message yet, and not the end of them.
        while (messages := self.receive()) is not None:
            found += messages
        return found

    def close(self) -> None:
        """Let the other side know that nothing more comes."""
        with suppress(OSError):
            self.socket.close()
