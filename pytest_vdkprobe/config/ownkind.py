"""The member of a tagged union that stands for all kinds of users' own.

A union's members are fixed when its module is imported, and a user's kind comes later; so its table
is fitted to its own type, and kept in this one.
"""

from __future__ import annotations

from typing import Any

import msgspec


class OwnKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="own"):
    """A table of the kind `name`, checked against the type that was registered for it."""

    name: str
    table: dict[str, Any]

    @staticmethod
    def type_of(name: str) -> type[msgspec.Struct] | None:
        """The type of that kind's settings, if somebody has brought it."""
        raise NotImplementedError

    @staticmethod
    def names() -> list[str]:
        """The kinds that users have brought."""
        raise NotImplementedError
