"""The table of all tracked tasks, for a terminal or a log that knows neither colours nor width."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_vdkprobe.endpoints.task import Task

WIDTH = 100
MOST_ROWS = 40
"""A day of tasks is thousands; the newest are shown, the others counted."""


def table(name: str, tasks: Sequence[Task], *, now: float) -> str:
    """The table as plain text: number, state, slot, age, duration, distance to the one before."""
    from rich import box  # noqa: PLC0415 - 40 ms, for who prints a table
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    drawn = Table(box=box.ASCII, expand=False)
    for heading in ("#", "State", "Slot (UTC)", "Age", "Duration", "Since prev.", "Reason"):
        right = heading in ("#", "Age", "Duration", "Since prev.")
        drawn.add_column(heading, justify="right" if right else "left", overflow="fold")
    shown = tasks[-MOST_ROWS:]
    before = tasks[-len(shown) - 1] if len(tasks) > len(shown) else None
    for task in shown:
        since = "" if before is None else f"{task.due - before.due:.1f} s"
        took = "" if task.duration_s is None else f"{task.duration_s:.3f} s"
        cells = (
            str(task.number),
            task.state.upper(),
            f"{task.created_at:%H:%M:%S}",
            f"{task.age_s(now):.0f} s",
            took,
            since,
            task.reason,
        )
        # As text, or what a service answered would be read as rich's markup.
        drawn.add_row(*(Text(cell) for cell in cells))
        before = task
    states = Counter(str(task.state) for task in tasks)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    older = f", the newest {MOST_ROWS} shown" if len(tasks) > MOST_ROWS else ""
    page = StringIO()
    console = Console(
        file=page, width=WIDTH, no_color=True, force_terminal=False, highlight=False, emoji=False
    )
    console.print(drawn)
    return f"{name}: {len(tasks)} tasks tracked: {counts or 'none'}{older}\n{page.getvalue()}"
