"""Ledgers, arrivals and accounts of a test's own, in a word each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_vdkprobe.accounting.account import Account, reconcile
from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.stream import Arrival, StreamObserver

RUN = "0123abcd"
START_US = 1_795_000_000_000_000
RATE_PER_S = 100.0
WITHIN_S = 1.0
LATE_S = 1.0


def ledger(path: Path, *, profile: str = "small") -> Ledger:
    return Ledger.create(
        path, run_id=RUN, profile=profile, start_us=START_US, rate_per_s=RATE_PER_S
    )


def expectation(
    path: Path,
    count: int,
    *,
    profile: str = "small",
    outcomes: Mapping[int, Outcome] | None = None,
) -> Expectation:
    """`count` records were sent and acknowledged, but for those with another outcome."""
    given = outcomes or {}
    with ledger(path, profile=profile) as book:
        if count:
            seqs = range(count)
            book.intend(seqs)
            book.settle(
                seqs, [SendResult(given.get(seq, Outcome.ACKNOWLEDGED), "why") for seq in seqs]
            )
        return book.expectation(within_s=WITHIN_S, late_s=LATE_S)


def arrival(expected: Expectation, seq: int, *, after_s: float = 0.01, **changed: Any) -> Arrival:
    """The record as it was sent, `after_s` its intended time, but for what is changed."""
    record = expected.record(seq)
    at_us = record.sent_at_us + round(after_s * 1e6)
    plain = Arrival(RUN, seq, record.body, record.digest, record.payload, at_us)
    return plain._replace(**changed)


def account(expected: Expectation, arrivals: Iterable[Arrival], *, now_us: int = 0) -> Account:
    """After all windows have closed, unless told when."""
    observer = StreamObserver(expected)
    observer.see_many(arrivals)
    return reconcile(
        expected, observer.observation, now_us=now_us or expected.closes_us + 1_000_000
    )
