"""The table of all tracked tasks, for a terminal or a log that knows neither colours nor width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_vdkprobe.plaintable import plain_table

if TYPE_CHECKING:
    from pytest_vdkprobe.endpoints.task import Task

MOST_ROWS = 40
"""A day of tasks is thousands; the newest are shown, the others counted."""
HEADINGS = ("#", "State", "Slot (UTC)", "Age", "Duration", "Since prev.", "Reason")


def table(name: str, tasks: Sequence[Task], *, now: float) -> str:
    """The table as plain text: number, state, slot, age, duration, distance to the one before."""
    shown = tasks[-MOST_ROWS:]
    before = tasks[-len(shown) - 1] if len(tasks) > len(shown) else None
    rows = []
    for task in shown:
        rows.append(
            (
                str(task.number),
                task.state.upper(),
                f"{task.created_at:%H:%M:%S}",
                f"{task.age_s(now):.0f} s",
                "" if task.duration_s is None else f"{task.duration_s:.3f} s",
                "" if before is None else f"{task.due - before.due:.1f} s",
                task.reason,
            )
        )
        before = task
    states = Counter(str(task.state) for task in tasks)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    older = f", the newest {MOST_ROWS} shown" if len(tasks) > MOST_ROWS else ""
    drawn = plain_table(HEADINGS, rows, right=("#", "Age", "Duration", "Since prev."))
    return f"{name}: {len(tasks)} tasks tracked: {counts or 'none'}{older}\n{drawn}"
