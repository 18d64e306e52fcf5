"""One run of pytest written down while it happens, so that a killed run keeps what it had.

A thread writes, so that a database that is locked or hangs keeps nobody waiting but the very end,
and that not for long. After the first trouble nothing more is written; the trouble is kept to be
told, and what is there by then looks like a run that was killed, which for the history it is.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.errors import Finding, ProbeError

if TYPE_CHECKING:
    from pytest_vdkprobe.history.writing import Writing
    from pytest_vdkprobe.store.address import Address
    from pytest_vdkprobe.store.database import Database

PATIENCE_S = 5.0
"""What opening the history may take, tables made and all, and what its last words may."""
MOMENT_S = 0.2
"""What a step waits to be written, usually a thousandth of it, so that a run which is killed in the
next has it; after the first that takes longer none waits any more."""


class Recorder:
    """Writes one execution. Its methods never raise, but for `wait_open`."""

    def __init__(self, address: Address, *, run_id: str, pipeline: str, keep: int) -> None:
        self.address = address
        self.execution_id = execution_id_of(run_id)
        self.pipeline = pipeline
        self.keep = keep
        self.trouble: Finding | None = None
        """Why not all was written, if it was not."""
        self._acts: SimpleQueue[tuple[str, dict[str, Any], threading.Event] | None]
        self._acts = SimpleQueue()
        self._lagging = False
        self._opened = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to reach the history, and to make its tables where there are none."""
        # Here and not in the thread: pytest rewrites a plugin's modules as they are loaded, and two
        # threads that parse at once, as the other does to show a failure, break Python 3.11.
        from pytest_vdkprobe.history.schema import open_history  # noqa: PLC0415 - as above
        from pytest_vdkprobe.history.writing import Writing  # noqa: PLC0415 - as above

        if self.address.dialect == "sqlite":
            from pytest_vdkprobe.store import sqlite  # noqa: F401, PLC0415 - as above
        else:
            from pytest_vdkprobe.store import engine, migrations  # noqa: F401, PLC0415 - as above
        writing = Writing(self.execution_id, self.pipeline, self.keep)
        self._thread = threading.Thread(
            target=self._serve,
            args=(writing, lambda: open_history(self.address, migrate=True)),
            name="vdkprobe-history",
            daemon=True,  # one that hangs in a database must not keep the process from ending
        )
        self._thread.start()

    def wait_open(self) -> None:
        """Wait until it can be written to. Raises a ProbeError."""
        if not self._opened.wait(PATIENCE_S):
            self._note(self._silent())
        if self.trouble is not None:
            raise self.trouble

    def write(self, act: str, **arguments: Any) -> None:
        """Let the thread do one of `Writing`'s methods."""
        if self.trouble is not None:
            return
        done = threading.Event()
        self._acts.put((act, arguments, done))
        if not self._lagging:
            self._lagging = not done.wait(MOMENT_S)

    def close(self) -> None:
        """Wait until all is written, though not for long. May be called again."""
        self._acts.put(None)
        if self._thread is None:
            return
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            self._note(self._silent())

    def _serve(self, writing: Writing, open_it: Callable[[], Database]) -> None:
        """In the thread: one transaction after another, until the end or the first trouble."""
        try:
            database = open_it()
            try:
                self._opened.set()
                while (given := self._acts.get()) is not None and self.trouble is None:
                    act, arguments, done = given
                    with database.begin() as work:
                        getattr(writing, act)(work, **arguments)
                    done.set()
            finally:
                database.close()
        except Finding as finding:
            self._note(finding)
        except Exception as exc:  # noqa: BLE001 - a bug of ours is no reason to lose a run
            self._note(ProbeError(f"The history could not be written: {exc!r}."))
        finally:
            self._opened.set()

    def _note(self, trouble: Finding) -> None:
        """The first trouble is what happened; what follows may be of its making."""
        if self.trouble is None:
            self.trouble = trouble

    def _silent(self) -> ProbeError:
        return ProbeError(
            f"The history in {self.address.shown} did not answer within {PATIENCE_S:g} s.",
            to_try="see who else is writing there, or whether the database is reachable",
        )


def execution_id_of(run_id: str) -> str:
    """A new execution's id, which begins with the run's where that has 8 hexadecimal digits."""
    made = uuid.uuid4()
    try:
        return str(uuid.UUID(int=int(run_id[:8], 16) << 96 | made.int & (1 << 96) - 1))
    except ValueError:
        return str(made)
