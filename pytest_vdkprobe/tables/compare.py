"""Whether a table holds what it must: row by row, value by value, type by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.records import typed_value

if TYPE_CHECKING:
    from pytest_vdkprobe.tables.moves import Row
    from pytest_vdkprobe.tables.rows import Shape

EXAMPLES = 8
LONGEST_SHOWN = 60


def wrong_types(wanted: Mapping[str, str], seen: Mapping[str, str]) -> list[str]:
    """Columns that are missing, new, in another place, or of another type."""
    found = [
        f"column {name!r} is {seen.get(name, 'missing')}, made as {kind}"
        for name, kind in wanted.items()
        if seen.get(name) != kind
    ]
    found += [f"column {name!r} was not made by us" for name in seen if name not in wanted]
    if not found and list(wanted) != list(seen):
        found.append(f"the columns stand in another order: {', '.join(seen)}")
    return found


def wrong_rows(
    shape: Shape, wanted: Sequence[Row], seen: Sequence[Sequence[Any]]
) -> tuple[list[str], Counter[str]]:
    """A line for each of the first rows that are not as they must be, and how many of each sort.

    `seen` has a value for each of the shape's columns. A row is known by its id and its batch.
    """
    typed = [
        {
            column.source: typed_value(value, column.type)
            for column, value in zip(shape.columns, values, strict=True)
        }
        for values in seen
    ]
    counts: Counter[str] = Counter()
    lines: list[str] = []
    for sort, line in _differences(shape, wanted, typed):
        counts[sort] += 1
        if len(lines) < EXAMPLES:
            lines.append(line)
    more = counts.total() - len(lines)
    if more:
        lines.append(f"and {more} more")
    return lines, counts


def _differences(
    shape: Shape, wanted: Sequence[Row], seen: Sequence[Row]
) -> Iterator[tuple[str, str]]:
    left: dict[tuple[Any, Any], list[Row]] = {}
    for row in seen:
        left.setdefault(_key(row), []).append(row)
    for row in wanted:
        there = left.pop(_key(row), [])
        called = _called(row)
        if not there:
            yield "missing", f"{called} is missing"
            continue
        if len(there) > 1:
            yield "duplicate", f"{called} is there {len(there)} times"
        for column in shape.columns:
            want, saw = row[column.source], there[0][column.source]
            if type(want) is not type(saw) or want != saw:
                where = f"{called}, column {shape.name(column)!r}"
                yield "altered", f"{where}: {_shown(saw)} and not {_shown(want)}"
    for rows in left.values():
        for row in rows:
            yield "foreign", f"{_called(row)} should not be there"


def _key(row: Row) -> tuple[Any, Any]:
    return row["id"], row["batch"]


def _called(row: Row) -> str:
    return f"row {row['id']} of batch {row['batch']!r}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)})"
