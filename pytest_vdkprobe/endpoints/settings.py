"""The section [[endpoints]]: which call is made how often, what its answer must be like, and what
of a run may go wrong."""

from __future__ import annotations

from typing import Any

import msgspec

from pytest_vdkprobe.accounting.latency import QUANTILES
from pytest_vdkprobe.control.endpoint import EndpointSettings
from pytest_vdkprobe.endpoints.conditions import Conditions

SHORTEST_INTERVAL_S = 0.0005
"""What one process can keep up with, with some room."""


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much may go wrong before a run, or a watch's round, fails; whichever is more."""

    failed: int = 0
    """So many tasks."""
    failed_share: float = 0.0
    """Or this share of those that have ended."""

    def __post_init__(self) -> None:
        if self.failed < 0:
            raise ValueError("allow.failed: must be 0 or more")
        if not 0 <= self.failed_share <= 1:
            raise ValueError("allow.failed_share: must be a share, from 0 to 1")

    def of(self, ended: int) -> int:
        """How many of so many."""
        return max(self.failed, int(self.failed_share * ended))


class EndpointTasksSettings(
    EndpointSettings, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """One endpoint. Its tasks are calls, made every `interval_s` whatever the last ones do."""

    name: str
    label: str | None = None
    """The value of the label `app_id` of the seeds' metrics; the name, unless given."""
    method: str = "GET"
    body: str | None = None
    json: Any = None
    """A body that is sent as JSON."""
    interval_s: float = 10.0
    tasks: int = 6
    """How many a run makes; a watch goes on."""
    at_once: int = 64
    """How many may be under way; a slot that finds so many is missed, and counted as such."""
    expect: Conditions = Conditions()
    allow: Allowed = Allowed()
    latency: dict[str, float] = msgspec.field(default_factory=dict)
    """What these quantiles of a run may be at most, in seconds: p50, p90, p99, max."""
    dismiss_s: float = 86400.0
    """After this a task is no longer tracked; one that has not ended by then has failed."""
    clean_s: float = 300.0
    """How often the backlog is cleaned of these."""
    table_s: float = 0.0
    """How often the table of all tracked tasks is printed; 0: never."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not SHORTEST_INTERVAL_S <= self.interval_s < float("inf"):
            raise ValueError(f"interval_s: must be {SHORTEST_INTERVAL_S} seconds or more")
        for name in ("tasks", "at_once"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        for name in ("dismiss_s", "clean_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0 seconds")
        if not 0 <= self.table_s < float("inf"):
            raise ValueError("table_s: must be 0 seconds or more")
        if self.body is not None and self.json is not None:
            raise ValueError("json: body is given too; a call has one body")
        for name, limit in self.latency.items():
            if name not in QUANTILES:
                raise ValueError(f"latency: {name} is none of {', '.join(QUANTILES)}")
            if not 0 < limit < float("inf"):
                raise ValueError(f"latency: {name} must be more than 0 seconds")

    @property
    def app_id(self) -> str:
        """The label's value."""
        return self.label or self.name

    @property
    def sla_s(self) -> float:
        """Within this a task should end; the edges of the histogram come from it."""
        return self.expect.within_s or self.connect_timeout_s + self.read_timeout_s
