"""Why records do not land: the records' own fault, or the engine's."""

from __future__ import annotations


class BadRecordsError(ValueError):
    """The records can't land as they are: no such table or column, or a value that does not fit.

    Nothing of their batch landed. `table` and `column` say where, empty where it is not about one.
    """

    def __init__(self, why: str, *, table: str = "", column: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.table = table
        self.column = column


class EngineDownError(Exception):
    """The engine behind could not take the records: it is not there, ends, or is full."""
