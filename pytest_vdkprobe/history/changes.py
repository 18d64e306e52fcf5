"""What changed between two executions: found by the database, named here.

The database lays the models of two steps side by side and gives back those that differ. What is
left are a few rows; of those, a model that vanished and one that appeared with the same content are
one that was renamed, or that moved to another step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import NamedTuple

from pytest_vdkprobe.history import executions, steps
from pytest_vdkprobe.history.models import stem_of
from pytest_vdkprobe.history.steps import Step
from pytest_vdkprobe.store.database import Work


class Kind(StrEnum):
    """What happened to a model."""

    ADDED = "added"
    CHANGED = "changed"
    WHITESPACE = "whitespace-only"
    RENAMED = "renamed"
    MOVED = "moved"
    """To another step."""
    REMOVED = "removed"


@dataclass(frozen=True)
class Change:
    """One model that is not as it was. `old_step` and `old_path` say where it was, if elsewhere."""

    kind: Kind
    step: str
    path: str
    stem: str
    old_path: str | None = None
    old_step: str | None = None

    def __str__(self) -> str:
        """One line, whatever is in the names; --json has them as they are."""
        told = {
            Kind.RENAMED: f" (was {self.old_path})",
            Kind.MOVED: f" (was {self.old_path} in {self.old_step})",
        }
        line = f"{self.kind:<15} {self.step}  {self.path}{told.get(self.kind, '')}"
        return "".join(
            sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line
        )


class _Side(NamedTuple):
    """A model that only one of the two executions has."""

    step: str
    path: str
    stem: str
    checksum: str


def between(
    work: Work, previous: str | None, current: str, *, step: Step | None = None
) -> list[Change]:
    """Everything that is not in `current` as it was in `previous`; without that, all is added.

    A step that an execution under way has not begun yet is left out, not taken for removed. Of
    several with one name the last counts, or `step` if it is given.
    """
    execution = executions.get(work, current)
    new = steps.by_name(work, execution.id)
    if step is not None:
        new[step.name] = step
    old = steps.by_name(work, executions.get(work, previous).id) if previous else {}
    appeared: list[_Side] = []
    vanished: list[_Side] = []
    changes: list[Change] = []
    # Whatever a run of pytest did not select is there all the same.
    all_of_it = execution.ended and execution.kind != executions.RUN
    for name in sorted(new.keys() | (old.keys() if all_of_it else set())):
        for it in _differing(work, old.get(name), new.get(name)):
            if it.old_path is None:
                appeared.append(_Side(name, it.path or "", it.stem, it.checksum))
            elif it.path is None:
                vanished.append(_Side(name, it.old_path, it.old_stem, it.old_checksum))
            else:
                kind = Kind.WHITESPACE if it.same_but_for_whitespace else Kind.CHANGED
                changes.append(Change(kind, name, it.path, it.stem))
    for kind, key in (
        (Kind.RENAMED, _same_file_name),
        (Kind.RENAMED, _same_step),
        (Kind.MOVED, _same_path),
        (Kind.MOVED, _same_content),
    ):
        changes += _pair(kind, key, appeared, vanished)
    changes += [Change(Kind.ADDED, one.step, one.path, one.stem) for one in appeared]
    changes += [Change(Kind.REMOVED, one.step, one.path, one.stem) for one in vanished]
    return sorted(changes, key=lambda change: (change.step, change.path, change.kind))


def names_to_run(changes: Iterable[Change], step: str) -> list[str]:
    """What the orchestrator printed: stems of what is new or changed in a step, in order.

    It knew models by stem, so one that is in another folder now, or has another suffix, and is
    otherwise the same, is neither.
    """
    return sorted(
        {
            change.stem
            for change in changes
            if change.step == step
            and change.kind is not Kind.REMOVED
            and not (change.kind is Kind.RENAMED and stem_of(change.old_path or "") == change.stem)
        }
    )


class _Difference(NamedTuple):
    """A model that is not the same in both steps; what it is in the new one, then in the old."""

    path: str | None
    stem: str
    checksum: str
    old_path: str | None
    old_stem: str
    old_checksum: str
    same_but_for_whitespace: bool


def _differing(work: Work, old: Step | None, new: Step | None) -> list[_Difference]:
    sides: dict[str, object] = {"old": old and old.id, "new": new and new.id}
    nameless = work.rows(
        "select count(*) from execution_step_model"
        " where execution_step_id in (:old, :new) and path is null",
        **sides,
    )
    # The orchestrator's own rows have no path: there, its identity is the one that both have.
    # A path is in a step once, a stem may be there several times.
    key, alone = (
        ("model_name", "count(distinct execution_step_id) = 1")
        if nameless[0][0]
        else ("path", "count(*) = 1")
    )
    columns = ", ".join(
        f"max(case when execution_step_id = :{side} then {column} end)"
        for side in ("new", "old")
        for column in ("coalesce(path, model_name)", "model_name", "checksum")
    )
    both = "from execution_step_model where execution_step_id in (:old, :new)"
    # First which, then what: to tell all of each costs four times what it takes to find the few.
    rows = work.rows(
        f"select {columns},"
        " count(normal_checksum) = 2 and min(normal_checksum) = max(normal_checksum)"
        f" {both} and {key} in (select {key} {both} group by {key}"
        f" having {alone} or min(checksum) <> max(checksum)) group by {key}",
        **sides,
    )
    return [_Difference(*row) for row in rows]


def _same_file_name(side: _Side) -> tuple[str, ...]:
    return side.checksum, side.step, PurePosixPath(side.path).name


def _same_step(side: _Side) -> tuple[str, ...]:
    return side.checksum, side.step


def _same_path(side: _Side) -> tuple[str, ...]:
    return side.checksum, side.path


def _same_content(side: _Side) -> tuple[str, ...]:
    return (side.checksum,)


def _pair(
    kind: Kind,
    key: Callable[[_Side], tuple[str, ...]],
    appeared: list[_Side],
    vanished: list[_Side],
) -> list[Change]:
    """Match what appeared with what vanished under the same key; both lose what was matched."""
    waiting: dict[tuple[str, ...], list[_Side]] = defaultdict(list)
    for side in sorted(vanished, reverse=True):
        waiting[key(side)].append(side)
    changes = []
    left = []
    for side in sorted(appeared):
        if waiting[key(side)]:
            was = waiting[key(side)].pop()
            changes.append(Change(kind, side.step, side.path, side.stem, was.path, was.step))
        else:
            left.append(side)
    appeared[:] = left
    vanished[:] = [side for sides in waiting.values() for side in sides]
    return changes
