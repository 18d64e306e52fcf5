"""Executions: one run of a pipeline or of pytest, from its beginning to one of three ends.

The orchestrator before us knew one end, COMPLETED, so a crash looked like a run in progress for
ever. Here an execution also fails, or is found abandoned: its process is gone, or nothing was heard
of it for too long. "Last successful" means completed and nothing else.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.history.ids import guid, new_guid
from pytest_vdkprobe.store.moments import moment, optional_moment

if TYPE_CHECKING:
    from pytest_vdkprobe.store.database import Work

DEFAULT_PIPELINE = "default"
"""The pipeline of the orchestrator's rows, and of whoever names none."""
PIPELINE = "pipeline"
RUN = "run"
"""The kinds of executions: those of commands, and those of pytest."""
ABANDON_AFTER_S = 24 * 3600
"""How long an execution may be silent. Between the commands of a pipeline hours may pass."""
LONGEST_NAME = 200

_log = logging.getLogger(__name__)


class Status(StrEnum):
    """How far an execution or a step is; the first three are the orchestrator's words."""

    INITIALISED = "INITIALISED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    ABANDONED = "ABANDONED"
    UNKNOWN = "UNKNOWN"
    """Steps that the orchestrator's own migration made up."""


OPEN = (Status.INITIALISED, Status.IN_PROGRESS)
ENDED = (Status.COMPLETED, Status.FAILED)
"""Ends for good; one that was abandoned may turn out to be alive."""

_COLUMNS = (
    "execution_id, pipeline, kind, status, created_on, updated_on, started_on, completed_on,"
    " execution_time_ms, verdict, note, versions"
)


class Execution(msgspec.Struct, frozen=True):
    """One row of `execution`."""

    id: str
    pipeline: str
    kind: str
    status: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime
    completed_at: datetime | None
    duration_ms: int | None
    verdict: str | None
    note: str | None
    versions: Mapping[str, str]

    @property
    def ended(self) -> bool:
        """Whether it has ended for good."""
        return self.status in ENDED


def begin(
    work: Work,
    *,
    pipeline: str = DEFAULT_PIPELINE,
    kind: str = PIPELINE,
    execution_id: str | None = None,
    abandon_after_s: int | None = None,
    holder: str | None = None,
    versions: Mapping[str, str] | None = None,
) -> str:
    """Note that an execution begins; its id. `holder` is the process that keeps it alive, as JSON
    of processes.Process. Raises ConfigError where `execution_id` is in use or no GUID.
    """
    if not pipeline.strip() or len(pipeline) > LONGEST_NAME:
        raise ConfigError(
            f"{pipeline!r} is no name for a pipeline.", expected=f"1 to {LONGEST_NAME} characters"
        )
    if execution_id is None:
        execution_id = new_guid()
    else:
        execution_id = guid(execution_id, what="an execution")
        if _select(work, "execution_id = :id", id=execution_id):
            raise ConfigError(
                f"There is an execution {execution_id} already.",
                to_try="leave the id out, and one that is free is printed",
            )
    now = work.now()
    work.change(
        "insert into execution (execution_id, pipeline, kind, status, created_on, updated_on,"
        " started_on, heartbeat_on, abandon_after_s, holder, versions) values (:id, :pipeline,"
        " :kind, :status, :now, :now, :now, :now, :abandon_after_s, :holder, :versions)",
        id=execution_id,
        pipeline=pipeline,
        kind=kind,
        status=Status.INITIALISED.value,
        now=now,
        abandon_after_s=abandon_after_s,
        holder=holder,
        versions=json.dumps(dict(versions), sort_keys=True) if versions else None,
    )
    return execution_id


def get(work: Work, execution_id: str) -> Execution:
    """The execution with this id. Raises ConfigError."""
    wanted = guid(execution_id, what="an execution")
    found = _select(work, "execution_id = :id", id=wanted)
    if not found:
        raise ConfigError(
            f"There is no execution {wanted}.", to_try="`list` shows those that there are"
        )
    return found[0]


def last_successful(
    work: Work, *, pipeline: str = DEFAULT_PIPELINE, kind: str = PIPELINE, before: str | None = None
) -> Execution | None:
    """The completed execution that was updated last; `before` leaves one out, and those after."""
    limit = get(work, before).created_at if before else None
    earlier = " and created_on < :limit" if limit else ""
    found = _select(
        work,
        f"pipeline = :pipeline and kind = :kind and status = :status{earlier}"
        " order by updated_on desc, created_on desc limit 1",
        pipeline=pipeline,
        kind=kind,
        status=Status.COMPLETED.value,
        **({"limit": limit} if limit else {}),
    )
    return found[0] if found else None


def newest(work: Work, *, pipeline: str | None = None) -> Execution | None:
    """The execution that began last."""
    found = listed(work, pipeline=pipeline, limit=1)
    return found[0] if found else None


