"""A run that has been written down, held against the runs before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pytest_vdkprobe.history import changes, executions, parts, steps
from pytest_vdkprobe.history.comparison import Comparison, Now, StepKey, compare
from pytest_vdkprobe.history.runs import (
    LAST,
    Past,
    PastPart,
    PastRun,
    find_run,
    most_alike,
    read_past,
)

if TYPE_CHECKING:
    from pytest_vdkprobe.store.database import Work

NOT_TOLD = ("platform/", "version/")
"""Models that are versions are told as such, with their values."""


class Known(NamedTuple):
    """All that a comparison needs, read out of the history."""

    now: Now
    base: PastRun | None
    past: Past

    def compare(self) -> Comparison:
        """What has changed; may take seconds, where many steps have."""
        return compare(self.now, self.base, self.past)


def look_back(
    work: Work,
    execution_id: str,
    *,
    pipeline: str,
    wanted: str,
    first_words: Mapping[StepKey, str],
) -> Known:
    """An execution, the one that it is to be compared with, and the past of each step.

    Raises ConfigError for an id that is nobody's.
    """
    base = find_run(work, pipeline, wanted, but=execution_id)
    past = read_past(work, pipeline, but=execution_id, base=base)
    found: dict[StepKey, PastPart] = {}
    for step in steps.of_execution(work, execution_id):
        for part in parts.of_step(work, step.id):
            found[step.name, part.name] = PastPart(execution_id, part.verdict, part.duration_s)
    if wanted == LAST:
        base = most_alike(past, found) or base
    journeys = {journey for journey, _ in found}
    models: dict[str, list[str]] = {}
    if base is not None:
        shared = journeys & {step.name for step in steps.of_execution(work, base.execution_id)}
        for change in changes.between(work, base.execution_id, execution_id):
            if change.step in shared and not change.path.startswith(NOT_TOLD):
                was = f" (was {change.old_path})" if change.old_path else ""
                models.setdefault(change.step, []).append(f"{change.path} {change.kind}{was}")
    versions = executions.get(work, execution_id).versions
    return Known(Now(found, first_words, models, versions), base, past)
