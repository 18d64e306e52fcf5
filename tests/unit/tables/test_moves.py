"""What each way of moving must leave in a table, and what of it is told when it does not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pytest_vdkprobe.connections.engines import POSTGRES, TRINO
from pytest_vdkprobe.tables.compare import wrong_rows, wrong_types
from pytest_vdkprobe.tables.moves import MOVES
from pytest_vdkprobe.tables.rows import COLUMNS, Shape, rows_before, rows_that_come

SHAPE = Shape(TRINO, awkward=True)
Rows = list[list[Any]]


def ids(move: str) -> list[tuple[int, str]]:
    return [(row["id"], row["batch"]) for row in MOVES[move](rows_before(), rows_that_come())]


COME = [(number, "come") for number in range(1, 13)]


@pytest.mark.parametrize(
    ("move", "kept"),
    [
        ("python", [1, 901, 902]),
        ("sql", [1, 901, 902]),
        ("insert", [1, 901, 902]),
        ("periodic_snapshot", [1, 901]),
        ("scd1", []),
        ("scd1_upsert", [901, 902]),
    ],
)
def test_each_move_keeps_what_it_must_of_the_rows_before(move: str, kept: list[int]) -> None:
    assert ids(move) == [(number, "before") for number in kept] + COME


def seen() -> Rows:
    """The rows as a driver returns them from a sound table."""
    return [[row[column.source] for column in COLUMNS] for row in rows_that_come()]


def place(source: str) -> int:
    return [column.source for column in COLUMNS].index(source)


def told(rows: Rows) -> tuple[list[str], dict[str, int]]:
    lines, counts = wrong_rows(SHAPE, rows_that_come(), rows)
    return lines, dict(counts)


def test_sound_rows_in_any_order_are_right() -> None:
    assert told(seen()[::-1]) == ([], {})


def without_the_last(rows: Rows) -> Rows:
    return rows[:-1]


def one_twice(rows: Rows) -> Rows:
    return [*rows, rows[0]]


def one_lost_and_one_twice(rows: Rows) -> Rows:
    return [*rows[1:], rows[1]]


def one_rounded(rows: Rows) -> Rows:
    rows[7][place("amount")] = Decimal("1e28")
    return rows


def lower_case(rows: Rows) -> Rows:
    rows[4][place("word")] = rows[4][place("word")].lower()
    return rows


def null_for_empty(rows: Rows) -> Rows:
    rows[1][place("word")] = None
    return rows


def one_more(rows: Rows) -> Rows:
    return [*rows, [77, "stranger", *rows[0][2:]]]


@pytest.mark.parametrize(
    ("change", "says", "counts"),
    [
        (without_the_last, "row 12 of batch 'come' is missing", {"missing": 1}),
        (one_twice, "row 1 of batch 'come' is there 2 times", {"duplicate": 1}),
        (
            one_lost_and_one_twice,
            "row 1 of batch 'come' is missing",
            {"missing": 1, "duplicate": 1},
        ),
        (one_rounded, "row 8 of batch 'come', column 'сумма; -- 100%'", {"altered": 1}),
        (lower_case, "row 5 of batch 'come', column 'größe \"m\"'", {"altered": 1}),
        (null_for_empty, "None and not ''", {"altered": 1}),
        (one_more, "row 77 of batch 'stranger' should not be there", {"foreign": 1}),
    ],
)
def test_wrong_row_is_named(
    change: Callable[[Rows], Rows], says: str, counts: dict[str, int]
) -> None:
    lines, counted = told(change(seen()))
    assert says in "\n".join(lines)
    assert counted == counts


def test_number_that_became_a_text_of_another_form_is_altered() -> None:
    rows = seen()
    rows[0][place("flag")] = "yes"
    assert told(rows)[1] == {"altered": 1}


def test_only_the_first_of_many_are_listed() -> None:
    lines, counts = wrong_rows(SHAPE, rows_that_come(), [])
    assert len(lines) == 9
    assert lines[-1] == "and 4 more"
    assert counts["missing"] == 12


def test_columns_of_another_type_name_or_order_are_told() -> None:
    types = SHAPE.types
    assert wrong_types(types, types) == []
    changed = {**types, "it's a ratio": "real"}
    assert wrong_types(types, changed) == ['column "it\'s a ratio" is real, made as double']
    assert wrong_types(types, {**types, "more": "bigint"}) == ["column 'more' was not made by us"]
    assert "another order" in wrong_types(types, dict(reversed(types.items())))[0]


@pytest.mark.parametrize("engine", [TRINO, POSTGRES], ids=lambda engine: engine.name)
def test_columns_that_are_left_out_are_in_no_statement(engine: Any) -> None:
    from pytest_vdkprobe.connections.sql import Name

    shape = Shape(engine, awkward=False, without=["instant", "day"])
    table = Name(("a", "b"))
    for sql in (shape.view(table), shape.insert(table, rows_before()), shape.definition):
        assert "instant" not in sql
        assert "amount" in sql
    assert "day" not in shape.payload(rows_before()[0])
