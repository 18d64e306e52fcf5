"""A table as plain text, the same on a terminal, in a file and in pytest's capture."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from io import StringIO

WIDTH = 100


def plain_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[str] = ()
) -> str:
    """ASCII alone and never wider than 100 columns; the columns named in `right` are numbers."""
    from rich import box  # noqa: PLC0415 - 40 ms, for who prints a table
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    drawn = Table(box=box.ASCII, expand=False)
    for heading in headings:
        drawn.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        # As text, or what a service answered would be read as rich's markup.
        drawn.add_row(*(Text(cell) for cell in row))
    page = StringIO()
    Console(
        file=page, width=WIDTH, no_color=True, force_terminal=False, highlight=False, emoji=False
    ).print(drawn)
    return page.getvalue()
