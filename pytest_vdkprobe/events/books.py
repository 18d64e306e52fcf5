"""The two books of a stream of events: what was sent, and what was seen; for one run or for good.

In a watch they lie in its state folder under the pipeline's name, and a process that takes over
opens them again. It begins new ones where these are of another schedule, are damaged, or end later
than now, since somebody set the clock back; the old ones are put aside.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdkprobe import clock
from pytest_vdkprobe.accounting.bitmaps import each
from pytest_vdkprobe.accounting.expectation import US
from pytest_vdkprobe.accounting.ledger import BARRED, RESTARTED, Ledger
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.sightings import Sightings
from pytest_vdkprobe.errors import ProbeError

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.observation import Observation
    from pytest_vdkprobe.events.settings import EventsSettings

ASIDE = ".aside"
TAKEN_OVER = SendResult(Outcome.UNKNOWN, RESTARTED)
UNHEARD = SendResult(Outcome.UNKNOWN, BARRED)


class Books:
    """`Books(...)` for a run, `Books.kept(...)` for a watch; `begin()` before the first event."""

    def __init__(
        self,
        settings: EventsSettings,
        path: Path,
        *,
        run_id: str,
        totals: Mapping[str, float] | None = None,
    ) -> None:
        self.settings = settings
        self.run_id = run_id
        self.path = path
        self.resumed = False
        self.taken_over: list[int] = []
        """What was under way when the process before ended."""
        self.totals: Mapping[str, float] = totals or {}
        """What counters stood at when these books were begun."""
        self._keeps = totals is not None
        self._made_folder = False
        self._ledger: Ledger | None = None
        self._sightings: Sightings | None = None

    @classmethod
    def kept(
        cls, settings: EventsSettings, folder: Path, name: str, *, totals: Mapping[str, float]
    ) -> Books:
        """Those that lie in `folder` under `name`, or new ones."""
        path = folder / f"{name}.ledger"
        found = _reopened(settings, path) if path.exists() else None
        return found or cls(settings, path, run_id=secrets.token_hex(4), totals=totals)

    @property
    def ledger(self) -> Ledger:
        """What was sent."""
        if self._ledger is None:
            raise ProbeError("Nothing was sent yet: a bug of ours.", expected="begin() first")
        return self._ledger

    @property
    def start_us(self) -> int:
        """When event 0 is meant to be posted, microseconds since the epoch."""
        return self.ledger.start_us

    def intended_us(self, seq: int) -> int:
        """When that event is meant to be posted."""
        # As an expectation has it, to the microsecond.
        return self.start_us + round(seq * US / self.ledger.rate_per_s)

    def begin(self) -> None:
        """Open new books, with event 0 now, unless they go on."""
        if self._ledger is not None:
            return
        self._made_folder = not self.path.parent.exists()
        self._ledger = Ledger.create(
            self.path,
            run_id=self.run_id,
            profile=self.settings.profile,
            start_us=clock.now_us(),
            rate_per_s=1 / self.settings.interval_s,
        )
        if self._keeps:
            self._sightings = Sightings.create(
                _beside(self.path), run_id=self.run_id, totals=self.totals
            )

    def seen(self) -> Observation | None:
        """What an earlier process saw; None where these are new."""
        return None if self._sightings is None else self._sightings.restored()

    def note(self, observation: Observation) -> None:
        """Keep what was seen."""
        if self._sightings is not None:
            self._sightings.note(observation)

    def fold(self, observation: Observation | None = None) -> None:
        """Keep both as small as what there is to tell, however long they are kept."""
        if self._sightings is not None:
            # Without room for it they go on as they are; who writes next tells.
            with suppress(ProbeError):
                self._sightings.fold(observation)
            with suppress(ProbeError):
                self.ledger.fold()

    def forgo(self, seqs: Sequence[int]) -> None:
        """Of these nothing can be said any more: our login does not let us listen."""
        self.ledger.settle(seqs, [UNHEARD] * len(seqs))

    def close(self) -> None:
        """Flush both to the disk. May be called again."""
        for book in (self._ledger, self._sightings):
            # What a full disk has no room for is unknown to who takes over, and not lost.
            with suppress(ProbeError):
                if book is not None:
                    book.close()

    def discard(self) -> None:
        """Remove those of a run in which nothing went wrong."""
        self.close()
        self.path.unlink(missing_ok=True)
        if self._made_folder and not any(self.path.parent.iterdir()):
            self.path.parent.rmdir()

    def _resume(self, ledger: Ledger, sightings: Sightings) -> None:
        self.resumed = True
        self._ledger, self._sightings = ledger, sightings
        # A post that had no answer yet counts as well: nobody listens for what comes of it.
        under_way = each(ledger.sent - ledger.refused - sightings.restored().seen)
        now_us = clock.now_us()
        # One whose window closed before was lost then, and stays so.
        closes_us = round((self.settings.within_s + self.settings.late_s) * 1e6)
        interval_us = self.settings.interval_s * 1e6
        open_still = [
            seq
            for seq in under_way
            if ledger.start_us + seq * interval_us + closes_us > _last_us(ledger, now_us)
        ]
        ledger.settle(open_still, [TAKEN_OVER] * len(open_still))
        self.taken_over = open_still
        self.fold()


def _last_us(ledger: Ledger, now_us: int) -> int:
    """When the process before was there for the last time, as far as its ledger can tell."""
    last = ledger.start_us + round((ledger.next_seq - 1) * 1e6 / ledger.rate_per_s)
    return min(last, now_us)


def _reopened(settings: EventsSettings, path: Path) -> Books | None:
    beside = _beside(path)
    ledger: Ledger | None = None
    try:
        ledger = Ledger.open(path)
        sightings = Sightings.open(beside)
    except ProbeError:
        if ledger is not None:
            ledger.close()
        _put_aside(path, beside)
        return None
    last_us = ledger.start_us + round(max(0, ledger.next_seq - 1) * 1e6 / ledger.rate_per_s)
    fits = (
        sightings.run_id == ledger.run_id
        and ledger.profile == settings.profile
        and abs(ledger.rate_per_s * settings.interval_s - 1) < 1e-9
        and last_us <= clock.now_us()
    )
    if not fits:
        ledger.close()
        sightings.close()
        _put_aside(path, beside)
        return None
    books = Books(settings, path, run_id=ledger.run_id, totals=sightings.totals)
    books._resume(ledger, sightings)
    return books


def _put_aside(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            path.replace(path.with_name(path.name + ASIDE))


def _beside(path: Path) -> Path:
    return path.with_suffix(".seen")
