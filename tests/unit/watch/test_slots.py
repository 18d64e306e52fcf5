"""The schedule: start + k x interval, whatever happens in between."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.watch.settings import parse_duration
from pytest_vdkprobe.watch.slots import Slots


def test_the_first_round_begins_at_once_and_each_next_on_its_slot() -> None:
    slots = Slots(100.0, 10.0)
    assert slots.take(100.0, free=True) == (True, 0)
    assert slots.next_at == 110.0
    assert slots.take(109.9, free=True) == (False, 0)
    assert slots.take(110.4, free=True) == (True, 0)
    assert slots.next_at == 120.0


def test_a_round_that_takes_long_costs_the_slots_it_covers_and_shifts_none() -> None:
    slots = Slots(0.0, 10.0)
    assert slots.take(0.0, free=True) == (True, 0)
    assert slots.take(10.0, free=False) == (False, 1)
    assert slots.take(20.0, free=False) == (False, 1)
    assert slots.take(25.0, free=True) == (False, 0)
    assert slots.take(30.0, free=True) == (True, 0)


def test_nobody_catches_up_after_a_long_sleep() -> None:
    slots = Slots(0.0, 10.0)
    assert slots.take(0.0, free=True) == (True, 0)
    assert slots.take(3605.0, free=True) == (True, 359)
    assert slots.next_at == 3610.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), ("1.5s", 1.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration("forever") is None


@pytest.mark.parametrize("text", ["tests", "0", "0s", "-5s", "10 m", "5m1h", "nan", "1e3", "1w"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ConfigError, match="takes a duration"):
        parse_duration(text)
