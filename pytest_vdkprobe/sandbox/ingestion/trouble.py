"""Why records do not land: the records' own fault, or the engine's."""

from __future__ import annotations


class NotLandedError(Exception):
    """Records did not land; `landed` of their batch had before."""

    landed = 0


class BadRecordsError(NotLandedError, ValueError):
    """The records can't land as they are: no such table or column, or a value that does not fit.

    `table` and `column` say where, empty where it is not about one.
    """

    def __init__(self, why: str, *, table: str = "", column: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.table = table
        self.column = column


class EngineDownError(NotLandedError):
    """The engine behind did not say that it took the records: it is not there, ends, or is full."""
