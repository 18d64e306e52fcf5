"""The section [[routes]]: where records go in, where they must come out, and how they are sent.

A route's two ends are tables of their own kinds; they are typed when the kind is known, so that a
user's kind of target is checked as well as ours.
"""

from __future__ import annotations

import msgspec

from pytest_vdkprobe.errors import ConfigError

DIRECT = "direct"
"""The way in which the probe itself sends."""
COUNTED = ("lost", "duplicate", "corrupted", "late", "refused", "foreign", "reordered")
"""What `allow` may name: the classes of an account that can be tolerated."""


class End(msgspec.Struct, frozen=True):
    """One end of a route: its kind alone, which says what the other keys are and how typed.

    They are read when the kind is known, so that nothing here holds a secret in plain.
    """

    kind: str


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One route. Texts in `target` and `reader` may hold {run} {route} {profile} {way}."""

    name: str
    target: End
    """Where records go in."""
    reader: End
    """Where they must come out."""
    profiles: tuple[str, ...] = ("small",)
    """What is sent: `small`, `typed`, `bulk`; each is a step of its own."""
    records: int = 1000
    """How many, of each profile."""
    rate_per_s: float = 1000.0
    """The schedule that latency counts from. A target that can't keep up shows as latency."""
    within_s: float = 30.0
    """A record that comes out later than this after its intended time is late."""
    late_s: float = 30.0
    """How long beyond `within_s` a record is waited for before it is lost."""
    quiet_s: float = 1.0
    """How long to go on reading when all has come out: duplicates come after what they repeat."""
    allow: dict[str, int] = {}
    """How many of each class are no failure, e.g. `{ duplicate = 5 }` of an at-least-once route."""

    def problems(self, *, file: str | None, key: str) -> list[ConfigError]:
        """Everything wrong with the numbers and names; the two ends are their kinds' affair."""
        found: list[ConfigError] = []

        def wrong(what: str, field: str, value: object, to_try: str) -> None:
            found.append(
                ConfigError(what, file=file, key=f"{key}.{field}", value=value, to_try=to_try)
            )

        if self.records < 1:
            wrong("A route sends one record at least.", "records", self.records, "write 1000, say")
        for field in ("rate_per_s", "within_s"):
            value = getattr(self, field)
            if not 0 < value < float("inf"):
                wrong("This is a positive number.", field, value, "write 30, say")
        for field in ("late_s", "quiet_s"):
            value = getattr(self, field)
            if not 0 <= value < float("inf"):
                wrong("This is a number of seconds, 0 or more.", field, value, "write 30, say")
        if not self.profiles:
            wrong("A route without a profile sends nothing.", "profiles", (), 'write ["small"]')
        for name in self.allow:
            if name not in COUNTED:
                known = "write one of " + ", ".join(COUNTED)
                wrong("Nothing in an account is called so.", f"allow.{name}", name, known)
        return found
