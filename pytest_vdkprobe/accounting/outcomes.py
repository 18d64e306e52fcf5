"""What a target knows of a record that it was given: one of three words, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """The fate of one send, as far as the sender can tell."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Timed out or cut: it may have had its effect, and is never sent again under its number."""


class SendResult(NamedTuple):
    """One record's outcome; `reason` says why it was not acknowledged, without secrets."""

    outcome: Outcome
    reason: str = ""
    login: bool = False
    """Whether it was not taken because our login was not, or may not write."""
