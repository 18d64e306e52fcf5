"""Steps: one part of an execution, with the models that it consisted of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.history import executions
from pytest_vdkprobe.history.executions import ENDED, Status, milliseconds
from pytest_vdkprobe.history.ids import guid, new_guid
from pytest_vdkprobe.history.models import Model, store
from pytest_vdkprobe.store.moments import moment, optional_moment

if TYPE_CHECKING:
    from pytest_vdkprobe.store.database import Work

LONGEST_NAME = 500
LARGEST_COUNT = 2**63 - 1
"""PostgreSQL's bigint."""

_COLUMNS = (
    "execution_step_id, execution_id, step_name, status, created_on, started_on, completed_on,"
    " execution_time_ms, rows_processed, position, base_path, verdict, note, account"
)


class Step(msgspec.Struct, frozen=True):
    """One row of `execution_step`."""

    id: str
    execution_id: str
    name: str
    status: str
    created_at: datetime
    started_at: datetime
    completed_at: datetime | None
    duration_ms: int | None
    rows_processed: int | None
    position: int | None
    base_path: str | None
    verdict: str | None
    note: str | None
    account: dict[str, Any] | None


def begin(
    work: Work,
    execution_id: str,
    name: str,
    models: Iterable[Model] = (),
    *,
    base_path: str | None = None,
    position: int | None = None,
) -> str:
    """Note that a step of an execution begins, and what it consists of; its id."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"{name!r} is no name for a step.", expected=f"1 to {LONGEST_NAME} characters"
        )
    executions.touch(work, execution_id)
    step_id = new_guid()
    now = work.now()
    work.change(
        "insert into execution_step (execution_step_id, execution_id, step_name, status,"
        " created_on, updated_on, started_on, base_path, position)"
        " values (:id, :execution_id, :name, :status, :now, :now, :now, :base_path, :position)",
        id=step_id,
        execution_id=guid(execution_id, what="an execution"),
        name=name,
        status=Status.IN_PROGRESS.value,
        now=now,
        base_path=base_path,
        position=position,
    )
    store(work, step_id, models, now=now)
    return step_id


def get(work: Work, step_id: str) -> Step:
    """The step with this id. Raises ConfigError."""
    wanted = guid(step_id, what="a step")
    found = _select(work, "execution_step_id = :id", id=wanted)
    if not found:
        raise ConfigError(
            f"There is no step {wanted}.", to_try="`show EXECUTION` lists an execution's steps"
        )
    return found[0]


def of_execution(work: Work, execution_id: str) -> list[Step]:
    """All steps of an execution, in the order in which they began."""
    return _select(
        work,
        "execution_id = :id order by created_on, position, step_name",
        id=guid(execution_id, what="an execution"),
    )


def by_name(work: Work, execution_id: str) -> dict[str, Step]:
    """An execution's steps; of several with one name, the one that began last."""
    return {step.name: step for step in of_execution(work, execution_id)}


def end(
    work: Work,
    step_id: str,
    status: Status,
    *,
    rows_processed: int | None = None,
    verdict: str | None = None,
    note: str | None = None,
    account: str | None = None,
) -> Step:
    """Note that a step completed or failed. `account` is JSON.

    Raises ConfigError if it had ended before, or its execution has.
    """
    step = get(work, step_id)
    if step.status in ENDED:
        raise _has_ended(step)
    executions.touch(work, step.execution_id)
    now = work.now()
    changed = work.change(
        "update execution_step set status = :status, completed_on = :now, updated_on = :now,"
        " execution_time_ms = :duration, rows_processed = :rows_processed, verdict = :verdict,"
        " note = :note, account = :account"
        " where execution_step_id = :id and status not in ('COMPLETED', 'FAILED')",
        id=step.id,
        status=status.value,
        now=now,
        duration=milliseconds(step.started_at, now),
        rows_processed=rows_processed,
        verdict=verdict,
        note=note,
        account=account,
    )
    if not changed:
        # Somebody else was quicker, since we looked.
        raise _has_ended(get(work, step.id))
    return get(work, step.id)


def _has_ended(step: Step) -> ConfigError:
    when = f" at {step.completed_at:%Y-%m-%d %H:%M:%S} UTC" if step.completed_at else ""
    return ConfigError(
        f"Step {step.id} ({step.name}) has ended: {step.status}{when}.",
        to_try="begin another with `init-step`",
    )


def _select(work: Work, where: str, **parameters: object) -> list[Step]:
    found = work.rows(f"select {_COLUMNS} from execution_step where {where}", **parameters)  # noqa: S608 - words of ours
    return [_step(row) for row in found]


def _step(row: Sequence[Any]) -> Step:
    step_id, execution_id, name, status, created, started, completed, *rest = row
    duration_ms, rows_processed, position, base_path, verdict, note, account = rest
    return Step(
        id=str(step_id),
        execution_id=str(execution_id),
        name=name,
        status=status,
        created_at=moment(created),
        started_at=moment(started),
        completed_at=optional_moment(completed),
        duration_ms=duration_ms,
        rows_processed=rows_processed,
        position=position,
        base_path=base_path,
        verdict=verdict,
        note=note,
        account=json.loads(account) if account else None,
    )
