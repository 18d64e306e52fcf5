"""A job's output, kept in bounded memory: its beginning, its end, and how much is left out.

A job that prints for ever must not fill the memory or the disk of whoever runs the sandbox; what is
looked for in a log is nearly always in its first or in its last lines.
"""

from __future__ import annotations

import threading
from collections import deque

HEAD_BYTES = 256 * 1024
TAIL_BYTES = 256 * 1024


class BoundedLog:
    """Takes bytes from one thread, gives text to any."""

    def __init__(self, *, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Add what came."""
        with self._lock:
            room = self._head_bytes - len(self._head)
            if room > 0:
                self._head += data[:room]
                data = data[room:]
            if data:
                self._tail.append(data)
                self._tail_size += len(data)
            while self._tail_size > self._tail_bytes:
                self._shorten(self._tail_size - self._tail_bytes)

    def text(self) -> str:
        """All of it, or its two ends with a line between them that says what is missing."""
        with self._lock:
            gap = f"\n[... {self._dropped} bytes left out ...]\n" if self._dropped else ""
            whole = bytes(self._head) + gap.encode() + b"".join(self._tail)
        return whole.decode("utf-8", errors="replace")

    def _shorten(self, excess: int) -> None:
        oldest = self._tail.popleft()
        cut = min(excess, len(oldest))
        if cut < len(oldest):
            self._tail.appendleft(oldest[cut:])
        self._tail_size -= cut
        self._dropped += cut
