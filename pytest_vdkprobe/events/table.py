"""The table of the newest events, for a terminal or a log that knows neither colours nor width."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_vdkprobe import clock
from pytest_vdkprobe.accounting.bitmaps import each
from pytest_vdkprobe.plaintable import plain_table

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.account import Account
    from pytest_vdkprobe.accounting.expectation import Expectation

MOST_ROWS = 40
STATES = ("delivered", "late", "lost", "refused", "unknown", "in_flight")
HEADINGS = ("#", "State", "Slot (UTC)", "Age", "Latency", "Copies")


def table(name: str, account: Account, expectation: Expectation, took_us: Mapping[int, int]) -> str:
    """Of each: its `seqno`, state, slot, age, and latency where it is known still."""
    rows = []
    for seq in each(expectation.sent[-MOST_ROWS:]):
        state = next((one for one in STATES if seq in account.members[one]), "in_flight")
        at_us = expectation.intended_us(seq)
        took = took_us.get(seq)
        rows.append(
            (
                str(seq + 1),
                state.upper().replace("_", " "),
                f"{datetime.fromtimestamp(at_us / 1e6, UTC):%H:%M:%S}",
                f"{(clock.now_us() - at_us) / 1e6:.0f} s",
                "" if took is None else f"{took / 1e6:.3f} s",
                "twice" if seq in account.members["duplicate"] else "",
            )
        )
    left = len(expectation.sent) - len(rows)
    older = f", the newest {len(rows)} shown" if left > 0 else ""
    return f"{name}: {account}{older}\n{plain_table(HEADINGS, rows, right=('#', 'Age', 'Latency'))}"
