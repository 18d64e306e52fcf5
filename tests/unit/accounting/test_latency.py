"""Latencies keep three digits, and the longest exactly."""

from __future__ import annotations

import random

import pytest
from hdrh.histogram import HdrHistogram

from pytest_vdkprobe.accounting.latency import Latency


def test_longest_is_exact_and_the_others_are_within_a_thousandth() -> None:
    latency = Latency()
    latency.add([300_000] * 98 + [1_234_567, 7_654_321])
    assert latency.at(100) == 7.654321
    assert latency.to_dict()["max"] == 7.654321
    assert latency.at(50) == pytest.approx(0.3, rel=0.001)
    assert latency.at(99) == pytest.approx(1.234567, rel=0.001)
    latency.add([5])
    assert latency.at(100) == 7.654321


def test_without_any_there_is_nothing_to_tell_and_clocks_that_differ_count_as_0() -> None:
    latency = Latency()
    assert (latency.at(100), latency.to_dict()) == (0.0, {})
    latency.add([-5])
    assert latency.at(100) == 0.0
    assert len(latency) == 1


@pytest.mark.parametrize("spread", [3, 5, 8, 10])
def test_percentiles_are_those_of_hdrhistogram(spread: int) -> None:
    chance = random.Random(spread)
    latency, known = Latency(), HdrHistogram(1, 24 * 3600 * 1_000_000, 3)
    for _ in range(3):
        durations = [round(10 ** chance.uniform(0, spread)) for _ in range(500)]
        latency.add(durations)
        for us in durations:
            known.record_value(us)
    for percentile in (0.1, 1, 25, 50, 90, 99, 99.9):
        assert latency.at(percentile) == known.get_value_at_percentile(percentile) / 1e6
