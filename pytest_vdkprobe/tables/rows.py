"""The rows that are moved: every type with its edges, and names that only quotes can hold.

VDK's ingestion into Trino carries texts, whole numbers, doubles and booleans, into columns with
plain names. So the source has just these, and a view over it casts and renames: what VDK's
templates call a source view, and what they are then seen to carry into typed columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_vdkprobe.connections.sql import Name, literal, quoted

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.engines import Engine
    from pytest_vdkprobe.records import ColumnType
    from pytest_vdkprobe.tables.moves import Row


class Column(NamedTuple):
    """One column, in the source and in what the view and the destinations make of it."""

    source: str
    """Its name in the source: lower-case ASCII, since VDK's ingestion quotes no names."""
    awkward: str
    """Its name elsewhere. No capitals: Trino keeps none."""
    type: ColumnType
    carried: ColumnType = "varchar"
    """Its type in the source."""
    needed: bool = False
    """Whether the moves themselves go by it."""


COLUMNS = (
    Column("id", "id", "bigint", "bigint", needed=True),
    Column("batch", "which batch", "varchar", needed=True),
    Column("arrived", "arrived at", "timestamp", needed=True),
    Column("word", 'größe "m"', "varchar"),
    Column("ratio", "it's a ratio", "double", "double"),
    Column("flag", "select", "boolean", "boolean"),
    Column("amount", "сумма; -- 100%", "decimal"),
    Column("day", "日付", "date"),
    Column("instant", "instant \U0001f570", "timestamptz"),
)

BEFORE = "before"
COME = "come"

EARLY = datetime(2020, 2, 29, 12, 0, 0, 1)  # noqa: DTZ001 - a timestamp without time zone
LATE = datetime(2100, 1, 1)  # noqa: DTZ001 - as above


def _row(number: int, batch: str, arrived: datetime, **values: object) -> dict[str, Any]:
    plain = {
        "word": f"row {number}",
        "ratio": number / 3,
        "flag": number % 2 == 0,
        "amount": Decimal(number) / 4,
        "day": date(2026, 3, 1 + number % 28),
        "instant": datetime(2026, 3, 29, 1, number % 60, 0, 123456, tzinfo=UTC),
    }
    return {"id": number, "batch": batch, "arrived": arrived, **plain, **values}


def rows_before() -> list[Row]:
    """What lies in each destination before anything is moved there."""
    return [
        _row(1, BEFORE, EARLY, word="older than what comes, and of the same key"),
        _row(901, BEFORE, EARLY, word="older, and of a key that does not come"),
        _row(902, BEFORE, LATE, word="younger than all that comes"),
    ]


def rows_that_come() -> list[Row]:
    """What is ingested into the source."""
    at = datetime(2026, 3, 29, 2, 30, 0, 999999)  # noqa: DTZ001 - a timestamp without time zone
    special: list[dict[str, object]] = [
        {"word": " Capitals, and SPACES around  "},
        {"word": ""},
        {"word": "it's \"quoted\", `so`; -- not a comment\\'"},
        {"word": "tab\there, line\nand return\r\nthere"},
        {"word": "größe Москва 日本 عربي \U0001f570\U0001d54f e\u0301"},
        {"word": "{id} %s ? $1 :x %(y)s"},
        dict.fromkeys(("word", "ratio", "flag", "amount", "day", "instant")),
        {"ratio": 1.7976931348623157e308, "amount": Decimal("9" * 28 + "." + "9" * 10)},
        # A literal, since Python rounds what it negates to 28 digits.
        {"ratio": -2.2250738585072014e-308, "amount": Decimal("-" + "9" * 28 + "." + "9" * 10)},
        {"ratio": 0.1 + 0.2, "amount": Decimal("0.0000000001"), "day": date(1, 1, 1)},
        {"day": date(9999, 12, 31), "instant": datetime(1969, 12, 31, 23, 59, 59, 1, tzinfo=UTC)},
        {"word": "long " * 5000},
    ]
    return [_row(number, COME, at, **values) for number, values in enumerate(special, 1)]


class Shape:
    """The columns of one entry's tables, and rows in the words of its database."""

    def __init__(self, engine: Engine, *, awkward: bool, without: Iterable[str] = ()) -> None:
        left_out = set(without)
        self.columns = tuple(column for column in COLUMNS if column.source not in left_out)
        self._engine = engine
        self._awkward = awkward

    def name(self, column: Column) -> str:
        """What the column is called in the view and in destinations."""
        return column.awkward if self._awkward else column.source

    def type(self, column: Column) -> str:
        """The engine's own type of it there."""
        return self._engine.types[column.type][0]

    @property
    def types(self) -> dict[str, str]:
        """Every column of a destination with its type."""
        return {self.name(column): self.type(column) for column in self.columns}

    @property
    def listed(self) -> str:
        """The columns of a destination as SQL lists them."""
        return ", ".join(quoted(self.name(column)) for column in self.columns)

    @property
    def definition(self) -> str:
        """What creates a destination's columns."""
        return ", ".join(f"{quoted(name)} {kind}" for name, kind in self.types.items())

    @property
    def source_definition(self) -> str:
        """What creates the source's."""
        types = self._engine.types
        return ", ".join(f"{column.source} {types[column.carried][0]}" for column in self.columns)

    def view(self, source: Name) -> str:
        """What the view selects: every column cast and renamed."""
        parts = ", ".join(
            f"cast({column.source} as {self.type(column)}) as {quoted(self.name(column))}"
            for column in self.columns
        )
        return f"select {parts} from {source.sql}"  # noqa: S608 - all names are quoted

    def insert(self, table: Name, rows: Iterable[Row], *, source: bool = False) -> str:
        """One INSERT of rows whose values stand in it as texts, cast to their columns' types."""
        types = self._engine.types
        columns = self.columns
        listed = ", ".join(column.source for column in columns) if source else self.listed
        values = ", ".join(
            "("
            + ", ".join(
                _cast(
                    carried(row)[column.source],
                    types[column.carried if source else column.type][0],
                )
                for column in columns
            )
            + ")"
            for row in rows
        )
        return f"insert into {table.sql} ({listed}) values {values}"  # noqa: S608 - literals

    def payload(self, row: Row) -> dict[str, Any]:
        """The row as it is ingested: JSON, by the source's names."""
        texts = carried(row)
        return {
            column.source: row[column.source]
            if column.carried != "varchar"
            else texts[column.source]
            for column in self.columns
        }


def carried(row: Row) -> Mapping[str, str | None]:
    """Every value as the text that its column's type reads exactly."""
    return {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        # Trino's cast wants a space, and the zone behind another one.
        return value.replace(tzinfo=None).isoformat(" ") + (" UTC" if value.tzinfo else "")
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _cast(text: str | None, kind: str) -> str:
    return f"cast({'null' if text is None else literal(text)} as {kind})"
