"""A stream of events: posted on a fixed schedule, received, and accounted for at any moment.

The ledger notes each event before it is posted, and what became of the post; the reader says what
came out. A run posts so many and waits until each is settled. In a watch it goes on by itself, and
a round judges what has settled since the last one. There both sides are kept in a folder: a process
that takes over goes on with the same run id, numbers and schedule. What was under way when the one
before it ended is unknown, for nobody listened, and so is neither lost nor judged.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe import clock
from pytest_vdkprobe.accounting.account import reconcile
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.errors import Finding, LoginError, ProbeError
from pytest_vdkprobe.events.books import Books
from pytest_vdkprobe.events.findings import Round
from pytest_vdkprobe.events.posting import Posting
from pytest_vdkprobe.events.table import MOST_ROWS, table
from pytest_vdkprobe.readers.stream import StreamReader
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.accounting.account import Account
    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.accounting.observation import Observation
    from pytest_vdkprobe.events.metrics import EventMetrics
    from pytest_vdkprobe.events.settings import EventsSettings
    from pytest_vdkprobe.routes.kinds import Side

LOOK_S = 0.1
"""How often a watch looks at a stream; a place that is asked (a database) less often."""
ASK_S = 2.0
LOOK_LIMIT_S = 30.0
CLOSE_S = 5.0


class EventStream:
    """`open()`, `start()`, then `finish()` in a run or `take()` in each round of a watch.

    `limit`: how many are posted; None goes on. `make_end` makes the target and the reader of a run
    id; `metrics` hear of everything, and `say` prints the table of the newest now and then.
    """

    def __init__(
        self,
        settings: EventsSettings,
        books: Books,
        *,
        make_end: Callable[[Side, str], Any],
        limit: int | None,
        metrics: EventMetrics | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.books = books
        self.limit = limit
        self.target = make_end("target", books.run_id)
        self.reader = make_end("reader", books.run_id)
        self._metrics = metrics
        self._posting = Posting(settings, books, self.target, metrics=metrics, limit=limit)
        self._writing, self._pace = self._posting.writing, self._posting.pace
        self._reading = threading.RLock()
        """Over the reader and what is drawn from it."""
        self._account: Account | None = None
        self._judged: Account | None = None
        self._observation: Observation | None = None
        self._trouble: Finding | None = None
        self._took: list[int] = []
        """Microseconds of the events that came since the last round."""
        self._arrived: list[tuple[int, int]] = []
        """Number and microseconds of those that came since the last look."""
        self._newest: dict[int, int] = {}
        """Number and microseconds of the last that came, for the table."""
        self._say = say
        self._heard_at: float | None = None
        self._missed_before = 0
        """Slots that an earlier round has told of."""
        self._looked_us = 0
        """When the reader was last able to look."""
        self._account_us = 0
        """The moment that the account is of."""
        self._opened = self._waited = False
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="vdkprobe-events", daemon=True)

    @property
    def run_id(self) -> str:
        """The events' `app_id`."""
        return self.books.run_id

    @property
    def gave_up(self) -> str | None:
        """Why no more events are posted."""
        return self._posting.gave_up

    @property
    def place(self) -> str:
        """The two ends, for messages."""
        ends = (self.target, self.reader)
        return " -> ".join(str(getattr(end, "place", None) or type(end).__name__) for end in ends)

    @property
    def clean(self) -> bool:
        """Whether every event was delivered, so that nobody needs the books."""
        account = self._account
        return account is None or account.delivered == account.sent

    def open(self) -> None:
        """Have both ends ready. Raises what has to be mended: LoginError, TransportError ..."""
        if self._opened:
            return
        columns = profile(self.settings.profile).columns
        self.target.prepare(columns)
        if isinstance(self.reader, StreamReader):
            self.reader.told = self._hear
            seen = self.books.seen()
            if seen is not None:
                self.reader.resume(seen)
        self.reader.prepare(columns)
        self._opened = True

    def start(self) -> None:
        """Post the first event now, or at the next slot of the schedule that is taken over."""
        if self._pace.started:
            return
        self.books.begin()
        at = clock.monotonic_of(self.books.start_us)
        first = 0
        if self.books.resumed:
            passed = (time.monotonic() - at) / self.settings.interval_s
            first = max(self.books.ledger.next_seq, math.ceil(passed))
            # Of what was under way nothing can be said, and no round is to blame for that; and what
            # came of the others is in the metrics already.
            metrics, self._metrics = self._metrics, None
            self._judged = self.look()
            self._metrics = metrics
        if self._metrics is not None:
            self._metrics.begin(self.books, self._account)
        self._pace.start(at=at, first=first)
        if self.limit is None:
            self._watcher.start()

    def look(self, *, deadline: Deadline | None = None) -> Account:
        """The account as things stand now; what keeps the reader from looking is kept for later."""
        with self._reading:
            # Whatever is not there when a look begins after its window has closed is lost. Not a
            # moment later: what comes while the look goes on is not looked at before the next one.
            now_us = clock.now_us()
            ahead = 0  # a table is also asked for what comes meanwhile, which would be foreign
            if isinstance(self.reader, StreamReader):
                self.reader.gather()
            elif not self._pace.done.is_set():
                ahead = math.ceil(LOOK_LIMIT_S / self.settings.interval_s)
            expectation = self._expectation()
            limit = (deadline or Deadline.after(LOOK_LIMIT_S)).within(LOOK_LIMIT_S)
            try:
                asked = self._expectation(ahead) if ahead else expectation
                self._observation = self.reader.observe(asked, deadline=limit)
                self._trouble = None
                self._looked_us = now_us
            except Finding as finding:
                self._trouble = finding
                if not isinstance(self.reader, StreamReader):
                    # What was not looked for may lie there all the same.
                    now_us = self._looked_us
                elif isinstance(finding, LoginError) and self._listening() is not None:
                    expectation = self._forgo(expectation)
            observation = self._observation or _nothing()
            account = reconcile(expectation, observation, now_us=now_us)
            arrived, self._arrived = self._arrived, []
            if arrived:
                self._heard_at = time.monotonic()
                self._took += [took_us for _, took_us in arrived]
            self._keep(observation)
            if self._metrics is not None:
                self._metrics.update(account, self._account, arrived, expectation)
                self._metrics.missed(self._pace.missed)
                listening = self._listening()
                if listening is not None:
                    self._metrics.listening(*listening)
            self._account, self._account_us = account, now_us
            return account

    def _keep(self, observation: Observation) -> None:
        """Note what was seen; on a full disk that is told, and made up for when there is room."""
        unwritten = self._posting.trouble
        try:
            self.books.note(observation)
        except ProbeError as problem:
            unwritten = problem
        with self._writing:
            self.books.fold(observation)
        self._trouble = self._trouble or unwritten

    def finish(self, *, deadline: Deadline) -> Round:
        """Wait until each of a limited number is settled; at the deadline, as things stand then."""
        quiet: list[Deadline] = []

        def ended(account: Account) -> bool:
            if deadline.expired or (self._trouble is not None and self._pace.done.is_set()):
                return True
            open_now = account.in_flight + len(account.open_unknown())
            if not self._pace.done.is_set() or self._posting.under_way or open_now:
                quiet.clear()
                return False
            if not quiet:
                quiet.append(Deadline.after(self.settings.quiet_s))
            return quiet[0].expired

        wait_until(
            f"events of {self.settings.name}",
            lambda: self.look(deadline=deadline),
            done=ended,
            deadline=deadline,
            describe=lambda account: f"seen {account.seen} of {account.sent}",
            longest_pause_s=LOOK_S,
        )
        return self.take()

    def await_first(self, *, deadline: Deadline) -> None:
        """Let the first round of a process have something to judge: an event, or its being overdue.

        Returns at once in any other.
        """
        if self._waited:
            return
        self._waited = True
        settings = self.settings
        limit = deadline.within(settings.within_s + settings.interval_s + ASK_S)

        def there(account: Account) -> bool:
            fresh = account.since(self._judged)
            spoken = bool(self.gave_up or self._trouble or self._pace.error)
            overdue = bool(self._overdue(account))
            return fresh.sent > fresh.in_flight or overdue or spoken or limit.expired

        wait_until(
            f"the first event of {settings.name}",
            self.look,
            done=there,
            deadline=limit,
            describe=lambda account: f"seen {account.seen} of {account.sent}",
            longest_pause_s=LOOK_S,
        )

    def take(self) -> Round:
        """What has settled since the last round, to be judged."""
        with self._reading:
            now = self.look()
            took, self._took = self._took, []
            before, self._judged = self._judged, now
            account = now.since(before)
            posting, missed = self._posting, self._pace.missed - self._missed_before
            self._missed_before += missed
            cut_at = getattr(self.reader, "cut_at", None)
            return Round(
                self.settings,
                account,
                took_us=took,
                total=now,
                place=self.place,
                overdue=self._overdue(now),
                listening=self._listening(),
                cut_us=None if cut_at is None else clock.us_of(cut_at),
                heard_s=None if self._heard_at is None else time.monotonic() - self._heard_at,
                missed=missed,
                barred=(account.members["refused"] & posting.barred, posting.barred_by),
                forgone=self._forgone(),
                trouble=self._trouble or _as_finding(self._pace.error),
                gave_up=self.gave_up,
                expectation=self._expectation(),
            )

    def remove(self) -> None:
        """Delete what the two ends created, and see it gone."""
        with ExitStack() as stack:
            stack.callback(self.target.remove)
            stack.callback(self.reader.remove)

    def close(self) -> None:
        """Post and listen no more. May be called again."""
        self._stopped.set()
        with ExitStack() as stack:
            stack.callback(self._posting.close)
            stack.callback(self.reader.close)
            stack.callback(self.target.close)
            self._pace.close()
            if self._watcher.is_alive():
                self._watcher.join(CLOSE_S)
                # What came until now is noted, so that a process that takes over knows it.
                self.look()

    # Receiving

    def _hear(self, seq: int, took_us: int) -> None:
        """The reader tells of a first arrival, within a look."""
        self._arrived.append((seq, took_us))
        self._newest[seq] = took_us
        if len(self._newest) > 2 * MOST_ROWS:
            del self._newest[next(iter(self._newest))]

    def _print(self) -> None:
        if self._say is not None and self._account is not None:
            shown = table(
                self.settings.name, self._account, self._expectation(), dict(self._newest)
            )
            self._say(shown)

    def _watch(self) -> None:
        pause_s = LOOK_S
        if not isinstance(self.reader, StreamReader):
            pause_s = max(ASK_S, self.settings.interval_s / 2)
        every_s = self.settings.table_s
        printing = Deadline.after(every_s or math.inf)
        while not self._stopped.wait(pause_s):
            try:
                self.look()
                if printing.expired:
                    self._print()
                    printing = Deadline.after(every_s)
            except Exception as exc:  # noqa: BLE001 - it goes on, and the next round tells
                self._trouble = _as_finding(exc)

    def _expectation(self, ahead: int = 0) -> Expectation:
        with self._writing:
            with suppress(ProbeError):  # a full disk: whoever posts next tells
                self.books.ledger.flush()
            return self.books.ledger.expectation(
                within_s=self.settings.within_s,
                late_s=self.settings.late_s,
                losses={*self.target.losses, *self.reader.losses},
                ahead=ahead,
            )

    def _overdue(self, account: Account) -> BitMap64:
        """Those in flight that were due when it was looked, if anybody listened for them."""
        due = self._expectation().due_before(self._account_us)
        open_now = account.members["in_flight"] | account.open_unknown()
        return (open_now & _numbers(range(due))) - self._forgone()

    def _forgone(self) -> BitMap64:
        with self._writing:
            return self.books.ledger.forgone.copy()

    def _forgo(self, expectation: Expectation) -> Expectation:
        """Our login does not let us listen: what is under way is not lost by anybody."""
        seen = _numbers() if self._observation is None else self._observation.seen
        account = self._account
        lost = _numbers() if account is None else account.members["lost"]
        under_way = expectation.acknowledged - seen - lost
        with self._writing:
            if not under_way:
                return expectation
            self.books.forgo(list(under_way))
        if self._metrics is not None:
            self._metrics.forgone(under_way)
        return self._expectation()

    def _listening(self) -> tuple[int, int] | None:
        """How many listen, of how many; None where a reader has none."""
        connected = getattr(self.reader, "connected", None)
        if connected is None:
            return None
        return int(connected), int(self.reader.settings.listeners)


def _as_finding(exc: Exception | None) -> Finding | None:
    """What ended a thread of ours: a full disk by its own words, a bug by its type."""
    if exc is None or isinstance(exc, Finding):
        return exc
    return ProbeError(f"A bug of ours ended the stream of events: {type(exc).__name__}: {exc}")


def _numbers(given: Iterable[int] = ()) -> BitMap64:
    from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

    return BitMap64(given)


def _nothing() -> Observation:
    from pytest_vdkprobe.accounting.observation import Observation  # noqa: PLC0415 - as above

    return Observation(late=_numbers(), reordered=0)
