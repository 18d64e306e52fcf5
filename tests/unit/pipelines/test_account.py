"""A row that says something else than its message is told; of two messages either may be it."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.pipelines.account import Id, Seen, reconcile

CHECK = Id(1, 1_795_000_000_000_000)
TRUTH = {1: (200, True, None)}


def seen(took_s: float) -> Seen:
    return Seen(CHECK, 200, True, None, CHECK.slot_us + 10, took_s)


def test_row_with_another_response_time_than_its_message_is_altered() -> None:
    account = reconcile([CHECK], [(CHECK, CHECK.slot_us)], [seen(0.25)], [seen(250.0)], TRUTH)
    with pytest.raises(PlatformFailure, match="1 rows say something else") as failure:
        account.require()
    assert "took 250.0 s, its message 0.25 s" in str(failure.value)


@pytest.mark.parametrize("kept", [0.25, 0.5])
def test_row_of_a_check_that_was_made_twice_is_of_either(kept: float) -> None:
    hits = [(CHECK, CHECK.slot_us)] * 2
    account = reconcile([CHECK], hits, [seen(0.25), seen(0.5)], [seen(kept)], TRUTH)
    account.require()
