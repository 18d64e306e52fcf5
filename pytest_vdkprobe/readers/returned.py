"""A file that a data job has read for us: what VDK's file ingestion wrote on the job's own machine.

The job hands it back in pieces, each with the time by which it had been written, so that order and
lateness are seen as if the file lay here. Until then nothing has come out.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from pytest_vdkprobe.accounting.stream import StreamObserver
from pytest_vdkprobe.connections.files import Splitter, Torn
from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.readers.stream import arrival

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.accounting.observation import Observation
    from pytest_vdkprobe.records import ColumnType
    from pytest_vdkprobe.waiting import Deadline


class ReturnedFileReader:
    """Reads what `give` was given."""

    losses: Mapping[str, str] = {}

    def __init__(self) -> None:
        self._splitter = Splitter("vdk")
        self._pieces: list[tuple[int, bytes]] = []
        self._ended_us: int | None = None
        self._observer: StreamObserver | None = None

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Nothing has to be ready: the file comes whole."""

    def give(self, text: str, *, checked: str) -> None:
        """What the job returned. Raises PlatformFailure if it did not come back as a job wrote it.

        `checked` says where it was found.
        """
        try:
            told = json.loads(text)
            content = zlib.decompress(base64.b64decode(told["content"]))
            lengths = [(int(at_us), int(length)) for at_us, length in told["chunks"]]
        except (ValueError, KeyError, TypeError, zlib.error) as exc:
            raise PlatformFailure(
                "The file that the job handed back did not come back whole.",
                seen=f"{len(text)} characters, {type(exc).__name__}: {exc}",
                expected="the property as the job wrote it",
                checked=checked,
            ) from exc
        start = 0
        for at_us, length in lengths:
            self._pieces.append((at_us, content[start : start + length]))
            start += length
            self._ended_us = at_us

    def observe(self, expectation: Expectation, *, deadline: Deadline) -> Observation:
        """All that the file held."""
        if self._observer is None:
            self._observer = StreamObserver(expectation)
        self._observer.expectation = expectation
        pieces, self._pieces = self._pieces, []
        for at_us, content in pieces:
            self._see(list(self._splitter.feed(content)), at_us)
        if self._ended_us is not None and (rest := self._splitter.rest).strip():
            self._see([Torn(rest)], self._ended_us)
            self._splitter = Splitter("vdk")
        return self._observer.observation

    def _see(self, found: list[dict[str, object] | Torn], at_us: int) -> None:
        if self._observer is not None:
            self._observer.see_many(
                arrival(
                    each.content if isinstance(each, Torn) else each,
                    at_us,
                    scope="file",
                    position="the job's file",
                )
                for each in found
            )

    def remove(self) -> None:
        """The file was the job's, and went with its machine."""

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
