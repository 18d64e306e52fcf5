"""The metrics of one event pipeline: ours, and under their own names those of the seeds.

Counters are raised to what the books say, so that they are right after a restart too; whatever has
to be seen when nothing happens any more is worked out of what is in flight, when it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_vdkprobe import clock
from pytest_vdkprobe.accounting.bitmaps import each
from pytest_vdkprobe.accounting.outcomes import Outcome

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.accounting.account import Account
    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.events.books import Books
    from pytest_vdkprobe.events.settings import EventsSettings
    from pytest_vdkprobe.metrics.recorder import Counter, Recorder

OURS = (
    "sent",
    "delivered",
    "late",
    "lost",
    "refused",
    "unknown",
    "duplicate",
    "reordered",
    "corrupted",
    "foreign",
)
SEEDS = (
    "probe_events_posted",
    "probe_event_post_errors",
    "probe_events_received",
    "probe_events_lost",
    "probe_events_duplicates",
    "probe_wrong_appid",
)


class EventMetrics:
    """All series of one pipeline; they are there, at zero, from the start."""

    def __init__(self, recorder: Recorder, settings: EventsSettings, *, check: str) -> None:
        app_id = settings.app_id
        sla_s = settings.within_s
        self._flights = recorder.declare_pipeline(check, sla_s=sla_s, app_id=app_id)
        self._counters: dict[str, Counter] = {
            f"vdkprobe_events_{name}_total": recorder.counter(
                f"vdkprobe_events_{name}_total", check=check
            )
            for name in OURS
        }
        self._counters |= {name: recorder.counter(name, app_id=app_id) for name in SEEDS}
        self._acked = recorder.histogram("vdkprobe_ack_latency_seconds", sla_s=sla_s, check=check)
        self._delivered = recorder.histogram(
            "vdkprobe_delivery_latency_seconds", sla_s=sla_s, check=check
        )
        self._listeners = recorder.gauge("probe_event_listeners_count", app_id=app_id)
        self._connected = recorder.gauge("probe_event_listeners_connected_count", app_id=app_id)
        self._missed = recorder.counter("vdkprobe_events_missed_slots_total", check=check)
        self._missed_before = self._missed.value
        self._books: Books | None = None

    def totals(self) -> dict[str, float]:
        """What each counter stands at."""
        return {name: counter.value for name, counter in self._counters.items()}

    def begin(self, books: Books, account: Account | None) -> None:
        """Count from what stood there when these books were begun, and what they tell since."""
        self._books = books
        if account is not None:
            for name, total in self._totals(account).items():
                self._counters[name].at_least(books.totals.get(name, 0) + total)
        self._flights.restore(())
        self.forgone(books.taken_over)

    def sent(self, at: float) -> None:
        """An event is about to be posted that was due at this moment of the monotonic clock."""
        self._flights.opened(at)

    def posted(self, at: float, *, took_s: float, outcome: Outcome) -> None:
        """What became of the post."""
        if outcome is Outcome.ACKNOWLEDGED:
            self._acked.observe(took_s)
        elif outcome is Outcome.REFUSED:
            self._flights.withdrawn(at)

    def forgone(self, seqs: Iterable[int]) -> None:
        """Nobody listened for these, so they must not show as missing."""
        if self._books is not None:
            for seq in seqs:
                self._flights.withdrawn(clock.monotonic_of(self._books.intended_us(seq)))

    def missed(self, slots: int) -> None:
        """So many slots were missed since this process began."""
        self._missed.at_least(self._missed_before + slots)

    def listening(self, connected: int, of: int) -> None:
        """How many listen now."""
        self._listeners.set(of)
        self._connected.set(connected)

    def update(
        self,
        account: Account,
        before: Account | None,
        arrived: Sequence[tuple[int, int]],
        expectation: Expectation,
    ) -> None:
        """What a look has found since the one before."""
        for seq, took_us in arrived:
            took_s = max(0, took_us) / 1e6
            self._delivered.observe(took_s)
            self._flights.arrived(clock.monotonic_of(expectation.intended_us(seq)), took_s)
        fresh = account.since(before)
        if not arrived:
            # A table tells which came, and not when: at the latest now.
            for name in ("delivered", "late"):
                for seq in each(fresh.members[name]):
                    at = clock.monotonic_of(expectation.intended_us(seq))
                    self._flights.arrived(at, time.monotonic() - at)
        for name in ("lost", "unknown"):
            for seq in each(fresh.members[name]):
                self._flights.given_up(clock.monotonic_of(expectation.intended_us(seq)))
        now, then = self._totals(account), self._totals(before) if before else {}
        # One that was lost, and then came, is lost no more, and a counter never goes down: what
        # counts is how many came into a class, not how many are in it.
        entered = {
            "vdkprobe_events_lost_total": fresh.lost,
            "vdkprobe_events_unknown_total": fresh.unknown,
            "vdkprobe_events_refused_total": fresh.refused,
            "probe_events_lost": fresh.lost,
            "probe_event_post_errors": len(
                self._post_errors(account) - self._post_errors(before)
                if before
                else self._post_errors(account)
            ),
        }
        for name, total in now.items():
            self._counters[name].inc(max(0, entered.get(name, total - then.get(name, 0))))

    @property
    def _forgone(self) -> BitMap64:
        """Of the unknown ones, those that were taken."""
        assert self._books is not None  # noqa: S101 - begun before anything is counted
        return self._books.ledger.forgone

    def _totals(self, account: Account) -> dict[str, float]:
        totals: dict[str, float] = {
            f"vdkprobe_events_{name}_total": getattr(account, name) or 0 for name in OURS
        }
        totals["vdkprobe_events_unknown_total"] = len(account.closed_unknown())
        not_taken = account.members["unknown"] - self._forgone
        return totals | {
            "probe_events_posted": account.sent - account.refused - len(not_taken),
            "probe_event_post_errors": len(self._post_errors(account)),
            "probe_events_received": account.seen,
            "probe_events_lost": account.lost,
            "probe_events_duplicates": account.duplicate,
            "probe_wrong_appid": account.foreign,
        }

    def _post_errors(self, account: Account) -> BitMap64:
        return account.members["refused"] | (account.closed_unknown() - self._forgone)
