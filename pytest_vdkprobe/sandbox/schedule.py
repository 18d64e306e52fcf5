"""The cluster's cron: which minute it is, and which deployments are due in it.

Schedules are read in UTC. A cron minute can be made to last a second or less: then this clock runs
ahead of the wall's from the moment the sandbox starts, minute by minute, so that every expression
still means what it says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

MACROS = frozenset(
    {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
)
FIELDS = 5
MINUTE_S = 60


def is_valid_cron(text: str) -> bool:
    """Whether Kubernetes would take `text`: five fields, or one of its macros."""
    from croniter import croniter  # type: ignore[import-untyped]  # noqa: PLC0415 - takes 30 ms

    if text in MACROS:
        return True
    return len(text.split()) == FIELDS and bool(croniter.is_valid(text))


def next_run_epoch_s(text: str | None, after: datetime) -> int:
    """When `text` fires next, in epoch seconds; -1 where it never will."""
    from croniter import CroniterError, croniter  # noqa: PLC0415 - takes 30 ms

    if not text or not is_valid_cron(text):
        return -1
    try:
        return int(croniter(text, after).get_next(float))
    except CroniterError:
        return -1


def is_due(text: str | None, minute: datetime) -> bool:
    """Whether `text` fires in the minute that begins at `minute`."""
    from croniter import CroniterError, croniter  # noqa: PLC0415 - takes 30 ms

    if not text or not is_valid_cron(text):
        return False
    try:
        return bool(croniter.match(text, minute))
    except CroniterError:  # a date that never comes, such as 30 February
        return False


class Clock:
    """Cron's clock: the wall's at the start, then one cron minute every `tick_s` seconds."""

    def __init__(self, tick_s: float) -> None:
        self._tick_s = tick_s
        self._speed = MINUTE_S / tick_s
        self._wall = time.time()
        self._monotonic = time.monotonic()

    def minute(self) -> int:
        """The current cron minute, counted from the epoch as Kubernetes names its jobs."""
        elapsed_s = time.monotonic() - self._monotonic
        return int((self._wall + elapsed_s * self._speed) // MINUTE_S)

    def until_s(self, minute: int) -> float:
        """Seconds from now until `minute` begins."""
        due = (minute * MINUTE_S - self._wall) / self._speed
        return max(0.0, due - (time.monotonic() - self._monotonic))


def start_of(minute: int) -> datetime:
    """The moment a cron minute begins."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)


class Scheduler:
    """Calls `fire(minute)` once at the start of each cron minute, on a thread of its own."""

    def __init__(self, clock: Clock, fire: Callable[[int], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sandbox-cron", daemon=True)

    def start(self) -> None:
        """Begin with the next minute."""
        self._thread.start()

    def close(self) -> None:
        """Fire no more. Idempotent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _run(self) -> None:
        minute = self._clock.minute() + 1
        while not self._stop.wait(self._clock.until_s(minute)):
            self._fire(minute)
            # A minute that was slept through (a suspended machine) is skipped, not made up for.
            minute = max(minute, self._clock.minute()) + 1
