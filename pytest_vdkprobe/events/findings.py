"""A round of events, judged: what settled in it, what is overdue, and what to say of either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.accounting.account import shown_ranges
from pytest_vdkprobe.accounting.bitmaps import each
from pytest_vdkprobe.accounting.latency import Latency
from pytest_vdkprobe.errors import Finding, GivenUpFailure, LoginError, NoEvidence, PlatformFailure
from pytest_vdkprobe.tracing import trace_id

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.accounting.account import Account
    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.events.settings import EventsSettings

OUTAGES_SHOWN = 5
TRACES_SHOWN = 5
RECONNECTED_US = 1_000_000
"""A listener that was cut off is back after this, if it is let in."""
NEVER = 1 << 62
MISSING = ("lost", "refused", "unknown")


class Round:
    """The events that a run, or a watch's round, has to judge."""

    def __init__(
        self,
        settings: EventsSettings,
        account: Account,
        *,
        total: Account,
        took_us: Sequence[int],
        place: str,
        overdue: BitMap64,
        listening: tuple[int, int] | None,
        cut_us: int | None,
        heard_s: float | None,
        missed: int,
        barred: tuple[BitMap64, str],
        forgone: BitMap64,
        trouble: Finding | None,
        gave_up: str | None,
        expectation: Expectation,
    ) -> None:
        self.settings = settings
        self.total = total
        self.place = place
        self.overdue = overdue
        self.listening = listening
        self.cut_us = cut_us
        """When the connection of a listener last ended by itself."""
        self.heard_s = heard_s
        self.missed = missed
        self.barred, self.barred_by = barred
        """Events of the round that were not taken because our login was not, and the answer."""
        self.forgone = forgone
        """Events of which nothing can be said, for nobody could listen for them."""
        self.trouble = trouble
        self.gave_up = gave_up
        self._expectation = expectation
        latency = None
        if total.observation.latency is not None:
            latency = Latency()
            latency.add(took_us)
        notes = [*total.observation.notes, *self._outages(account), *self._silence(account)]
        observation = replace(total.observation, latency=latency, notes=notes)
        self.account = replace(account, observation=observation)

    def __str__(self) -> str:
        text = str(self.account)
        return f"{text}, {self.missed} slots missed" if self.missed else text

    @property
    def settled(self) -> int:
        """How many events of the round there is something to say of."""
        return self.account.sent - self.account.in_flight

    def require(self) -> None:
        """Raise what the round has to tell, the cause before its consequences.

        GivenUpFailure when the posting was ended, PlatformFailure for what is wrong, NoEvidence
        when nothing is known yet.
        """
        allowed = self.settings.limits
        if self.gave_up is not None and self.barred:
            posts = self.settings.max_consecutive_errors
            raise self._login_error(f"; {posts} posts in a row failed, so no more are made")
        if self.gave_up is not None:
            raise GivenUpFailure(
                f"{self.settings.max_consecutive_errors} posts in a row failed, so no more are "
                "made.",
                seen=f"{self.gave_up}\n{self.account}",
                expected="one in max_consecutive_errors to be taken",
                checked=self.place,
                to_try="is the collector up, and does it take our login?",
            )
        if self.trouble is not None:
            raise self.trouble
        if len(self.overdue) > allowed.get("late", 0):
            raise PlatformFailure(
                f"{len(self.overdue)} events are overdue.",
                seen=f"{self.account}\noverdue: record {shown_ranges(self.overdue)}"
                + "".join(f"\n{note}" for note in self.account.observation.notes)
                + f"\n{self._traces(self.overdue)}",
                expected=f"each within {self.settings.within_s:g} s",
                checked=self.place,
                to_try=self._unheard(self.overdue)
                or "is what takes them from the collector to the listeners running?",
            )
        if self.settled == 0 and self._heard_lately():
            return
        if self.settled == 0:
            raise NoEvidence(
                "No event has settled, so nothing can be said yet.",
                seen=str(self),
                expected=f"an event every {self.settings.interval_s:g} s, each within "
                f"{self.settings.within_s:g} s",
                checked=self.place,
            )
        barred = len(self.barred) > allowed.get("refused", 0)
        try:
            self.account.require(**{**allowed, **self._not_judged(refused=barred)})
        except Finding as finding:
            if barred and isinstance(finding, NoEvidence):
                raise self._login_error() from None
            finding.checked = finding.checked or self.place
            missing = self.account.members["lost"]
            finding.to_try = (
                finding.to_try
                or self._unheard(missing)
                or (
                    "look these events up where the pipeline logs them; what is no failure is "
                    "events.allow"
                )
            )
            wrong = self._wrong()
            if wrong:
                finding.seen = f"{finding.seen}\n{self._traces(wrong)}"
            raise
        if barred:
            raise self._login_error()

    def evidence(self) -> str:
        """What a pass rests on."""
        if self.settled:
            return str(self)
        return f"nothing was due; the last event came {self.heard_s or 0:.1f} s ago"

    def _not_judged(self, *, refused: bool) -> dict[str, int]:
        """What is under way still, what nobody listened for, and what is told as ours."""
        forgone = len(self.account.members["unknown"] & self.forgone)
        found = {"in_flight": NEVER, "unknown": forgone}
        return {**found, "refused": NEVER} if refused else found

    def _login_error(self, more: str = "") -> LoginError:
        refused, of = len(self.barred), self.account.sent - self.account.in_flight
        return LoginError(
            f"Our login was refused: {refused} of {of} events were not taken{more}.",
            seen=f"{self.barred_by}\n{self.account}",
            expected="each event taken",
            checked=self.place,
            to_try="have the credentials expired, or been withdrawn? renew what events.target.auth "
            "names; a watch reads it again on SIGHUP, or restarted where it comes from the "
            "environment",
        )

    def _heard_lately(self) -> bool:
        limit_s = self.settings.within_s + 2 * self.settings.interval_s
        return self.heard_s is not None and self.heard_s <= limit_s

    def _wrong(self) -> BitMap64:
        members = self.account.members
        found = members["lost"] | members["late"] | members["corrupted"]
        return found | members["duplicate"] | members["refused"]

    def _unheard(self, missing: BitMap64) -> str:
        """What to try where a listener was cut off since the first of these was posted."""
        if not missing or self.cut_us is None:
            return ""
        if self.cut_us < self._expectation.intended_us(missing.min()) - RECONNECTED_US:
            return ""
        return (
            "a listener's connection ended meanwhile, and what comes while nobody listens is heard "
            "by nobody: why does the server close it? Several listeners make up for each other "
            "(reader.listeners, reader.stagger_s)"
        )

    def _traces(self, numbers: BitMap64) -> str:
        first = [number for number, _ in zip(each(numbers), range(TRACES_SHOWN), strict=False)]
        of = self._expectation.run_id
        named = [f"{number} (seqno {number + 1}): {trace_id(of, number)}" for number in first]
        return "traces: " + ", ".join(named)

    def _silence(self, account: Account) -> Iterator[str]:
        if account.seen or self.listening is None:
            return
        connected, of = self.listening
        yield f"{connected} of {of} listeners are connected, and heard none of these"

    def _outages(self, account: Account) -> Iterator[str]:
        """The stretches of missing events, and how long each was: exact to one interval."""
        missing = self.overdue.copy()
        for name in MISSING:
            missing |= account.members[name]
        for number, (first, last) in enumerate(stretches(missing, self._expectation.sent)):
            if number == OUTAGES_SHOWN:
                yield "and more stretches of missing events"
                return
            begun = self._expectation.intended_us(first)
            length_s = (self._expectation.intended_us(last) - begun) / 1e6
            length_s += self.settings.interval_s
            moment = datetime.fromtimestamp(begun / 1e6, UTC)
            yield (
                f"missing from {moment:%H:%M:%S} UTC on for {length_s:.1f} s: events {first}-{last}"
            )

    def to_dict(self) -> dict[str, Any]:
        """For reports: this round's account, and the totals since the first event."""
        told = {
            "route": self.settings.name,
            "way": "events",
            "profile": self.settings.profile,
            **self.account.to_dict(),
            "overdue": len(self.overdue),
            "missed_slots": self.missed,
            "app_id": self._expectation.run_id,
        }
        wrong = self._wrong() | self.overdue
        traced = [number for number, _ in zip(each(wrong), range(100), strict=False)]
        told["traces"] = {str(n): trace_id(self._expectation.run_id, n) for n in traced}
        return told


def stretches(missing: BitMap64, sent: BitMap64) -> Iterator[tuple[int, int]]:
    """(first, last) of the missing numbers between which nothing came that was sent."""
    arrived = sent - missing
    position = missing.min() if missing else None
    while position is not None:
        rank = arrived.rank(position)
        until = arrived[rank] if rank < len(arrived) else None
        if until is None:
            yield position, missing.max()
            return
        yield position, missing[missing.rank(until) - 1]
        rank = missing.rank(until)
        position = missing[rank] if rank < len(missing) else None
