"""Counters of events: each event counts once for each class that it was ever in, over restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from pyroaring import BitMap64

from pytest_vdkprobe import clock
from pytest_vdkprobe.accounting.account import Account, reconcile
from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.events.books import Books
from pytest_vdkprobe.events.metrics import EventMetrics
from pytest_vdkprobe.events.settings import EventsSettings
from pytest_vdkprobe.metrics.recorder import Recorder

END = {"kind": "file", "path": "x"}
SETTINGS = msgspec.convert(
    {"name": "p", "target": END, "reader": END, "interval_s": 1.0, "within_s": 200, "late_s": 300},
    EventsSettings,
)
ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)


class Kept:
    """Books that are kept, what was seen, and the metrics of both."""

    def __init__(self, folder: Path, recorder: Recorder) -> None:
        self.recorder = recorder
        self.metrics = EventMetrics(recorder, SETTINGS, check="events[p]")
        self.books = Books.kept(SETTINGS, folder, "p", totals=self.metrics.totals())
        self.books.begin()
        self._before: Account | None = None
        if not self.books.resumed:
            # Or the books would end later than now, as after a clock that was set back.
            self.books.ledger.rebase(self.books.start_us - 60_000_000)
        else:
            seen = self.books.seen()
            assert seen is not None
            late = tuple(seen.late or ())
            self._before = self._account(frozenset(seen.seen), clock.now_us(), late)
        self.metrics.begin(self.books, self._before)

    def look(self, *seen: int, late: tuple[int, ...] = (), second: float) -> None:
        """A look at this second of the schedule, when so many had been seen."""
        now_us = self.books.start_us + round(second * 1e6)
        account = self._account(frozenset(seen), now_us, late)
        self.books.note(account.observation)
        self.metrics.update(account, self._before, (), self._expectation)
        self._before = account

    def count(self, name: str) -> float:
        """What a counter stands at."""
        found = self.recorder.counter
        if name.startswith("probe_"):
            return found(name, app_id="p").value
        return found(f"vdkprobe_events_{name}_total", check="events[p]").value

    @property
    def _expectation(self):  # type: ignore[no-untyped-def]  # long, and of no interest
        return self.books.ledger.expectation(within_s=200, late_s=300)

    def _account(self, seen: frozenset[int], now_us: int, late: tuple[int, ...] = ()) -> Account:
        observation = Observation(seen=BitMap64(seen), late=BitMap64(late), reordered=0)
        return reconcile(self._expectation, observation, now_us=now_us)


@contextmanager
def kept(folder: Path, recorder: Recorder) -> Iterator[Kept]:
    made = Kept(folder, recorder)
    try:
        yield made
    finally:
        made.books.close()


def test_lost_event_that_comes_after_all_hides_no_later_loss(tmp_path: Path) -> None:
    with kept(tmp_path, Recorder()) as made:
        made.books.ledger.intend(range(10))
        made.books.ledger.settle(range(10), [ACKNOWLEDGED] * 10)
        made.look(0, 1, second=502.5)
        assert made.count("lost") == made.count("probe_events_lost") == 1  # 2
        made.look(0, 1, 2, late=(2,), second=502.6)
        assert (made.count("lost"), made.count("late")) == (1, 1)
        # 3 is lost while 2 is lost no more: as many as before, and one more than ever.
        made.look(0, 1, 2, late=(2,), second=503.5)
        assert made.count("lost") == made.count("probe_events_lost") == 2


def test_unknown_event_that_is_heard_later_is_delivered_and_was_unknown(tmp_path: Path) -> None:
    recorder = Recorder()
    with kept(tmp_path, recorder) as made:
        made.books.ledger.intend(range(2))
        made.books.ledger.settle([0, 1], [ACKNOWLEDGED] * 2)
        made.look(second=1.0)
    with kept(tmp_path, recorder) as again:
        assert again.books.taken_over == [0, 1]
        again.look(0, second=4.0)
        assert (again.count("delivered"), again.count("unknown")) == (1, 0)
        again.look(0, second=520.0)
        assert (again.count("unknown"), again.count("lost")) == (1, 0)
        assert again.count("probe_event_post_errors") == 0
        assert again.count("probe_events_posted") == 2
        again.look(0, 1, late=(1,), second=521.0)
        assert (again.count("delivered"), again.count("late")) == (1, 1)
        assert (again.count("unknown"), again.count("lost")) == (1, 0)
        assert again.count("probe_events_received") == 2
    with kept(tmp_path, recorder) as last:
        assert (last.count("delivered"), last.count("late")) == (1, 1)
        assert (last.count("unknown"), last.count("lost"), last.count("sent")) == (1, 0, 2)


def test_what_a_kill_left_uncounted_is_counted_by_who_takes_over(tmp_path: Path) -> None:
    with kept(tmp_path, Recorder()) as made:
        made.books.ledger.intend(range(3))
        made.books.ledger.settle(range(3), [ACKNOWLEDGED] * 3)
        made.look(0, 1, 2, second=1.0)
    with kept(tmp_path, Recorder()) as again:  # its counters have seen nothing of it
        assert (again.count("sent"), again.count("delivered")) == (3, 3)
