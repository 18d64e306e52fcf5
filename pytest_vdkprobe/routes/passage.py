"""One profile on its way through one route: prepared, sent on a schedule, accounted for, removed.

Each passage has its own target, reader and ledger, so that what one leaves can't disturb another.
The account is drawn up with every look and survives whatever ends the passage: what was sent by
then is never forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_vdkprobe.accounting.account import reconcile
from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.config.registry import place_of
from pytest_vdkprobe.errors import (
    LONGEST_VALUE,
    LoginError,
    NoEvidence,
    PlatformFailure,
    ProbeError,
    TransportError,
)
from pytest_vdkprobe.routes.schedule import Schedule
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.account import Account
    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.accounting.profiles import Profile
    from pytest_vdkprobe.readers.reader import Reader
    from pytest_vdkprobe.routes.settings import RouteSettings
    from pytest_vdkprobe.targets.target import Target

SEND_PAUSE_S = 0.02
"""The longest pause between two batches: what falls due meanwhile is the next one."""
LOOK_PAUSE_S = 0.5
"""The longest pause between two looks of the reader."""
MakeLedger = Callable[..., Ledger]
"""What makes a passage's ledger: called as Ledger.create."""


class Passage:
    """`prepare()`, `send()` and `reconcile()` are called once each, in this order."""

    def __init__(
        self,
        settings: RouteSettings,
        profile: Profile,
        *,
        way: str,
        run_id: str,
        target: Target,
        reader: Reader,
        ledger_path: Path,
        make_ledger: MakeLedger = Ledger.create,
    ) -> None:
        self.settings = settings
        self.profile = profile
        self.way = way
        self.records = settings.records_of(way)
        self.run_id = run_id
        """What its records carry as run id, and no other passage's."""
        self.target = target
        self.reader = reader
        self.ledger_path = ledger_path
        self._make_ledger = make_ledger
        self.account: Account | None = None
        """The last that was drawn up; None before the first look."""
        self._ledger: Ledger | None = None
        self._made_folder = False
        self._schedule: Schedule | None = None

    def __str__(self) -> str:
        return f"{self.settings.name} {self.way}[{self.profile.name}]"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def prepare(self) -> None:
        """Get both ends ready: places found or created, the reader proven ready."""
        self.target.prepare(self.profile.columns)
        self.reader.prepare(self.profile.columns)

    def versions(self) -> dict[str, str]:
        """Those of the servers at both ends, as far as these ask for them."""
        told: dict[str, str] = {}
        for end in (self.target, self.reader):
            if (ask := getattr(end, "versions", None)) is not None:
                told |= ask()
        return told

    def send(self, *, deadline: Deadline) -> None:
        """Send every record once, each at its time or as soon after it as the target takes it."""
        settings = self.settings
        schedule = Schedule(self.records, rate_per_s=settings.rate_per_s)
        ledger = self.open_ledger(schedule.start_us)
        self._schedule = schedule

        def send_due() -> str:
            while not deadline.expired and (seqs := schedule.due(self.target.batch)):
                self._send(ledger, seqs, schedule, deadline)
                if len(seqs) < self.target.batch:
                    break
            return (
                f"sent {len(ledger.sent)} of {self.records}, "
                f"acknowledged {len(ledger.acknowledged)}"
            )

        wait_until(
            f"records into {self}",
            send_due,
            done=lambda _state: schedule.done or deadline.expired,
            deadline=deadline,
            describe=str,
            longest_pause_s=SEND_PAUSE_S,
        )

    def open_ledger(self, start_us: int) -> Ledger:
        """The ledger, made now."""
        self._made_folder = not self.ledger_path.parent.exists()
        self._ledger = self._make_ledger(
            self.ledger_path,
            run_id=self.run_id,
            profile=self.profile.name,
            start_us=start_us,
            rate_per_s=self.settings.rate_per_s,
        )
        return self._ledger

    def entrust(self) -> None:
        """Note all records as about to be sent by somebody else: unknown until that one tells."""
        self.open_ledger(Schedule.clock_us()).intend(range(self.records))

    def begun(self, started_us: int) -> None:
        """The one who sends has begun then; its schedule counts from there."""
        self._opened.rebase(started_us)

    def settle(self, result: SendResult) -> None:
        """What is now known of all records that were entrusted."""
        self._opened.settle(range(self.records), [result] * self.records)

    def look(self, *, deadline: Deadline) -> Account:
        """One look of the reader, while or after records are sent."""
        expectation = self._expectation()
        # Whatever is not there when a look begins after the window has closed is lost.
        now_us = self._now_us()
        observation = self.reader.observe(expectation, deadline=deadline)
        if not isinstance(observation, Observation):
            raise _wrong_return(self.reader, "observe", observation, "an Observation")
        self.account = reconcile(expectation, observation, now_us=now_us)
        return self.account

    @property
    def progress(self) -> str:
        """How far it is, in a few words."""
        ledger, account = self._opened, self.account
        told = f"sent {len(ledger.sent)}, acknowledged {len(ledger.acknowledged)}"
        if account is None:
            return told
        # Of what is unknown some may yet come: to who watches it is on its way.
        return f"{told}, seen {account.seen}, in flight {account.in_flight + account.unknown}"

    def reconcile(self, *, deadline: Deadline) -> Account:
        """Look until every record has come out or its late window has closed; the account then.

        Raises what the reader raises where it can't look any more; `account` keeps what was known.
        """
        expectation = self._expectation()
        closes = Deadline.after(max(0.0, (expectation.closes_us - self._now_us()) / 1e6))
        quiet: list[Deadline] = []

        def ended(account: Account) -> bool:
            if account.settled or (closes.expired and account.in_flight == 0):
                if not quiet:
                    quiet.append(Deadline.after(self.settings.quiet_s))
                return quiet[0].expired
            quiet.clear()
            return deadline.expired

        account = wait_until(
            f"records out of {self}",
            lambda: self.look(deadline=deadline),
            done=ended,
            deadline=deadline,
            describe=lambda _account: self.progress,
            longest_pause_s=LOOK_PAUSE_S,
        ).value
        compare_anew = getattr(self.reader, "compare_anew", None)
        if compare_anew is not None and not deadline.expired:
            # What lies in a table may be changed after it was compared.
            compare_anew()
            account = self.look(deadline=deadline)
        if len(expectation.sent) < self.records:
            raise NoEvidence(
                f"Only {len(expectation.sent)} of {self.records} records could be sent "
                f"before {deadline.name} had passed.",
                seen=str(account),
                to_try="send fewer records (records), or give the step more time (run.limits)",
            )
        return account

    def remove(self) -> None:
        """Delete what the two ends created and see it gone; the ledger of a good passage as well.

        Both are tried even if one fails.
        """
        try:
            with ExitStack() as stack:
                stack.callback(self.target.remove)
                stack.callback(self.reader.remove)
        except TransportError as exc:
            if self._ledger is None:
                raise
            raise _went_away(exc) from exc
        if self._ledger is not None:
            self._ledger.close()
        if self.account is not None and self.account.delivered == self.account.sent:
            self.ledger_path.unlink(missing_ok=True)
            if self._made_folder:
                with suppress(OSError):  # something else may lie there by now
                    self.ledger_path.parent.rmdir()

    def close(self) -> None:
        """Let go of connections and files. May be called again."""
        with ExitStack() as stack:
            stack.callback(self.target.close)
            stack.callback(self.reader.close)
            if self._ledger is not None:
                stack.callback(self._ledger.close)

    def to_dict(self) -> dict[str, Any]:
        """The account for reports, with whose it is, and what the route is known not to carry."""
        told: dict[str, Any] = {
            "route": self.settings.name,
            "way": self.way,
            "profile": self.profile.name,
            "run_id": self.run_id,
            "losses": {**self.target.losses, **self.reader.losses},
        }
        if self.account is not None:
            told |= self.account.to_dict()
        elif self._ledger is not None:
            told |= {"sent": len(self._ledger.sent), "acknowledged": len(self._ledger.acknowledged)}
        if self.account is None or self.account.delivered < self.account.sent:
            told["ledger"] = str(self.ledger_path)
        return told

    def _send(self, ledger: Ledger, seqs: range, schedule: Schedule, deadline: Deadline) -> None:
        records = [
            self.profile.make(self.run_id, seq, sent_at_us=schedule.intended_us(seq))
            for seq in seqs
        ]
        ledger.intend(seqs)
        results = self.target.send(records, deadline=deadline)
        if not isinstance(results, list | tuple) or not all(
            isinstance(result, SendResult) for result in results
        ):
            raise _wrong_return(self.target, "send", results, "a SendResult for each record")
        ledger.settle(seqs, results)
        last = results[-1]
        if last.login and last.outcome is Outcome.REFUSED and not ledger.acknowledged:
            # What has worked before and does no more is the platform's, and accounted for.
            raise LoginError(
                f"Nothing may be sent into {self}: our user or login is refused.",
                seen=f"{last.reason}, for each of the first {len(ledger.sent)} records",
                expected="a login that may write there",
                to_try="look at the target's credentials, and at what they are allowed",
            )

    @property
    def _opened(self) -> Ledger:
        if self._ledger is None:
            raise NoEvidence(f"Nothing was sent into {self}.", expected="send() before reconcile()")
        return self._ledger

    def _expectation(self) -> Expectation:
        return self._opened.expectation(
            within_s=self.settings.within_s,
            late_s=self.settings.late_s,
            losses={*self.target.losses, *self.reader.losses},
        )

    def _now_us(self) -> int:
        return self._schedule.now_us if self._schedule is not None else Schedule.clock_us()


def _went_away(exc: TransportError) -> PlatformFailure:
    """Both ends had answered before the first record was sent, so no setting of ours is wrong."""
    return PlatformFailure(
        f"What was created can't be removed: {exc.what}",
        seen=exc.seen,
        expected="an answer, as before the records were sent",
        checked=exc.checked,
        to_try="look at the server and its log: did it stop?",
    )


def _wrong_return(end: object, method: str, value: object, expected: str) -> ProbeError:
    """What to say of an end, a user's own, that returns what its method never may."""
    kind = type(end)
    return ProbeError(
        f"{kind.__name__}.{method} returned what it may not.",
        seen=repr(value)[:LONGEST_VALUE],
        expected=expected,
        to_try=f"correct it in {place_of(getattr(kind, method, kind))}",
    )