def listed(
    work: Work, *, pipeline: str | None = None, status: str | None = None, limit: int
) -> list[Execution]:
    """Executions, the newest first, of one pipeline or all."""
    wanted = {"pipeline": pipeline, "status": status}
    given: dict[str, object] = {name: value for name, value in wanted.items() if value is not None}
    where = " and ".join(["1 = 1", *(f"{name} = :{name}" for name in given)])
    ordered = f"{where} order by created_on desc, execution_id limit :limit"
    return _select(work, ordered, limit=limit, **given)


def require_open(work: Work, execution_id: str) -> Execution:
    """The execution, if it can go on. Raises ConfigError."""
    execution = get(work, execution_id)
    if execution.ended:
        raise _has_ended(execution)
    return execution


def touch(work: Work, execution_id: str) -> None:
    """Note that it is alive and goes on. Raises ConfigError if it has ended."""
    execution = require_open(work, execution_id)
    now = work.now()
    changed = work.change(
        "update execution set status = :status, heartbeat_on = :now, updated_on = :now"
        " where execution_id = :id and status not in ('COMPLETED', 'FAILED')",
        id=execution.id,
        status=Status.IN_PROGRESS.value,
        now=now,
    )
    if not changed:
        raise _has_ended(execution)
    if execution.status == Status.ABANDONED:
        _log.warning("execution %s was taken for abandoned and goes on", execution.id)


def end(
    work: Work,
    execution_id: str,
    status: Status,
    *,
    verdict: str | None = None,
    note: str | None = None,
) -> Execution:
    """Note that it completed or failed. Raises ConfigError if it had ended before."""
    execution = get(work, execution_id)
    now = work.now()
    changed = work.change(
        "update execution set status = :status, completed_on = :now, updated_on = :now,"
        " execution_time_ms = :duration, verdict = :verdict, note = :note"
        " where execution_id = :id and status not in ('COMPLETED', 'FAILED')",
        id=execution.id,
        status=status.value,
        now=now,
        duration=milliseconds(execution.started_at, now),
        verdict=verdict,
        note=note,
    )
    if not changed:
        raise _has_ended(execution)
    return get(work, execution.id)


def milliseconds(start: datetime, stop: datetime) -> int:
    """What lies between two moments of the database's clock."""
    return max(0, round((stop - start).total_seconds() * 1000))


def abandon_dead(work: Work) -> list[str]:
    """Mark the executions that nobody is at any more; their ids.

    Dead is whose process is known to be gone, or who was silent for longer than it said it might
    be.
    """
    now = work.now()
    open_ones = work.rows(
        "select execution_id, heartbeat_on, updated_on, abandon_after_s, holder from execution"
        " where status in ('INITIALISED', 'IN_PROGRESS')"
    )
    dead = [str(row[0]) for row in open_ones if _is_dead(row[1:], now)]
    for execution_id in dead:
        for table in ("execution", "execution_step"):
            work.change(
                f"update {table} set status = :status, updated_on = :now"  # noqa: S608 - names of ours
                " where execution_id = :id and status in ('INITIALISED', 'IN_PROGRESS')",
                id=execution_id,
                status=Status.ABANDONED.value,
                now=now,
            )
    return dead


def _is_dead(signs: Sequence[Any], now: datetime) -> bool:
    heartbeat_on, updated_on, patience_s, holder = signs
    heard = max(moment(updated_on), optional_moment(heartbeat_on) or moment(updated_on))
    if holder and _runs(str(holder)) is False:
        return True
    patience = timedelta(seconds=ABANDON_AFTER_S if patience_s is None else patience_s)
    return now - heard > patience


def _runs(holder: str) -> bool | None:
    from pytest_vdkprobe.processes import Process  # noqa: PLC0415 - as above

    try:
        return msgspec.json.decode(holder, type=Process).runs()
    except msgspec.MsgspecError:
        return None


def _has_ended(execution: Execution) -> ConfigError:
    when = execution.completed_at or execution.updated_at
    return ConfigError(
        f"Execution {execution.id} has ended: {execution.status} at {when:%Y-%m-%d %H:%M:%S} UTC.",
        to_try="begin another with `init-execution`",
    )


def _select(work: Work, where: str, **parameters: object) -> list[Execution]:
    found = work.rows(f"select {_COLUMNS} from execution where {where}", **parameters)  # noqa: S608 - words of ours
    return [_execution(row) for row in found]


def _execution(row: Sequence[Any]) -> Execution:
    execution_id, pipeline, kind, status, created, updated, started, completed, *rest = row
    duration_ms, verdict, note, versions = rest
    return Execution(
        id=str(execution_id),
        pipeline=pipeline,
        kind=kind,
        status=status,
        created_at=moment(created),
        updated_at=moment(updated),
        started_at=moment(started),
        completed_at=optional_moment(completed),
        duration_ms=duration_ms,
        verdict=verdict,
        note=note,
        versions=json.loads(versions) if versions else {},
    )
