"""Retention: old executions go, the last good one of each pipeline never does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.store.moments import moment

if TYPE_CHECKING:
    from pytest_vdkprobe.store.database import Work


def prune(
    work: Work, *, keep: int | None = None, keep_days: float | None = None, pipeline: str | None
) -> list[str]:
    """Remove the executions that no rule keeps; their ids, the oldest last.

    Kept are the newest `keep` of each pipeline and kind, those that were updated in the last
    `keep_days`, the last good one of each, and all that are still going on.
    """
    if keep is None and keep_days is None:
        raise ConfigError(
            "Nothing says what is to be kept.", to_try="give --keep, --keep-days or both"
        )
    rows = work.rows(
        "select execution_id, pipeline, kind, status, updated_on from execution"
        " order by updated_on desc, created_on desc"
    )
    limit = None if keep_days is None else work.now() - timedelta(days=keep_days)
    seen: dict[tuple[str, str], int] = {}
    good: set[tuple[str, str]] = set()
    gone = []
    for execution_id, of_pipeline, kind, status, updated_on in rows:
        if pipeline not in (None, of_pipeline):
            continue
        group = (of_pipeline, kind)
        seen[group] = seen.get(group, 0) + 1
        last_good = status == "COMPLETED" and group not in good
        if last_good:
            good.add(group)
        if (
            last_good
            or status in ("INITIALISED", "IN_PROGRESS")
            or (keep is not None and seen[group] <= keep)
            or (limit is not None and moment(updated_on) >= limit)
        ):
            continue
        gone.append(str(execution_id))
    for execution_id in gone:
        _remove(work, execution_id)
    return gone


def _remove(work: Work, execution_id: str) -> None:
    for table in ("execution_step_model", "execution_step_part"):
        work.change(
            f"delete from {table} where execution_step_id in"  # noqa: S608 - names of ours
            " (select execution_step_id from execution_step where execution_id = :id)",
            id=execution_id,
        )
    for table in ("execution_step", "execution"):
        work.change(f"delete from {table} where execution_id = :id", id=execution_id)  # noqa: S608 - as above
