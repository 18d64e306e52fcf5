"""Latencies keep three digits, and the longest exactly."""

from __future__ import annotations

import pytest

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
