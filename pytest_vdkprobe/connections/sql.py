"""What PostgreSQL and Trino have in common for a probe: names, statements with an end, errors.

A driver's own timeouts bound single reads, so a server that hangs, drips or was frozen could hold a
probe for ever. Here each statement has a deadline that holds whatever the other side does, and an
error says what is known of a statement's fate, since for a write that is the whole question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.engines import Engine
    from pytest_vdkprobe.waiting import Deadline

Row = Sequence[Any]

GRACE_S = 1.0
"""How much longer than a statement's deadline its thread is waited for: the server, which is told
the deadline too, ends it with a better message."""

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".\s][^".]*)')
_NAME = re.compile(rf"(?:{_PART.pattern})(?:\.(?:{_PART.pattern}))*")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
LONGEST_SAID = 300


class Fate(Enum):
    """What is known of a statement that failed."""

    NOT_SENT = "not sent"
    """The server never had it: no connection came about."""
    REFUSED = "refused"
    """The server said no, and nothing of it was kept."""
    UNKNOWN = "unknown"
    """No answer, or one that leaves it open: it may have had its effect."""


class SqlError(Exception):
    """A statement failed. `said` is the reason in one line, `code` the server's own for it."""

    def __init__(self, said: str, *, fate: Fate, code: str = "", timed_out: bool = False) -> None:
        super().__init__(said)
        self.said = said
        self.fate = fate
        self.code = code
        self.timed_out = timed_out

    @property
    def gone(self) -> bool:
        """Whether the server did not answer, rather than say no."""
        return self.fate is not Fate.REFUSED and not self.timed_out

    def __str__(self) -> str:
        return f"{self.said} ({self.code})" if self.code else self.said


class Name(NamedTuple):
    """Where a table is; the parts as the engine keeps them, the table's own name last."""

    parts: tuple[str, ...]

    @classmethod
    def of(cls, text: str, *, key: str = "table") -> Name:
        """From `table`, `schema.table` or more, each part quoted ("a.b") or not.

        As in SQL, case counts only inside quotes; unlike there, other characters need none. Raises
        ValueError, naming `key`.
        """
        if not _NAME.fullmatch(text):
            raise ValueError(
                f"{key}: {text!r} can't be a table's name; write for example schema.table,"
                ' or "my table" with quotes'
            )
        return cls(tuple(_parts(text)))

    def __str__(self) -> str:
        return ".".join(self.parts)

    @property
    def sql(self) -> str:
        """As SQL has it, whatever the parts consist of."""
        return ".".join(quoted(part) for part in self.parts)


class Database(Protocol):
    """A connection that opens itself when it is needed, and again when it was cut."""

    engine: Engine

    @property
    def place(self) -> str:
        """The server and the database, for messages and leases; no secrets."""

    def run(self, sql: str, parameters: Row = (), *, deadline: Deadline) -> list[Row]:
        """The rows of one statement, `?` standing for each parameter.

        Raises SqlError, or a ProbeError when the server can't be reached or doesn't let us in.
        """

    def stream(
        self, sql: str, parameters: Row, take: Callable[[Row], None], *, deadline: Deadline
    ) -> None:
        """Hand each row to `take`, which runs in another thread, with few in memory at a time."""

    def stream_numbers(
        self, sql: str, parameters: Row, take: Callable[[Row], None], *, deadline: Deadline
    ) -> None:
        """As `stream`, of rows that have nothing but whole numbers; may be quicker."""

    def close(self) -> None:
        """Let go of the server. May be called again."""


def _parts(text: str) -> Iterator[str]:
    for in_quotes, plain in _PART.findall(text):
        if in_quotes:
            yield in_quotes.replace('""', '"')
        else:
            yield plain.lower() if _PLAIN.fullmatch(plain) else plain


def quoted(name: str) -> str:
    """An identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL, for statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def one_line(text: object) -> str:
    """A server's message, cut: some hold whole statements, or stack traces."""
    said = " ".join(str(text).split())
    return said if len(said) <= LONGEST_SAID else f"{said[:LONGEST_SAID]}..."
