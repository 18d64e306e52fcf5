"""Where a setting came from, so that every print and every error can say it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Key = tuple[str, ...]
"""A setting's place: `("jobs", "0", "name")`, written `jobs.0.name`."""


class Origin(NamedTuple):
    """One place that settings come from; `kind` decides how errors and secrets are treated."""

    text: str
    kind: Literal["file", "environment", "command line", "default"]


DEFAULT = Origin("default", "default")
COMMAND_LINE = Origin("--vdk-set", "command line")


def dotted(key: Key) -> str:
    """`jobs.0.name`, as --vdk-set takes it."""
    return ".".join(key)


def as_key(text: str) -> Key:
    """The key that `jobs.0.name` or `jobs[0].name` is written for."""
    return tuple(part.strip() for part in text.replace("[", ".").replace("]", "").split("."))
