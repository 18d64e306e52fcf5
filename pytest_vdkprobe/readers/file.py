"""A file as a reader: follows one that grows, in either layout, from where it ended before.

The last object of a file that is being written may be torn; it is read when its end has come. What
is torn in the middle is no record, and said to be none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.connections.files import Layout, Splitter, Torn
from pytest_vdkprobe.errors import ConfigError, PlatformFailure, ProbeError
from pytest_vdkprobe.readers.stream import StreamReader, arrival

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.stream import Arrival
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.readers.collector import Collector
    from pytest_vdkprobe.records import ColumnType

CHUNK = 1024 * 1024
REPLACED = b""
"""Collected where one file ends and another of the same name begins."""
PAUSE_S = 0.01
"""Between looks at a file that did not grow: how exact the arrival times are."""


class FileReaderSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="file",
):
    """A file to follow. It may come later than the reader, if its folder is there."""

    path: FilePath
    layout: Layout = "vdk"
    """As the file target's."""

    def __post_init__(self) -> None:
        if not self.path.strip():
            raise ValueError("path: empty; name the file")


class FileReader(StreamReader[bytes]):
    """Follows a file."""

    def __init__(
        self,
        settings: FileReaderSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        super().__init__("file")
        self.settings = settings
        self.path = (base_dir or Path()) / settings.path
        self._splitter = self._new_splitter()
        self._handle: int | None = None
        self._offset = 0
        self._read = 0

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Note where the file ends; records begin there."""
        if not self.path.parent.is_dir() or self.path.is_dir():
            raise ConfigError(
                f"There can't be a file {self.path}.",
                key="reader.path",
                expected="a file in a folder that is there",
                to_try="check its name; the target's setting create = true makes folders too",
            )
        if self._open():
            self._offset = os.fstat(self._descriptor).st_size
        self._read = self._offset
        self._collector.start()

    def _new_splitter(self) -> Splitter:
        return Splitter(self.settings.layout)

    @property
    def _descriptor(self) -> int:
        if self._handle is None:
            raise RuntimeError("the file is not open")
        return self._handle

    def _open(self) -> bool:
        """Whether the file is there, and then open from its first byte."""
        try:
            self._handle = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise ProbeError(
                f"The file {self.path} can't be read: {exc.strerror}.",
                checked="key reader.path",
                to_try="look at its permissions and its owner",
            ) from exc
        self._offset = 0
        return True

    def _collect(self, collector: Collector[bytes]) -> None:
        if self._handle is None and not self._open():
            collector.pause(PAUSE_S)
            return
        content = os.pread(self._descriptor, CHUNK, self._offset)
        if content:
            self._offset += len(content)
            collector.add(content)
            return
        status = os.fstat(self._descriptor)
        if status.st_size < self._offset:
            raise PlatformFailure(
                f"The file {self.path} has become shorter while it was followed.",
                seen=f"{status.st_size} bytes, after {self._offset} were read",
                to_try="who else writes to it, and does it empty it?",
            )
        if self._replaced(status):
            # The old one was read to its end; the new one goes on from its beginning.
            os.close(self._descriptor)
            self._handle = None
            collector.add(REPLACED)
            return
        collector.pause(PAUSE_S)

    def _replaced(self, status: os.stat_result) -> bool:
        try:
            there = self.path.stat()
        except OSError:
            return False
        return (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino)

    def _arrivals(self, item: bytes, arrived_at_us: int) -> Iterable[Arrival]:
        if item == REPLACED:
            self._read, rest, self._splitter = 0, self._splitter.rest, self._new_splitter()
            if rest.strip():
                yield arrival(rest, arrived_at_us, scope="file", position=f"end of {self.path}")
            return
        self._read += len(item)
        position = f"{self.path}, before byte {self._read}"
        for found in self._splitter.feed(item):
            content = found.content if isinstance(found, Torn) else found
            yield arrival(content, arrived_at_us, scope="file", position=position)

    def close(self) -> None:
        """End the thread and close the file."""
        super().close()
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)
