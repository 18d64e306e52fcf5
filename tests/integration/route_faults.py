"""Faults planted between a target and a reader, one at a time, and the account that each must make.

A `Faulty` stands before a real target and hands on something else than it was given: what a broken
platform would do between its two ends. `FAULTS` says for each what the account must name, exactly;
`passage` sends records through a target, faulty or not, and comes back with the account.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pytest_vdkprobe.accounting.account import BESIDE, CLASSES, Account, reconcile
from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.profiles import PROFILES, profile
from pytest_vdkprobe.readers.reader import Reader
from pytest_vdkprobe.records import Record
from pytest_vdkprobe.targets.target import Target
from pytest_vdkprobe.waiting import Deadline, pause, wait_until

RECORDS = 20
BATCH = 5
RATE_PER_S = 1000.0
WITHIN_S = 60.0
LIMIT_S = 60.0
QUIET_S = 0.3
STRANGER = "another-run"

Change = Callable[[list[Record]], list[Record]]


class Fault(NamedTuple):
    """One thing that goes wrong, and what the account of RECORDS records must say of it."""

    name: str
    change: Change
    """What becomes of a batch on its way. Batches are whole: 0-4, 5-9, ..."""
    counts: Mapping[str, int]
    """Every class that is not 0, beside `sent` and `delivered`."""
    records: Mapping[str, set[int]] = {}
    """The numbers that the account names, by class."""
    says: tuple[str, ...] = ()
    """What the account's explanation shows."""
    outcome: Outcome | None = None
    """What the sender is told of every batch that was changed; None: the truth."""
    held: int | None = None
    """The record that comes when it is late."""

    @property
    def about_time(self) -> bool:
        """Whether a place that keeps no times can't show it."""
        return self.held is not None

    @property
    def about_order(self) -> bool:
        """Whether a place that keeps no order can't show it."""
        return "reordered" in self.counts


def _without(*seqs: int) -> Change:
    return lambda batch: [record for record in batch if record.seq not in seqs]


def _twice(seq: int) -> Change:
    return lambda batch: [each for record in batch for each in [record] * (1 + (record.seq == seq))]


def _lost_and_twice(batch: list[Record]) -> list[Record]:
    return _twice(7)(_without(6)(batch))


def _swapped(batch: list[Record]) -> list[Record]:
    at = {record.seq: index for index, record in enumerate(batch)}
    if 6 in at and 7 in at:
        batch[at[6]], batch[at[7]] = batch[at[7]], batch[at[6]]
    return batch


def _changed(seq: int = 7, **changes: Callable[[Any], Any]) -> Change:
    """Record `seq` with another value in each of these columns, landing or typed."""

    def change(record: Record) -> Record:
        if record.seq != seq:
            return record
        payload = dict(record.payload)
        for name, make in changes.items():
            if hasattr(record, name):
                changed = {name: make(getattr(record, name))}
                record = msgspec.structs.replace(record, **changed)
            else:
                payload[name] = make(payload[name])
        return msgspec.structs.replace(record, payload=payload)

    return lambda batch: [change(record) for record in batch]


def _with_stranger(batch: list[Record]) -> list[Record]:
    if batch[0].seq != 5:
        return batch
    made = PROFILES["typed"].make(STRANGER, 3, sent_at_us=batch[0].sent_at_us)
    return [*batch[:2], made, *batch[2:]]


def _no_batch(batch: list[Record]) -> list[Record]:
    return [] if batch[0].seq == 5 else batch


def _same(batch: list[Record]) -> list[Record]:
    return batch


SECOND_BATCH = set(range(5, 10))
ONE_CORRUPTED = {"corrupted": 1}
SEVEN = {"corrupted": {7}}

