"""The `[watch]` and `[metrics]` sections: how often, where state is kept, who is told."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import ConfigError

FOREVER = "forever"
PORT = 8000
"""The seeds'."""
_NUMBER = r"(\d+(?:\.\d+)?)"
_PARTS = re.compile(rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s?)?")
_SECONDS = (86_400, 3_600, 60, 1)


class PingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An outside monitor that raises an alarm when it is not called for a while."""

    url: str | SecretRef
    """Called after each round that leaves every check passed. Whoever knows it can call it."""
    fail_url: str | SecretRef | None = None
    """Called after each other round, where the monitor has an address for that."""
    method: Literal["GET", "HEAD", "POST"] = "GET"
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        for name in ("url", "fail_url"):
            url = getattr(self, name)
            if isinstance(url, str):
                _check_url(name, url)
        _check_positive(self, "timeout_s")


class WatchSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the chosen scenarios go round with `--vdk-watch`."""

    interval_s: float = 60.0
    """From the beginning of one round of a scenario to the next."""
    intervals: dict[str, float] = {}
    """Other intervals of single scenarios, by name: `{ heartbeat = 300 }`."""
    state_folder: FilePath | None = None
    """Where counters and ledgers are kept over restarts; default: in the user's state folder."""
    ping: PingSettings | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "interval_s")
        for name, interval_s in self.intervals.items():
            if not 0 < interval_s < float("inf"):
                raise ValueError(f"intervals.{name}: must be more than 0 seconds")

    def interval_of(self, scenario: str) -> float:
        """Seconds from one round of the scenario to the next."""
        return self.intervals.get(scenario, self.interval_s)


class MetricsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How metrics are exported; where to, the options say."""

    address: str = "0.0.0.0"  # noqa: S104 - Prometheus scrapes from another machine
    """Where `--vdk-metrics-port` listens."""
    every_s: float = 15.0
    """How often a watch writes `--vdk-metrics-file`, pushes to `--vdk-pushgateway` and calls the
    hook `pytest_vdkprobe_metrics`."""
    job: str = "vdkprobe"
    """The job that is pushed under."""
    grouping: dict[str, str] = {}
    """Further labels of the group that is pushed, e.g. `{ instance = "blue" }`."""
    remove_at_end: bool = False
    """Whether the group is removed from the Pushgateway when a watch ends."""
    timeout_s: float = 10.0
    """For one push."""

    def __post_init__(self) -> None:
        _check_positive(self, "every_s")
        _check_positive(self, "timeout_s")
        if not self.job:
            raise ValueError("job: can't be empty")
        for name in self.grouping:
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name == "job":
                raise ValueError(f"grouping.{name}: is no name of a label, or the job's")


def parse_duration(text: str) -> float | None:
    """Seconds of `90`, `90s`, `10m`, `1h30m`, `2d`; None for `forever`.

    Raises ConfigError for anything else: an option with a value that may be left out swallows the
    path behind it.
    """
    if text == FOREVER:
        return None
    found = _PARTS.fullmatch(text)
    seconds = 0.0
    if found:
        seconds = sum(float(p) * s for p, s in zip(found.groups(), _SECONDS, strict=True) if p)
    if seconds > 0:
        return seconds
    raise ConfigError(
        "--vdk-watch takes a duration, and this is none.",
        key="--vdk-watch",
        value=text,
        expected="something like 90s, 10m, 1h30m or forever",
        to_try=f"write --vdk-watch={FOREVER} {text}" if found is None else "leave it out",
    )


def is_url(text: str) -> bool:
    """Whether it is the address of something that speaks HTTP."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _check_url(name: str, url: str) -> None:
    if not is_url(url):
        raise ValueError(f"{name}: an address begins with http:// or https:// and names a host")


def _check_positive(settings: msgspec.Struct, name: str) -> None:
    if not 0 < getattr(settings, name) < float("inf"):
        raise ValueError(f"{name}: must be more than 0 seconds")
