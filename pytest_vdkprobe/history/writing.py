"""What is written of a run: an execution, its journeys as steps, their steps as parts.

The recorder's thread calls it, while the run is waiting for its platform.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.history import executions, models, parts, steps
from pytest_vdkprobe.history.executions import RUN, Status
from pytest_vdkprobe.history.retention import prune

if TYPE_CHECKING:
    from pytest_vdkprobe.history.models import Model
    from pytest_vdkprobe.store.database import Work

HEARTBEAT = """
update execution set heartbeat_on = :now, updated_on = :now where execution_id = :id
"""
"""What `executions.touch` does, without looking first: it is done at every step."""
LONGEST_EVIDENCE = 500
LONGEST_PART = 200


class Writing:
    """One execution. Each method is one transaction."""

    def __init__(self, execution_id: str, pipeline: str, keep: int) -> None:
        self.execution_id = execution_id
        self.pipeline = pipeline
        self.keep = keep
        self._steps: dict[str, str] = {}
        self._parts: dict[str, int] = {}

    def begin(
        self, work: Work, *, holder: str, abandon_after_s: float, versions: Mapping[str, str]
    ) -> None:
        """The run has begun; what earlier runs have left open is seen to be abandoned."""
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

    def add(
        self,
        work: Work,
        journey: str,
        *,
        name: str,
        verdict: str,
        duration_s: float,
        evidence: str,
        consists_of: Iterable[Model],
    ) -> None:
        """A journey's step has its verdict; what the journey consists of comes with the first."""
        journey = step_name(journey)
        if journey not in self._steps:
            position = len(self._steps) + 1
            self._steps[journey] = steps.begin(
                work, self.execution_id, journey, consists_of, position=position
            )
        else:
            work.change(HEARTBEAT, id=self.execution_id, now=work.now())
        position = self._parts[journey] = self._parts.get(journey, 0) + 1
        part = parts.Part(
            position,
            name[:LONGEST_PART],
            verdict,
            duration_s,
            evidence[:LONGEST_EVIDENCE],
        )
        parts.store(work, self._steps[journey], [part])

    def finish(
        self,
        work: Work,
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
        for journey, found in verdicts.items():
            step_id = self._steps.get(step_name(journey))
            if step_id is None:
                continue
            models.store(work, step_id, common, now=work.now())
            account = json.dumps(accounts[journey]) if journey in accounts else None
            steps.end(work, step_id, _status(found == "pass"), verdict=found, account=account)
        work.change(
            "update execution set versions = :versions where execution_id = :id",
            versions=json.dumps(dict(versions), sort_keys=True),
            id=self.execution_id,
        )
        executions.end(work, self.execution_id, _status(good), verdict=verdict, note=note)
        prune(work, keep=self.keep, pipeline=self.pipeline)


def step_name(journey: str) -> str:
    """A journey as the history calls it."""
    return journey[: steps.LONGEST_NAME]


def _status(good: bool) -> Status:
    return Status.COMPLETED if good else Status.FAILED
