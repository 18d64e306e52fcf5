"""Slower, faster, or only noise: the test of durations, and how sure it says to be."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from pytest_vdkprobe.history import speed
from pytest_vdkprobe.history.speed import find_glances, find_shift, find_shifts

STEPS = 30
SHARE = speed.FALSE_ALARMS / STEPS


def durations(
    rng: random.Random, runs: int, *, noise: float = 0.08, base: float = 1
) -> list[float]:
    return [base * max(rng.gauss(1, noise), 0.1) for _ in range(runs)]


def found_after(before: Sequence[float], slow: Sequence[float]) -> int | None:
    """In which of the slow runs a change for the worse is first told."""
    for runs in range(1, len(slow) + 1):
        shift = find_shift([*before, *slow[:runs]], SHARE)
        if shift is not None and shift.slower:
            return runs
    return None


def test_a_slow_down_of_a_fifth_is_found_within_ten_runs() -> None:
    rng = random.Random(8)
    found = [
        found_after(durations(rng, 50), durations(rng, 10, base=1.2)) is not None for _ in range(40)
    ]
    assert sum(found) >= 34  # 95 % by the benchmark


def test_a_doubled_step_is_found_after_a_few() -> None:
    rng = random.Random(8)
    assert all(
        (found_after(durations(rng, 50), durations(rng, 10, base=2)) or 99) <= 4 for _ in range(20)
    )


@pytest.mark.parametrize("kind", ["gauss", "hiccups", "lopsided", "coarse", "still"])
def test_noise_is_not_called_slower(kind: str) -> None:
    rng = random.Random(8)

    def one() -> float:
        if kind == "hiccups":
            return rng.gauss(1, 0.05) * (rng.choice((3, 10, 60)) if rng.random() < 0.03 else 1)
        if kind == "lopsided":
            return 1 + rng.expovariate(1 / 0.08)
        if kind == "coarse":
            return rng.choice((0.0, 0.001, 0.002))
        return 0.5 if kind == "still" else rng.gauss(1, 0.08)

    runs = [{str(s): [one() for _ in range(40)] for s in range(STEPS)} for _ in range(60)]
    assert sum(bool(find_shifts(run)) for run in runs) == 0


def test_it_says_over_which_runs_and_how_sure() -> None:
    rng = random.Random(8)
    past = durations(rng, 40, noise=0.03) + durations(rng, 6, noise=0.03, base=2)
    (shift,) = find_shifts({"run": past, "log": durations(rng, 46)}).values()
    assert shift.slower
    assert 1.8 < shift.ratio < 2.2
    assert shift.chance <= speed.FALSE_ALARMS
    assert "94% slower: 1.96 s in the last 6 runs, 1.01 s in the 40 before" in str(shift)


def test_faster_is_told_too() -> None:
    rng = random.Random(8)
    past = durations(rng, 40) + durations(rng, 8, base=0.5)
    shift = find_shift(past, SHARE)
    assert shift is not None
    assert not shift.slower


def test_what_lasts_is_the_new_normal() -> None:
    rng = random.Random(8)
    assert find_shift(durations(rng, 40) + durations(rng, 60, base=2), SHARE) is None


def test_a_few_runs_prove_nothing() -> None:
    assert find_shift([1.0, 1.0, 1.0, 9.0, 9.0, 9.0], SHARE) is None
    assert find_shift([], SHARE) is None


def test_what_nobody_would_act_on_is_not_told() -> None:
    assert find_shift([0.002] * 40 + [0.004] * 10, SHARE) is None
    assert find_shift([10.0, 10.01] * 20 + [10.5] * 10, SHARE) is None


def test_one_run_that_took_much_longer_is_worth_a_look() -> None:
    glances = find_glances({"slow": [1.0, 1.2, 2.5], "usual": [1.0, 1.2, 1.3], "new": [5.0]})
    assert set(glances) == {"slow"}
    assert str(glances["slow"]).startswith("2.50 s, never more than 1.20 s in 2 runs before")


@pytest.mark.parametrize("total", [0, 9, 12, 15])
def test_chances_are_counted_exactly(total: int) -> None:
    grades = [0, 1, 2, 2, 3, 5, 7, 7]
    picks = list(itertools.combinations(grades, 3))
    expected = sum(sum(pick) >= total for pick in picks) / len(picks)
    assert speed._chance(grades, 3, total) == pytest.approx(expected)
