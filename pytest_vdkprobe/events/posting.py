"""The posting of events: each is noted in the ledger, posted once, and what became of it noted.

On a full disk nothing can be noted, so nothing is posted: an event that nobody can account for is
no probe. The schedule goes on, each of its slots tries again, and those in between are missed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe import clock
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.pace import Pace
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.events.books import Books
    from pytest_vdkprobe.events.metrics import EventMetrics
    from pytest_vdkprobe.events.settings import EventsSettings

POST_LIMIT_S = 120.0
"""Beyond the target's own limits: for one that has none."""


class Posting:
    """Posts to `target` when `pace` says so. `limit` as the stream has it."""

    def __init__(
        self,
        settings: EventsSettings,
        books: Books,
        target: Any,
        *,
        metrics: EventMetrics | None,
        limit: int | None,
    ) -> None:
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        self.settings = settings
        self.books = books
        self.target = target
        self.limit = limit
        self.writing = threading.Lock()
        """Over the ledger, which the schedule and all posters write."""
        self.under_way = 0
        self.gave_up: str | None = None
        """Why no more events are posted."""
        self.trouble: ProbeError | None = None
        """Why none can be noted, and so none is posted, at the moment."""
        self.barred: BitMap64 = BitMap64()
        """Events that were not taken because our login was not."""
        self.barred_by = ""
        """What was answered to the last of these."""
        self._errors = 0
        self._closed = False
        self._metrics = metrics
        self._profile = profile(settings.profile)
        self.pace = Pace(
            "vdkprobe-posts",
            interval_s=settings.interval_s,
            open_worker=self._poster,
            begin=self._intend,
            # A target of one connection posts one after the other.
            at_once=settings.at_once if hasattr(target, "another") else 1,
            limit=limit,
        )

    def close(self) -> None:
        """Close the books; an open post is unknown in them, and stays so."""
        with self.writing:
            self._closed = True
            self.books.close()

    def _poster(self) -> _Poster:
        another = getattr(self.target, "another", None)
        if another is None:
            return _Poster(self._post, self.target, own=False)
        return _Poster(self._post, another(), own=True)

    def _intend(self, slot: int, _due: float) -> bool:
        """Note that it is about to be posted; False where that can't be."""
        try:
            with self.writing:
                self.books.ledger.intend(range(slot, slot + 1))
                self.under_way += 1
        except ProbeError as problem:
            if self.limit is not None:
                raise
            self.trouble = problem
            return False
        self.trouble = None
        if self._metrics is not None:
            self._metrics.sent(clock.monotonic_of(self.books.intended_us(slot)))
        return True

    def _post(self, target: Any, slot: int) -> None:
        """Post one event, once, and note what became of that."""
        intended_us = self.books.intended_us(slot)
        record = self._profile.make(self.books.run_id, slot, sent_at_us=intended_us)
        try:
            (result,) = target.send([record], deadline=Deadline.after(POST_LIMIT_S))
        except Exception as exc:  # noqa: BLE001 - a bug of a target must not end the schedule
            result = SendResult(Outcome.UNKNOWN, f"{type(exc).__name__}: {exc}")
        took_s = (clock.now_us() - intended_us) / 1e6
        with self.writing:
            self.under_way -= 1
            if self._closed:
                return
            self.books.ledger.settle([slot], [result], soon=True)
            self._count(slot, result)
        if self._metrics is not None:
            self._metrics.posted(
                clock.monotonic_of(intended_us), took_s=took_s, outcome=result.outcome
            )

    def _count(self, slot: int, result: SendResult) -> None:
        if result.login:
            self.barred.add(slot)
            self.barred_by = result.reason
        good = result.outcome is Outcome.ACKNOWLEDGED
        self._errors = 0 if good else self._errors + 1
        if self._errors >= self.settings.max_consecutive_errors and self.gave_up is None:
            self.gave_up = result.reason or str(result.outcome)
            self.pace.stop()


class _Poster:
    """A worker of the schedule; `own` says that nobody else uses its target."""

    def __init__(self, post: Callable[[Any, int], None], target: Any, *, own: bool) -> None:
        self._post = post
        self._target = target
        self._own = own

    def serve(self, slot: int, due: float) -> None:
        """Post the event of this slot."""
        self._post(self._target, slot)

    def close(self) -> None:
        """Give back its connections."""
        if self._own:
            self._target.close()
