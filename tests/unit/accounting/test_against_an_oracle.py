"""Whatever happens to records on their way, the account agrees with a plain count record by record.

The oracle keeps a list of what came out for each number and decides by reading it, as somebody
would with pencil and paper; it shares nothing with what it judges but the words.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vdkprobe.accounting.outcomes import Outcome
from pytest_vdkprobe.accounting.stream import Arrival
from tests.unit.accounting.making import LATE_S, WITHIN_S, account, arrival, expectation

COUNT = 12


@dataclass(frozen=True)
class Copy:
    """One thing that came out: which record, when after its intended time, changed or not."""

    seq: int
    after_s: float
    changed: bool
    scope: str


COPIES = st.lists(
    st.builds(
        Copy,
        st.integers(0, COUNT + 2),  # the last are numbers that were never sent
        st.sampled_from([0.01, WITHIN_S - 0.001, WITHIN_S + 0.001, 1.9]),
        st.booleans(),
        st.sampled_from(["0", "1"]),
    ),
    max_size=30,
)
OUTCOMES = st.dictionaries(st.integers(0, COUNT - 1), st.sampled_from(list(Outcome)))


def by_hand(copies: list[Copy], outcomes: dict[int, Outcome], now_s: float) -> dict[str, int]:
    """What a person would write down; `now_s` counts from the first record's intended time."""
    found = dict.fromkeys(
        ("delivered", "late", "lost", "refused", "unknown", "in_flight", "contradicted"), 0
    )
    found |= {"duplicate": 0, "corrupted": 0, "foreign": 0, "reordered": 0}
    for seq in range(COUNT):
        mine = [copy for copy in copies if copy.seq == seq]
        outcome = outcomes.get(seq, Outcome.ACKNOWLEDGED)
        found["corrupted"] += any(copy.changed for copy in mine)
        if mine:
            found["late" if mine[0].after_s > WITHIN_S else "delivered"] += 1
            found["duplicate"] += len(mine) - 1
            found["contradicted"] += outcome is Outcome.REFUSED
        elif outcome is not Outcome.ACKNOWLEDGED:
            found[outcome] += 1
        else:
            closed = now_s > seq / 100 + WITHIN_S + LATE_S
            found["lost" if closed else "in_flight"] += 1
    first: set[int] = set()
    highest = {"0": -1, "1": -1}
    for copy in copies:
        if copy.seq >= COUNT:
            found["foreign"] += 1
        elif copy.seq not in first:
            first.add(copy.seq)
            found["reordered"] += copy.seq < highest[copy.scope]
            highest[copy.scope] = max(copy.seq, highest[copy.scope])
    return found


@settings(max_examples=400, deadline=None)
@given(copies=COPIES, outcomes=OUTCOMES, now_s=st.sampled_from([1.0, 2.055, 5.0]))
def test_every_class_agrees(copies: list[Copy], outcomes: dict[int, Outcome], now_s: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected = expectation(Path(folder) / "book", COUNT, outcomes=outcomes)
    arrivals: list[Arrival] = []
    for copy in copies:
        if copy.seq >= COUNT:
            arrivals.append(Arrival(expected.run_id, copy.seq, "", "", None))
            continue
        one = arrival(expected, copy.seq, after_s=copy.after_s, scope=copy.scope)
        arrivals.append(one._replace(body="{}") if copy.changed else one)
    now_us = expected.start_us + round(now_s * 1e6)
    found = account(expected, arrivals, now_us=now_us)
    wanted = by_hand(copies, outcomes, now_s)
    assert {name: getattr(found, name) or 0 for name in wanted} == wanted
