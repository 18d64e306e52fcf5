"""A file as a target: records are appended to it, as VDK's file ingestion does or one a line.

Each call is one append, which the system keeps whole between several writers (open(2), O_APPEND).
What it took is acknowledged; where the disk ends in the middle of a record, that one and those
behind it are refused, with the system's own reason.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.connections.files import Layout, OwnFile, encode
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.records import wire_json

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.records import ColumnType, Record
    from pytest_vdkprobe.waiting import Deadline


class FileTargetSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="file",
):
    """A file to append to."""

    path: FilePath
    layout: Layout = "vdk"
    """`vdk`: indented objects with nothing between, as VDK's file ingestion writes them; `lines`:
    one object a line."""
    create: bool = True
    """Whether the file, and folders above it, may be created; they are removed after the run."""
    batch: int = 500

    def __post_init__(self) -> None:
        if not self.path.strip():
            raise ValueError("path: empty; name the file")
        if self.batch < 1:
            raise ValueError("batch: must be at least 1")


class FileTarget:
    """Appends records to a file."""

    losses: Mapping[str, str] = {}

    def __init__(
        self,
        settings: FileTargetSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        self.settings = settings
        self.batch = settings.batch
        path = (base_dir or Path()) / settings.path
        self._file = OwnFile(path, leases=leases, key="target")
        self._handle: int | None = None
        self._torn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Find or create the file, and open it."""
        self._file.ensure(create=self.settings.create)
        if self._handle is None:
            try:
                self._handle = os.open(self._file.path, os.O_WRONLY | os.O_APPEND)
            except OSError as exc:
                raise ProbeError(
                    f"The file {self._file.path} can't be written: {exc.strerror}.",
                    checked="key target.path",
                    to_try="look at its permissions and its owner",
                ) from exc

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        """Append them all. A local file has no time-out: `deadline` decides only if we begin."""
        if self._handle is None:
            raise RuntimeError("send() comes after prepare()")
        if deadline.expired:
            return [EXPIRED] * len(records)
        pieces = [encode(wire_json(record), self.settings.layout) for record in records]
        content = b"".join(pieces)
        # Half a line from before must not swallow the first of these.
        start = 1 if self._torn and self.settings.layout == "lines" else 0
        written, why = _write(self._handle, b"\n" * start + content)
        ends = list(accumulate(map(len, pieces), initial=start))[1:]
        if written:
            self._torn = written not in (start, *ends)
        refused = SendResult(Outcome.REFUSED, f"the file was not written: {why}")
        return [ACKNOWLEDGED if end <= written else refused for end in ends]

    def remove(self) -> None:
        """Delete the file, and its folders, as far as they were created here."""
        self._file.remove()

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)
EXPIRED = SendResult(Outcome.REFUSED, "not sent: the time to send was up")


def _write(handle: int, content: bytes) -> tuple[int, str]:
    """How many bytes the system took, and why not all of them."""
    written = 0
    while written < len(content):
        try:
            # A short write is how a full disk announces itself; the next one says so.
            written += os.write(handle, content[written:])
        except OSError as exc:
            return written, exc.strerror or str(exc)
    return written, ""
