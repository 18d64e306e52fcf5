"""One run of pytest written down while it happens, so that a killed run keeps what it had.

A run is an execution, each journey of it a step, each of a journey's own steps a part. A thread
writes them, so that a database that is locked or hangs keeps nobody waiting but the very end, and
that not for long. After the first trouble nothing more is written; the trouble is kept to be told,
and what is there by then looks like a run that was killed, which for the history it is.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.errors import Finding, ProbeError
from pytest_vdkprobe.history import executions, models, parts, steps
from pytest_vdkprobe.history.executions import RUN, Status
from pytest_vdkprobe.history.retention import prune
from pytest_vdkprobe.history.schema import open_history

if TYPE_CHECKING:
    from pytest_vdkprobe.history.models import Model
    from pytest_vdkprobe.store.address import Address
    from pytest_vdkprobe.store.database import Work

PATIENCE_S = 5.0
"""What opening the history may take, tables made and all, and what its last words may."""
MOMENT_S = 0.2
"""What a step waits to be written, usually a thousandth of it, so that a run which is killed in the
next has it; after the first that takes longer none waits any more."""
LONGEST_EVIDENCE = 500
LONGEST_PART = 200


def execution_id_of(run_id: str) -> str:
    """A new execution's id, which begins with the run's where that has 8 hexadecimal digits."""
    made = uuid.uuid4()
    try:
        return str(uuid.UUID(int=int(run_id[:8], 16) << 96 | made.int & (1 << 96) - 1))
    except ValueError:
        return str(made)


def step_name(journey: str) -> str:
    """A journey as the history calls it."""
    return journey[: steps.LONGEST_NAME]


class Recorder:
    """Writes one execution. Its methods never raise, but for `open`."""

    def __init__(self, address: Address, *, run_id: str, pipeline: str, keep: int) -> None:
        self.address = address
        self.execution_id = execution_id_of(run_id)
        self.pipeline = pipeline
        self.keep = keep
        self.trouble: Finding | None = None
        """Why not all was written, if it was not."""
        self._acts: SimpleQueue[tuple[Callable[[Work], None], threading.Event] | None]
        self._acts = SimpleQueue()
        self._lagging = False
        self._opened = threading.Event()
        # A daemon: one that hangs in a database must not keep the process from ending.
        self._thread = threading.Thread(target=self._serve, name="vdkprobe-history", daemon=True)
        self._steps: dict[str, str] = {}
        self._parts: dict[str, int] = {}

    def open(self) -> None:
        """Reach the history, and make its tables where there are none. Raises a ProbeError."""
        self._thread.start()
        if not self._opened.wait(PATIENCE_S) and self.trouble is None:
            self.trouble = self._silent()
        if self.trouble is not None:
            raise self.trouble

    def begin(self, *, holder: str, abandon_after_s: float, versions: Mapping[str, str]) -> None:
        """The run has begun; those of earlier runs that were killed are told apart from it."""

        def act(work: Work) -> None:
            executions.abandon_dead(work)
            executions.begin(
                work,
                pipeline=self.pipeline,
                kind=RUN,
                execution_id=self.execution_id,
                holder=holder,
                abandon_after_s=int(abandon_after_s),
                versions=versions,
            )

        self._write(act)

    def add(
        self,
        journey: str,
        *,
        name: str,
        verdict: str,
        duration_s: float,
        evidence: str,
        consists_of: Iterable[Model] = (),
    ) -> None:
        """A journey's step has its verdict; what the journey consists of comes with the first."""
        journey = step_name(journey)

        def act(work: Work) -> None:
            if journey not in self._steps:
                position = len(self._steps) + 1
                self._steps[journey] = steps.begin(
                    work, self.execution_id, journey, consists_of, position=position
                )
            else:
                executions.touch(work, self.execution_id)
            position = self._parts[journey] = self._parts.get(journey, 0) + 1
            part = parts.Part(
                position, name[:LONGEST_PART], verdict, duration_s, evidence[:LONGEST_EVIDENCE]
            )
            parts.store(work, self._steps[journey], [part])

        self._write(act)

    def finish(
        self,
        *,
        good: bool,
        verdict: str,
        note: str,
        verdicts: Mapping[str, str],
        accounts: Mapping[str, Mapping[str, Any]],
        versions: Mapping[str, str],
        consists_of: Iterable[Model],
    ) -> None:
        """The run has ended. `verdicts` and `accounts` are by journey; what is in `consists_of`
        belongs to each of them."""
        common = list(consists_of)

        def act(work: Work) -> None:
            for journey, found in verdicts.items():
                step_id = self._steps.get(step_name(journey))
                if step_id is None:
                    continue
                models.store(work, step_id, common, now=work.now())
                steps.end(
                    work,
                    step_id,
                    _status(found == "pass"),
                    verdict=found,
                    account=json.dumps(accounts[journey]) if journey in accounts else None,
                )
            work.change(
                "update execution set versions = :versions where execution_id = :id",
                versions=json.dumps(dict(versions), sort_keys=True),
                id=self.execution_id,
            )
            executions.end(work, self.execution_id, _status(good), verdict=verdict, note=note)
            prune(work, keep=self.keep, pipeline=self.pipeline)

        self._write(act)

    def close(self) -> None:
        """Wait until all is written, though not for long. May be called again."""
        self._acts.put(None)
        if self._thread.is_alive():
            self._thread.join(PATIENCE_S)
        if self._thread.is_alive() and self.trouble is None:
            self.trouble = self._silent()

    def _write(self, act: Callable[[Work], None]) -> None:
        if self.trouble is not None:
            return
        done = threading.Event()
        self._acts.put((act, done))
        if not self._lagging:
            self._lagging = not done.wait(MOMENT_S)

    def _serve(self) -> None:
        """In the thread: one transaction after another, until the end or the first trouble."""
        try:
            database = open_history(self.address, migrate=True)
            try:
                self._opened.set()
                while (given := self._acts.get()) is not None and self.trouble is None:
                    act, done = given
                    with database.begin() as work:
                        act(work)
                    done.set()
            finally:
                database.close()
        except Finding as finding:
            self.trouble = finding
        except Exception as exc:  # noqa: BLE001 - a bug of ours is no reason to lose a run
            self.trouble = ProbeError(f"The history could not be written: {exc!r}.")
        finally:
            self._opened.set()

    def _silent(self) -> ProbeError:
        return ProbeError(
            f"The history in {self.address.shown} did not answer within {PATIENCE_S:g} s.",
            to_try="see who else is writing there, or whether the database is reachable",
        )


def _status(good: bool) -> Status:
    return Status.COMPLETED if good else Status.FAILED
