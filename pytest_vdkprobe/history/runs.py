"""What earlier runs of a platform were like: durations, verdicts, models; read, never written.

Journeys are remembered one by one, since a run may be of some of them only: the last good run of a
journey is the last in which that journey passed, whatever became of the others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.history.executions import RUN
from pytest_vdkprobe.history.speed import MOST_RUNS
from pytest_vdkprobe.store.moments import moment

if TYPE_CHECKING:
    from pytest_vdkprobe.store.database import Work

NOBODY = "00000000-0000-0000-0000-000000000000"
LAST = "last"
"""Instead of an execution's id: the last good one."""


class PastRun(NamedTuple):
    """An execution, as far as a comparison needs it."""

    execution_id: str
    started_on: datetime
    status: str
    versions: Mapping[str, str]

    @property
    def name(self) -> str:
        """How people call it: the run's id, and when it was."""
        return f"{self.execution_id[:8]} of {self.started_on:%Y-%m-%d %H:%M} UTC"


class PastPart(NamedTuple):
    """One step of a journey in one run."""

    execution_id: str
    verdict: str
    duration_s: float


class PastJourney(NamedTuple):
    """A journey in the last run in which it passed."""

    run: PastRun
    passed: frozenset[str]
    """Its steps that passed."""
    models: Mapping[str, str]
    """Checksums by path."""
    bad_since: PastRun | None = None
    """A later run in which it did not pass."""


@dataclass
class Past:
    """All that is read at once: runs, newest first, and each step's past, oldest first."""

    runs: list[PastRun]
    parts: dict[tuple[str, str], list[PastPart]] = field(default_factory=dict)


def read_runs(work: Work, pipeline: str, *, but: str = "", most: int = MOST_RUNS) -> list[PastRun]:
    """The runs of a pipeline that have ended, newest first; `but` is the one under way."""
    rows = work.rows(
        "select execution_id, started_on, status, versions from execution"
        " where pipeline = :pipeline and kind = :kind and status in ('COMPLETED', 'FAILED')"
        " and execution_id <> :but order by started_on desc, execution_id limit :most",
        pipeline=pipeline,
        kind=RUN,
        but=but or NOBODY,
        most=most,
    )
    return [_run(row) for row in rows]


def read_past(work: Work, pipeline: str, *, but: str = "", base: PastRun | None = None) -> Past:
    """The last runs, and what each step of theirs was like; of `base` too, however old it is."""
    past = Past(read_runs(work, pipeline, but=but))
    if not past.runs:
        return past
    rows = work.rows(
        "select e.execution_id, s.step_name, p.name, p.verdict, p.duration_s"
        " from execution e join execution_step s on s.execution_id = e.execution_id"
        " join execution_step_part p on p.execution_step_id = s.execution_step_id"
        " where e.pipeline = :pipeline and e.kind = :kind"
        " and (e.started_on >= :first or e.execution_id = :base)"
        " and e.status in ('COMPLETED', 'FAILED') and e.execution_id <> :but"
        " order by e.started_on, e.execution_id",
        pipeline=pipeline,
        kind=RUN,
        first=past.runs[-1].started_on,
        base=NOBODY if base is None else base.execution_id,
        but=but or NOBODY,
    )
    for execution_id, journey, step, verdict, duration_s in rows:
        one = PastPart(str(execution_id), verdict, float(duration_s))
        past.parts.setdefault((journey, step), []).append(one)
    return past


def find_run(work: Work, pipeline: str, wanted: str, *, but: str = "") -> PastRun | None:
    """The run to compare with: the last good one, or one by the beginning of its id.

    None when there is no good one yet. Raises ConfigError for an id that is nobody's.
    """
    runs = read_runs(work, pipeline, but=but, most=10_000)
    if wanted == LAST:
        return next((run for run in runs if run.status == "COMPLETED"), None)
    found = [run for run in runs if run.execution_id.startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    known = ", ".join(run.execution_id[:8] for run in runs[:5]) or "none yet"
    raise ConfigError(
        f"There is no run {wanted} of {pipeline} in the history."
        if not found
        else f"{wanted} stands for {len(found)} runs of {pipeline}.",
        key="--vdk-compare",
        value=wanted,
        expected=f"the beginning of one run's id; the latest are {known}",
        to_try="--vdk-compare alone compares with the last good one",
    )


def most_alike(past: Past, steps: Iterable[tuple[str, str]]) -> PastRun | None:
    """The last good run, of those that had most of these steps.

    A run may be of a few journeys only: it says nothing of the others.
    """
    shared = Counter(one.execution_id for key in steps for one in past.parts.get(key, ()))
    good = [run for run in past.runs if run.status == "COMPLETED"]
    return max(good, key=lambda run: shared[run.execution_id], default=None)


def read_good_journeys(work: Work, pipeline: str) -> dict[str, PastJourney]:
    """Of each journey the last run in which it passed, and whether it failed since."""
    rows = work.rows(
        "select e.execution_id, e.started_on, e.status, e.versions, s.execution_step_id,"
        " s.step_name, s.verdict"
        " from execution e join execution_step s on s.execution_id = e.execution_id"
        " where e.pipeline = :pipeline and e.kind = :kind"
        " order by e.started_on desc, e.execution_id",
        pipeline=pipeline,
        kind=RUN,
    )
    found: dict[str, PastJourney] = {}
    bad: dict[str, PastRun] = {}
    for *run, step_id, journey, verdict in rows:
        if journey in found:
            continue
        if verdict != "pass":
            bad.setdefault(journey, _run(run))
            continue
        found[journey] = PastJourney(
            _run(run), _passed(work, step_id), _models(work, step_id), bad.get(journey)
        )
    return found


def _passed(work: Work, step_id: Any) -> frozenset[str]:
    rows = work.rows(
        "select name from execution_step_part where execution_step_id = :id"
        " and verdict in ('pass', 'skipped')",
        id=str(step_id),
    )
    return frozenset(str(name) for (name,) in rows)


def _models(work: Work, step_id: Any) -> dict[str, str]:
    rows = work.rows(
        "select path, checksum from execution_step_model where execution_step_id = :id",
        id=str(step_id),
    )
    return {str(path): str(checksum) for path, checksum in rows}


def _run(row: Sequence[Any]) -> PastRun:
    execution_id, started_on, status, versions = row
    return PastRun(str(execution_id), moment(started_on), status, json.loads(versions or "{}"))
