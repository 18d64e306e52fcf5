"""The section [[routes]]: where records go in, where they must come out, and how they are sent.

A route's two ends are tables of their own kinds; they are typed when the kind is known, so that a
user's kind of target is checked as well as ours.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pytest_vdkprobe.errors import ConfigError

DIRECT = "direct"
"""The way in which the probe itself sends."""
JOB = "job"
"""The way in which a data job sends, with VDK's ingestion."""
WAYS = (DIRECT, JOB)
COUNTED = ("lost", "duplicate", "corrupted", "late", "refused", "foreign", "reordered")
"""What `allow` may name: the classes of an account that can be tolerated."""


class End(msgspec.Struct, frozen=True):
    """One end of a route: its kind alone, which says what the other keys are and how typed.

    They are read when the kind is known, so that nothing here holds a secret in plain.
    """

    kind: str


class ByJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The data job that sends a route's records. What is left out follows from the target."""

    name: str | None = None
    """What the job is called, with the run's id behind it; `ingest-ROUTE`, unless given."""
    path: str | None = None
    """A job directory of your own, in place of ours; relative to the configuration's folder."""
    method: str | None = None
    """VDK's ingestion method; the target's kind, unless given."""
    target: str | None = None
    """What VDK is told as `target`, where the platform reaches the place by another address."""
    table: str | None = None
    """What VDK is told as `destination_table`."""
    profiles: tuple[str, ...] | None = None
    """What is sent by the job: the first of the route's profiles, unless given."""
    records: int | None = None
    """How many of each profile, when not as many as the route's."""
    vdk: dict[str, str | int | float | bool] = {}
    """Settings of vdk in the job's config.ini, over those that follow from the target."""
    kafka: dict[str, str | int | float | bool] = {}
    """Options of the Kafka producer in the job, as kafka-python names them."""
    python_version: str | None = None
    vdk_version: str | None = None


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One route. Texts in `target`, `reader`, `job` may hold {run} {route} {profile} {way}."""

    name: str
    target: End
    """Where records go in."""
    reader: End
    """Where they must come out."""
    ways: tuple[str, ...] = (DIRECT,)
    """Who sends: `direct` is the probe itself, `job` a data job with VDK's ingestion."""
    job: ByJob = ByJob()
    """The job of the way `job`."""
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

    def profiles_of(self, way: str) -> tuple[str, ...]:
        """What is sent this way; nothing where the route does not go it."""
        if way not in self.ways:
            return ()
        if way == JOB:
            return self.profiles[:1] if self.job.profiles is None else self.job.profiles
        return self.profiles

    def records_of(self, way: str) -> int:
        """How many records of each profile are sent this way."""
        return self.job.records or self.records if way == JOB else self.records

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
        self._check_ways(wrong)
        for name in self.allow:
            if name not in COUNTED:
                known = "write one of " + ", ".join(COUNTED)
                wrong("Nothing in an account is called so.", f"allow.{name}", name, known)
        return found

    def _check_ways(self, wrong: Callable[[str, str, object, str], None]) -> None:
        for number, way in enumerate(self.ways):
            if way not in WAYS:
                known = "write one of " + ", ".join(WAYS)
                wrong("There is no such way to send records.", f"ways.{number}", way, known)
        if not self.ways:
            wrong("A route without a way sends nothing.", "ways", (), 'write ["direct"]')
        if self.job != ByJob() and JOB not in self.ways:
            more = 'write ways = ["direct", "job"], or remove it'
            wrong("A job is described that no way of the route needs.", "job", "...", more)
        if self.job.records is not None and self.job.records < 1:
            wrong("A job sends one record at least.", "job.records", self.job.records, "write 100")
        if self.job.profiles == ():
            wrong("A job without a profile sends nothing.", "job.profiles", (), 'write ["small"]')
