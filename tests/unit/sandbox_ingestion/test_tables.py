"""Names of tables are understood as people write them, and columns are told apart."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.sandbox.ingestion.bodies import Row
from pytest_vdkprobe.sandbox.ingestion.tables import MISSING, Name, Table
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError

TABLE = Table("t", '"public"."t"', {"id": "bigint", "Name": "text"}, 6, nul=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Events", Name(None, None, "events")),
        ("Lake.Events", Name(None, "lake", "events")),
        ("db.lake.events", Name("db", "lake", "events")),
        ('"Lake"."a.b ""c"""', Name(None, "Lake", 'a.b "c"')),
        ("my-Table", Name(None, None, "my-Table")),
    ],
)
def test_a_name_is_taken_apart(text: str, name: Name) -> None:
    assert Name.of(text) == name


def test_a_name_alone_lies_where_the_call_says() -> None:
    assert Name.of("t", top="db", schema="s") == Name("db", "s", "t")
    assert Name.of("x.t", top="db", schema="s") == Name("db", "x", "t")
    assert Name.of("d.x.t", top="db", schema="s") == Name("d", "x", "t")


@pytest.mark.parametrize("text", ["", "a..b", "a.b.c.d", '"a', ".a"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadRecordsError, match="name of a table"):
        Name.of(text)


def test_texts_follow_the_keys_of_all_rows() -> None:
    rows: list[Row] = [{"ID": 1}, {"name": None, "ID": 2}]
    keys = TABLE.columns_of(rows)
    assert keys == ["ID", "name"]
    assert [TABLE.column(key) for key in keys] == ["id", "Name"]
    assert TABLE.texts(rows, keys) == [["1", MISSING], ["2", None]]


@pytest.mark.parametrize(
    ("row", "column", "why"),
    [
        ({"other": 1}, "other", "The table t has no column 'other'; it has id, Name"),
        ({"id": "x"}, "id", r"Record 0 for the table t: 'x' does not fit the column id \(bigint\)"),
        ({"Name": "a\0"}, "Name", "NUL"),
        ({"Name": "\ud800"}, "Name", "surrogate"),
    ],
)
def test_what_does_not_fit_is_named(row: dict[str, object], column: str, why: str) -> None:
    with pytest.raises(BadRecordsError, match=why) as caught:
        TABLE.texts([row], TABLE.columns_of([row]))
    assert (caught.value.table, caught.value.column) == ("t", column)