FAULTS: tuple[Fault, ...] = (
    Fault("none", _same, {}),
    Fault("one lost", _without(7), {"lost": 1}, {"lost": {7}}, ("lost 1: record 7",)),
    Fault("first lost", _without(0), {"lost": 1}, {"lost": {0}}, ("lost 1: record 0",)),
    Fault(
        "last three lost",
        _without(17, 18, 19),
        {"lost": 3},
        {"lost": {17, 18, 19}},
        ("lost 3: record 17-19",),
    ),
    Fault("one duplicated", _twice(7), {"duplicate": 1}, {"duplicate": {7}}, ("record 7",)),
    Fault(
        "one lost and one duplicated",
        _lost_and_twice,
        {"lost": 1, "duplicate": 1},
        {"lost": {6}, "duplicate": {7}},
        ("lost 1: record 6", "duplicate 1: record 7"),
    ),
    Fault("two swapped", _swapped, {"reordered": 1}, {}, ("reordered 1",)),
    Fault(
        "one late",
        _without(7),
        # It comes after all the others, so it is out of order as well.
        {"late": 1, "reordered": 1},
        {"late": {7}},
        ("late 1: record 7",),
        held=7,
    ),
    Fault(
        "one truncated",
        _changed(body=lambda body: body[:-9]),
        ONE_CORRUPTED,
        SEVEN,
        ("record 7, body: sent",),
    ),
    Fault(
        "one decimal rounded",
        _changed(amount=lambda amount: Decimal(round(amount, 2))),
        ONE_CORRUPTED,
        SEVEN,
        ("record 7, amount: sent Decimal('1E-10'), seen Decimal('",),
    ),
    Fault(
        "one string lower-cased",
        _changed(2, text=str.lower),
        ONE_CORRUPTED,
        {"corrupted": {2}},
        ("record 2, text: sent 'Grüße", "seen 'grüße"),
    ),
    Fault(
        "blanks trimmed at an end",
        _changed(6, text=str.rstrip),
        ONE_CORRUPTED,
        {"corrupted": {6}},
        ("record 6, text: sent ", "blanks around"),
    ),
    Fault(
        "one timestamp moved by an hour",
        _changed(instant=lambda instant: instant + timedelta(hours=1)),
        ONE_CORRUPTED,
        SEVEN,
        ("record 7, instant: sent datetime.datetime(2026, 10, 2",),
    ),
    Fault(
        "one with another time of sending",
        _changed(sent_at_us=lambda at_us: at_us + 3_600_000_000),
        ONE_CORRUPTED,
        SEVEN,
        ("record 7, sent_at_us: sent 1",),
    ),
    Fault(
        "a foreign record mixed in",
        _with_stranger,
        {"foreign": 1},
        {},
        ("foreign 1", STRANGER),
    ),
    Fault(
        "an acknowledged batch that never arrives",
        _no_batch,
        {"lost": 5},
        {"lost": SECOND_BATCH},
        ("lost 5: record 5-9",),
        outcome=Outcome.ACKNOWLEDGED,
    ),
    Fault(
        "a refused batch that does arrive",
        _same,
        {"contradicted": 5},
        {"contradicted": SECOND_BATCH},
        ("contradicted 5: record 5-9",),
        outcome=Outcome.REFUSED,
    ),
)


def by_name(name: str) -> Fault:
    """The fault that is called so."""
    return next(fault for fault in FAULTS if fault.name == name)


class Faulty:
    """A target before which something goes wrong with the batch that holds record 5, or with each.

    The records that it drops, doubles or changes keep the outcome that the real target gave to
    what it was handed, or get the fault's own.
    """

    def __init__(self, target: Target, fault: Fault) -> None:
        self.target = target
        self.fault = fault
        self.batch = BATCH
        self.held: Record | None = None

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        """Hand on what the fault makes of them."""
        handed = self.fault.change(list(records))
        self.held = next((record for record in records if record.seq == self.fault.held), self.held)
        if handed:
            results = dict(
                zip(
                    [(record.run_id, record.seq) for record in handed],
                    self.target.send(handed, deadline=deadline),
                    strict=True,
                )
            )
        else:
            results = {}
        told = self.fault.outcome if records[0].seq == 5 else None
        acknowledged = SendResult(Outcome.ACKNOWLEDGED)
        return [
            SendResult(told, "planted")
            if told
            else results.get((record.run_id, record.seq), acknowledged)
            for record in records
        ]

    def release(self, *, deadline: Deadline) -> None:
        """Hand on what was held."""
        if self.held is not None:
            self.target.send([self.held], deadline=deadline)


