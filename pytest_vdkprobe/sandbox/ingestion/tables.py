"""What PostgreSQL and Trino have in common: which table is meant, and rows as texts for it.

A table's columns are looked up once and remembered, since a probe sends thousands of batches to
one. When a batch does not fit what is remembered, the table is looked up again before the records
are blamed: tests drop and create tables of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_vdkprobe.sandbox.ingestion.bodies import Row
from pytest_vdkprobe.sandbox.ingestion.trouble import BadRecordsError
from pytest_vdkprobe.sandbox.ingestion.values import Fit, Unfit, fit_for, shown

PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
NAME = re.compile(rf"(?:{PART.pattern})(?:\.(?:{PART.pattern})){{0,2}}")
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
LISTED = 12
"""Columns named in a message."""

MISSING = object()
"""Stands where a record has nothing for a column: its default, which is null in Trino."""


@dataclass(frozen=True)
class Name:
    """Where a table is; None is the default, of the call or of the engine."""

    top: str | None
    """PostgreSQL's database, Trino's catalog."""
    schema: str | None
    table: str

    @classmethod
    def of(cls, text: str, *, top: str | None = None, schema: str | None = None) -> Name:
        """From `table`, `schema.table` or `database.schema.table`, each part quoted or not.

        As in SQL, case counts only inside quotes; unlike there, other characters need none.
        """
        if not NAME.fullmatch(text):
            raise BadRecordsError(f"{text!r} can't be the name of a table.", table=text)
        parts: list[str | None] = [
            quoted.replace('""', '"') if quoted else _folded(plain)
            for quoted, plain in PART.findall(text)
        ]
        table = str(parts.pop())
        return cls(parts[-2] if len(parts) == 2 else top, parts[-1] if parts else schema, table)


@dataclass(frozen=True)
class Table:
    """One table as its engine describes it."""

    called: str
    """As the records call it, for messages."""
    sql: str
    """Its full name in SQL."""
    types: dict[str, str]
    """Column -> type, in the table's order."""
    fraction_digits: int
    nul: bool
    """Whether a text may hold the character NUL."""

    @cached_property
    def _fits(self) -> dict[str, Fit]:
        return {
            column: fit_for(kind, fraction_digits=self.fraction_digits)
            for column, kind in self.types.items()
        }

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {column.lower(): column for column in self.types}

    def columns_of(self, rows: Sequence[Row]) -> list[str]:
        """The keys of all rows, in the order in which they first come."""
        if not all(rows):
            raise BadRecordsError(f"A record for {self.called} is empty.", table=self.called)
        return list(dict.fromkeys(key for row in rows for key in row))

    def column(self, key: str) -> str:
        """The table's column for a record's key: this one, or one that differs in case only."""
        column = key if key in self.types else self._folded.get(key.lower())
        if column is None:
            names = list(self.types)
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            raise BadRecordsError(
                f"The table {self.called} has no column {key!r}; it has"
                f" {', '.join(names[:LISTED])}{more}.",
                table=self.called,
                column=key,
            )
        return column

    def texts(self, rows: Sequence[Row], keys: Sequence[str]) -> list[list[str | object | None]]:
        """Each row's values in the order of `keys`: texts, None for null, MISSING for none."""
        columns = [self.column(key) for key in keys]
        fits = [
            (key, column, self._fits[column]) for key, column in zip(keys, columns, strict=True)
        ]
        found = []
        for place, row in enumerate(rows):
            texts: list[str | object | None] = []
            for key, column, fit in fits:
                value = row.get(key, MISSING)
                if value is None or value is MISSING:
                    texts.append(value)
                    continue
                try:
                    text = fit(value)
                    self._require_storable(text)
                except Unfit as exc:
                    raise BadRecordsError(
                        f"Record {place} for the table {self.called}: {shown(value)} does not fit"
                        f" the column {column} ({self.types[column]}): {exc}.",
                        table=self.called,
                        column=column,
                    ) from exc
                texts.append(text)
            found.append(texts)
        return found

    def _require_storable(self, text: str) -> None:
        if not self.nul and "\0" in text:
            raise Unfit("it holds the character NUL")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as exc:
                raise Unfit("it holds half of a surrogate pair") from exc


def quoted(name: str) -> str:
    """A name in SQL, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _folded(plain: str) -> str:
    return plain.lower() if PLAIN.fullmatch(plain) else plain
