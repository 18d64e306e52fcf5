"""Parts: what a step of a run took and found in each of its own steps (a journey's, a route's)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from pytest_vdkprobe.history.ids import guid

if TYPE_CHECKING:
    from pytest_vdkprobe.store.database import Work


class Part(msgspec.Struct, frozen=True):
    """One row of `execution_step_part`."""

    position: int
    name: str
    verdict: str
    duration_s: float
    evidence: str | None = None


_COLUMNS = ("execution_step_id", "position", "name", "verdict", "duration_s", "evidence")


def store(work: Work, step_id: str, parts: Iterable[Part]) -> None:
    """Keep what a step consisted of."""
    work.insert(
        "execution_step_part",
        _COLUMNS,
        (
            (step_id, part.position, part.name, part.verdict, part.duration_s, part.evidence)
            for part in parts
        ),
    )


def of_step(work: Work, step_id: str) -> list[Part]:
    """A step's parts in order."""
    found = work.rows(
        f"select {', '.join(_COLUMNS[1:])} from execution_step_part"  # noqa: S608 - words of ours
        " where execution_step_id = :id order by position",
        id=guid(step_id, what="a step"),
    )
    return [Part(*row) for row in found]
