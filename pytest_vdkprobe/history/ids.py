"""GUIDs as people and scripts write them, and as the database has them."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator

from pytest_vdkprobe.errors import ConfigError


def guid(text: str, *, what: str) -> str:
    """The GUID in its usual form; `what` it should name. Raises ConfigError."""
    try:
        return str(uuid.UUID(text))
    except ValueError as exc:
        raise ConfigError(
            f"{text!r} is no id of {what}.",
            key=f"{what} id",
            expected="a GUID like 3f0c8a52-8f3e-4f0e-9a53-0f6d2f1f4a11",
        ) from exc


def new_guid() -> str:
    """A GUID that nobody has."""
    return str(uuid.uuid4())


def new_guids() -> Iterator[str]:
    """Any number of GUIDs that nobody has, in order: an index takes those a few times quicker."""
    first = new_guid()[:24]
    return (f"{first}{number:012x}" for number in itertools.count())
