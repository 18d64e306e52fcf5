"""The one way to wait: a deadline, polls that start in milliseconds and back off, and a memory.

Fixed sleeps are what made the heartbeat before us slow and blind: they pay the full price when the
answer is early and say nothing when it never comes. Here a wait ends at the first poll that
satisfies it, and one that does not tells every state it saw and when. Nothing else in the package
sleeps; whoever wants to draw a wait subscribes to its events.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from pytest_vdkprobe.errors import WaitFailure
from pytest_vdkprobe.secrets import redact

T = TypeVar("T")

FIRST_PAUSE_S = 0.005
GROWTH = 1.6
LONGEST_PAUSE_S = 5.0
LONGEST_HISTORY = 41
"""Sightings kept; beyond, those in the middle become one: the first and the last tell the story."""
LONGEST_SECRET = 8192
"""Half a secret is not recognised, so a long text is cut this far behind, masked, and cut again."""
LONGEST_STATE = 300
"""Characters kept of a state: a service may answer megabytes."""


class Pace(NamedTuple):
    """How often a wait looks, where its caller does not say: soon at first, then ever less."""

    first_pause_s: float = FIRST_PAUSE_S
    longest_pause_s: float = LONGEST_PAUSE_S


_pace: ContextVar[Pace] = ContextVar("vdkprobe_pace", default=Pace())  # noqa: B039 - a tuple


def set_pace(pace: Pace) -> None:
    """Let the waits of this thread look so often, from now on."""
    _pace.set(pace)


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock; setting the wall clock does not move it."""

    at: float
    name: str = "deadline"

    @classmethod
    def after(cls, seconds: float, name: str = "deadline") -> Deadline:
        """The moment `seconds` from now; `name` is how messages call it."""
        return cls(time.monotonic() + seconds, name)

    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self.at

    def within(self, seconds: float, name: str | None = None) -> Deadline:
        """The earlier of this deadline and `seconds` from now."""
        other = Deadline.after(seconds, name or self.name)
        return other if other.at < self.at else self


@dataclass(frozen=True)
class Sighting:
    """One observed state, with the seconds into the wait when it was first and last seen."""

    state: str
    first_s: float
    last_s: float
    polls: int = 1

    def __str__(self) -> str:
        times = (
            f"at {self.first_s:.1f} s"
            if self.polls == 1
            else (f"from {self.first_s:.1f} to {self.last_s:.1f} s, {self.polls} polls")
        )
        return f"{self.state} ({times})"


@dataclass(frozen=True)
class Waited(Generic[T]):
    """How a wait ended: the value that satisfied it, and the states on the way there."""

    value: T
    polls: int
    elapsed_s: float
    history: tuple[Sighting, ...]

    def __str__(self) -> str:
        return " -> ".join(sighting.state for sighting in self.history)


@dataclass(frozen=True)
class WaitEvent:
    """What a live display needs to know of a wait that is under way."""

    what: str
    state: str
    polls: int
    elapsed_s: float
    limit_s: float
    finished: bool


_listeners: list[Callable[[WaitEvent], None]] = []


@contextmanager
def listening(listener: Callable[[WaitEvent], None]) -> Iterator[None]:
    """Send every wait's events to `listener` while the block runs."""
    _listeners.append(listener)
    try:
        yield
    finally:
        # It may be gone already, see _tell.
        with suppress(ValueError):
            _listeners.remove(listener)


def wait_until(
    what: str,
    poll: Callable[[], T],
    *,
    done: Callable[[T], bool],
    deadline: Deadline,
    describe: Callable[[T], str] = repr,
    expected: str | None = None,
    checked: str | None = None,
    to_try: str | None = None,
    first_pause_s: float | None = None,
    longest_pause_s: float | None = None,
) -> Waited[T]:
    """Poll until `done(value)`, at least once, at most until `deadline`.

    What `poll` raises ends the wait as it is: which errors are worth another try is for the
    caller's `poll` to decide. Raises WaitFailure with every state seen when the deadline passes.
    """
    started = time.monotonic()
    limit_s = deadline.remaining_s()
    history: list[Sighting] = []
    pace = _pace.get()
    pause_s = pace.first_pause_s if first_pause_s is None else first_pause_s
    longest_s = pace.longest_pause_s if longest_pause_s is None else longest_pause_s
    polls = 0
    while True:
        value = poll()
        polls += 1
        elapsed_s = time.monotonic() - started
        _remember(history, describe(value), elapsed_s)
        finished = done(value)
        _tell(WaitEvent(what, history[-1].state, polls, elapsed_s, limit_s, finished))
        if finished:
            return Waited(value, polls, elapsed_s, tuple(history))
        left_s = deadline.remaining_s()
        if left_s <= 0:
            raise WaitFailure(
                f"{what}: not within {limit_s:.1f} s ({deadline.name}).",
                seen=", then ".join(str(sighting) for sighting in history),
                expected=expected,
                checked=checked,
                to_try=to_try,
            )
        time.sleep(min(pause_s, left_s))
        pause_s = min(pause_s * GROWTH, longest_s)


def pause(seconds: float, *, deadline: Deadline | None = None) -> None:
    """Let `seconds` pass, or what is left until `deadline`: for back-off, never for hope."""
    time.sleep(max(0.0, seconds if deadline is None else min(seconds, deadline.remaining_s())))


def _tell(event: WaitEvent) -> None:
    """Tell the listeners; one that fails is dropped, because drawing must not decide a verdict."""
    for listener in list(_listeners):
        try:
            listener(event)
        except Exception:  # noqa: BLE001 - whatever it is, it is only the display
            _log.warning("a display of waits failed and is switched off", exc_info=True)
            with suppress(ValueError):
                _listeners.remove(listener)


def _remember(history: list[Sighting], state: str, elapsed_s: float) -> None:
    """Add a state, or lengthen the last sighting when nothing changed: memory stays flat."""
    if len(state) > LONGEST_STATE:
        # Redacted before it is cut: half a secret would not be recognised later.
        shown = redact(state[: LONGEST_STATE + LONGEST_SECRET])[:LONGEST_STATE]
        state = f"{shown}... ({len(state)} characters)"
    if history and history[-1].state == state:
        last = history[-1]
        history[-1] = Sighting(state, last.first_s, elapsed_s, last.polls + 1)
    else:
        history.append(Sighting(state, elapsed_s, elapsed_s))
    if len(history) > LONGEST_HISTORY:
        middle = LONGEST_HISTORY // 2
        first, second = history[middle : middle + 2]
        history[middle : middle + 2] = [
            Sighting("other states", first.first_s, second.last_s, first.polls + second.polls)
        ]