def passage(
    target: Target,
    reader: Reader,
    fault: Fault,
    *,
    folder: Path,
    profile_name: str = "typed",
    seen: Callable[[Account], int] = lambda account: (
        account.seen + account.duplicate + account.foreign
    ),
) -> Account:
    """Send RECORDS records, batch by batch, wait for all that can come, and close the account.

    Both ends are prepared, removed and closed here. The late window is over in the account's eyes
    once everything has come: what is missing then is lost.
    """
    columns = profile(profile_name).columns
    deadline = Deadline.after(LIMIT_S, "the passage's time")
    with target, reader:
        try:
            target.prepare(columns)
            reader.prepare(columns)
            return _sent(target, reader, fault, folder, profile_name, seen, deadline)
        finally:
            reader.remove()
            target.remove()


def _sent(
    target: Target,
    reader: Reader,
    fault: Fault,
    folder: Path,
    profile_name: str,
    seen: Callable[[Account], int],
    deadline: Deadline,
) -> Account:
    within_s = WITHIN_S
    run_id = f"run-{secrets.token_hex(4)}"
    start_us = time.time_ns() // 1000
    faulty = Faulty(target, fault)
    with Ledger.create(
        folder / f"{run_id}.ledger",
        run_id=run_id,
        profile=profile_name,
        start_us=start_us,
        rate_per_s=RATE_PER_S,
    ) as ledger:

        def account(now_us: int) -> Account:
            expectation = ledger.expectation(within_s=within_s, late_s=1.0)
            observation = reader.observe(expectation, deadline=deadline)
            return reconcile(expectation, observation, now_us=now_us)

        for first in range(0, RECORDS, BATCH):
            seqs = range(first, first + BATCH)
            expectation = ledger.expectation(within_s=within_s, late_s=1.0)
            records = [expectation.record(seq) for seq in seqs]
            ledger.intend(seqs)
            ledger.settle(seqs, faulty.send(records, deadline=deadline))
        counts = fault.counts
        coming = RECORDS + sum(counts.get(name, 0) for name in ("duplicate", "foreign"))
        coming -= counts.get("lost", 0)

        def wait_for(count: int) -> None:
            wait_until(
                "all that can come",
                lambda: account(start_us),
                done=lambda found: seen(found) >= count,
                deadline=deadline,
                describe=str,
            )

        if faulty.held is not None:
            wait_for(coming - 1)
            # The others are in time, however long they took.
            within_s = (time.time_ns() // 1000 - start_us) / 1e6
            pause(RECORDS / RATE_PER_S + QUIET_S)
            faulty.release(deadline=deadline)
        wait_for(coming)
        # What comes twice may come a moment after what it repeats.
        pause(QUIET_S)
        closes_us = ledger.expectation(within_s=within_s, late_s=1.0).closes_us
        return account(closes_us + 1_000_000)


def check(account: Account, fault: Fault, *, blind: Sequence[str] = ()) -> None:
    """The account names the fault and nothing else. `blind`: classes that the place can't show."""
    expected = {name: fault.counts.get(name, 0) for name in (*CLASSES, *BESIDE)}
    for name in blind:
        expected[name] = None  # type: ignore[assignment]  # how an account says so
    expected["delivered"] = RECORDS - sum(expected[name] or 0 for name in ("late", "lost"))
    found = {name: getattr(account, name) for name in expected}
    told = account.explain()
    assert found == expected, told
    for name, numbers in fault.records.items():
        if name not in blind:
            assert set(account.members[name]) == numbers, told
    if not set(fault.counts) & set(blind):
        for words in fault.says:
            assert words in told
