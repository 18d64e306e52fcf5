"""The metrics of one event pipeline: ours, and under their own names those of the seeds.

Counters are raised to what the books say, so that they are right after a restart too; whatever has
to be seen when nothing happens any more is worked out of what is in flight, when it is asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_vdkprobe import clock
from pytest_vdkprobe.accounting.outcomes import Outcome

if TYPE_CHECKING:
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
        self._base: Mapping[str, float] = {}
        self._books: Books | None = None

    def totals(self) -> dict[str, float]:
        """What each counter stands at."""
        return {name: counter.value for name, counter in self._counters.items()}

    def begin(self, books: Books) -> None:
        """Count from what stood there when these books were begun."""
        self._base = books.totals
        self._books = books
        self._flights.restore(())
        for seq in books.taken_over:
            # Nobody listened, so it must not show as missing.
            self._flights.withdrawn(clock.monotonic_of(books.intended_us(seq)))

    def sent(self, at: float) -> None:
        """An event is about to be posted that was due at this moment of the monotonic clock."""
        self._flights.opened(at)

    def posted(self, at: float, *, took_s: float, outcome: Outcome) -> None:
        """What became of the post."""
        if outcome is Outcome.ACKNOWLEDGED:
            self._acked.observe(took_s)
        elif outcome is Outcome.REFUSED:
            self._flights.withdrawn(at)

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
                for seq in fresh.members[name]:
                    at = clock.monotonic_of(expectation.intended_us(seq))
                    self._flights.arrived(at, time.monotonic() - at)
        for name in ("lost", "unknown"):
            for seq in fresh.members[name]:
                self._flights.given_up(clock.monotonic_of(expectation.intended_us(seq)))
        self._count(account)

    def _count(self, account: Account) -> None:
        unknown = account.closed_unknown()
        refused = account.refused
        not_taken = account.members["unknown"]
        if self._books is not None:
            not_taken = not_taken - self._books.ledger.forgone
        totals: dict[str, float] = {
            f"vdkprobe_events_{name}_total": getattr(account, name) or 0 for name in OURS
        }
        totals["vdkprobe_events_unknown_total"] = len(unknown)
        totals |= {
            "probe_events_posted": account.sent - refused - len(not_taken),
            "probe_event_post_errors": refused + len(unknown & not_taken),
            "probe_events_received": account.seen,
            "probe_events_lost": account.lost,
            "probe_events_duplicates": account.duplicate,
            "probe_wrong_appid": account.foreign,
        }
        for name, total in totals.items():
            self._counters[name].at_least(self._base.get(name, 0) + total)
