"""The section [[events]]: which events are posted where and how often, where they must come out
again, and how much may go wrong.

The two ends are those of routes, of any kind; what is different is the pace. A route sends a
thousand records and is done, an event pipeline gets one every few seconds for as long as it is
watched.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from pytest_vdkprobe.routes.settings import COUNTED, End

SHORTEST_INTERVAL_S = 0.001


class EventsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One event pipeline."""

    name: str
    label: str | None = None
    """The value of the label `app_id` of the seeds' metrics; the name, unless given."""
    target: End
    """Where events are posted."""
    reader: End
    """Where they must come out."""
    profile: str = "small"
    interval_s: float = 10.0
    events: int = 6
    """How many a run posts; a watch goes on."""
    within_s: float = 30.0
    """An event that comes out later than this after its slot is late."""
    late_s: float = 30.0
    """How long beyond that it is waited for before it is lost."""
    quiet_s: float = 1.0
    """How long a run goes on listening when all have come: duplicates come after what they
    repeat."""
    max_consecutive_errors: int = 10
    """So many posts in a row that fail end the posting, and a watch."""
    at_once: int = 16
    """How many posts may be under way; a slot that finds so many is missed."""
    table_s: float = 0.0
    """How often a watch prints the table of the newest events; 0: never."""
    allow: dict[str, int] = {}
    """How many of each class are no failure, in a run or in a round of a watch."""

    def __post_init__(self) -> None:
        if not SHORTEST_INTERVAL_S <= self.interval_s < float("inf"):
            raise ValueError(f"interval_s: must be {SHORTEST_INTERVAL_S} seconds or more")
        for name in ("events", "max_consecutive_errors", "at_once"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        if not 0 < self.within_s < float("inf"):
            raise ValueError("within_s: must be more than 0 seconds")
        for name in ("late_s", "quiet_s", "table_s"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be 0 seconds or more")
        for name, count in self.allow.items():
            if name not in COUNTED:
                raise ValueError(f"allow: {name} is none of {', '.join(COUNTED)}")
            if count < 0:
                raise ValueError(f"allow: {name} must be 0 or more")

    @property
    def app_id(self) -> str:
        """The label's value."""
        return self.label or self.name

    @property
    def limits(self) -> Mapping[str, int]:
        """What `require` is told."""
        return self.allow
