"""An endpoint that only remembers: what came in, in order, for readers that ask over HTTP."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from pytest_vdkprobe.sandbox.ingestion.bodies import Row, encoded

LARGEST_COUNT = 200_000
LARGEST_BYTES = 128 << 20


class Kept(NamedTuple):
    """One object as it came."""

    name: str
    received_at_us: int
    """Microseconds since the epoch."""
    json: bytes


class Page(NamedTuple):
    """Part of a list."""

    first: int
    """The oldest position that is still kept: if it is beyond what was asked for, some are gone."""
    next: int
    """Where the next page begins."""
    kept: list[Kept]


@dataclass
class _List:
    kept: deque[Kept] = field(default_factory=deque)
    next: int = 0


class Received:
    """A list of all and one for each name, bounded together; when they are full, the oldest go."""

    def __init__(self, *, count: int = LARGEST_COUNT, size_bytes: int = LARGEST_BYTES) -> None:
        self._count = count
        self._size_bytes = size_bytes
        self._all = _List()
        self._named: dict[str, _List] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, name: str, rows: Sequence[Row]) -> None:
        """Remember rows that came in just now under `name`."""
        now_us = time.time_ns() // 1000
        texts = [encoded(row) for row in rows]
        with self._lock:
            lists = (self._all, self._named.setdefault(name, _List()))
            for text in texts:
                for one in lists:
                    one.kept.append(Kept(name, now_us, text))
                    one.next += 1
                self._bytes += len(text)
            while len(self._all.kept) > self._count or self._bytes > self._size_bytes:
                oldest = self._all.kept.popleft()
                self._named[oldest.name].kept.popleft()
                self._bytes -= len(oldest.json)

    def page(self, name: str | None, offset: int, limit: int) -> Page:
        """At most `limit` of the list of `name`, or of all, from position `offset` on."""
        with self._lock:
            found = self._all if name is None else self._named.get(name, _List())
            first = found.next - len(found.kept)
            start = min(max(offset, first), found.next)
            kept = list(islice(found.kept, start - first, start - first + max(limit, 0)))
        return Page(first, start + len(kept), kept)
