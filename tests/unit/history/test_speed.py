"""Slower, faster, or only noise: the test of durations, and how sure it says to be."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import pytest

from pytest_vdkprobe.history import speed
from pytest_vdkprobe.history.speed import Shift, find_glances, find_shifts

STEPS = 23


def durations(
    rng: random.Random, runs: int, *, noise: float = 0.08, base: float = 1
) -> list[float]:
    return [base * max(rng.gauss(1, noise), 0.1) for _ in range(runs)]


def shift_of(past: Sequence[float], *, others: int = STEPS - 1) -> Shift | None:
    """What is said of a step of a run whose other steps are as they were."""
    rng = random.Random(9)
    run = {number: durations(rng, len(past)) for number in range(others)}
    return find_shifts({**run, -1: past}).get(-1)


def found_after(before: Sequence[float], slow: Sequence[float]) -> int | None:
    """In which of the slow runs a change for the worse is first told."""
    for runs in range(1, len(slow) + 1):
        shift = shift_of([*before, *slow[:runs]])
        if shift is not None and shift.slower:
            return runs
    return None


def test_a_slow_down_of_a_fifth_is_found_within_ten_runs() -> None:
    rng = random.Random(8)
    found = [shift_of(durations(rng, 20) + durations(rng, 10, base=1.2)) for _ in range(5)]
    assert len([shift for shift in found if shift is not None and shift.slower]) >= 4


def test_a_doubled_step_is_found_after_a_few() -> None:
    rng = random.Random(8)
    assert all(
        (found_after(durations(rng, 50), durations(rng, 4, base=2)) or 99) <= 4 for _ in range(3)
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
    assert "93% slower: 1.95 s in the last 7 runs, 1.01 s in the 39 before" in str(shift)


def test_faster_is_told_too() -> None:
    rng = random.Random(8)
    past = durations(rng, 40) + durations(rng, 8, base=0.5)
    shift = shift_of(past)
    assert shift is not None
    assert not shift.slower


def test_what_lasts_is_the_new_normal() -> None:
    rng = random.Random(8)
    assert shift_of(durations(rng, 40) + durations(rng, 60, base=2)) is None


def test_a_few_runs_prove_nothing() -> None:
    assert shift_of([1.0, 1.0, 1.0, 9.0, 9.0, 9.0]) is None
    assert shift_of([1.0]) is None
    assert find_shifts({}) == {}


def test_what_nobody_would_act_on_is_not_told() -> None:
    assert shift_of([0.002] * 40 + [0.004] * 10) is None
    assert shift_of([10.0, 10.01] * 20 + [10.5] * 10) is None


def test_one_run_that_took_much_longer_is_worth_a_look() -> None:
    glances = find_glances({"slow": [1.0, 1.2, 2.5], "usual": [1.0, 1.2, 1.3], "new": [5.0]})
    assert set(glances) == {"slow"}
    assert str(glances["slow"]).startswith("2.50 s, never more than 1.20 s in 2 runs before")


def test_of_many_steps_that_became_slower_all_are_told() -> None:
    rng = random.Random(8)
    run = {n: durations(rng, 30) + durations(rng, 8, base=1.6) for n in range(6)}
    run |= {n: durations(rng, 38) for n in range(6, STEPS)}
    assert sorted(find_shifts(run)) == [0, 1, 2, 3, 4, 5]


def test_steps_that_vary_more_than_others_raise_no_alarm_and_hide_none() -> None:
    rng = random.Random(8)
    wild = {n: durations(rng, 40, noise=0.5) for n in range(STEPS // 2)}
    calm = {n: durations(rng, 40, noise=0.03) for n in range(STEPS // 2, STEPS)}
    assert find_shifts(wild | calm) == {}
    slow = durations(rng, 30, noise=0.03) + durations(rng, 10, noise=0.03, base=1.2)
    assert list(find_shifts(wild | calm | {-1: slow})) == [-1]


def test_a_step_that_was_in_fewer_runs_is_judged_by_its_own() -> None:
    rng = random.Random(8)
    run = {n: durations(rng, 60) for n in range(STEPS)}
    run |= {n: durations(rng, 30) + durations(rng, 10, base=1.5) for n in (-2, -1)}
    assert sorted(find_shifts(run)) == [-2, -1]


def test_the_same_runs_are_told_the_same() -> None:
    rng = random.Random(8)
    run = {n: durations(rng, 30) for n in range(STEPS - 1)}
    run[-1] = durations(rng, 20) + durations(rng, 10, base=1.5)
    assert find_shifts(run) == find_shifts(run) != {}


def test_chances_are_those_of_all_deals() -> None:
    rng = random.Random(8)
    rows = [speed._clipped(durations(rng, 9)) for _ in range(3)]
    deck = speed._Deck(rows)
    assert deck.windows == [4]
    wanted = sorted([deck.squares(0, 4, sum(sorted(rows[0])[-4:])) * 0.999, 4.0])
    most = [
        max(deck.squares(row, 4, sum(rows[row][run] for run in runs)) for row in range(3))
        for runs in itertools.combinations(range(9), 4)
    ]
    counted = deck.count([*wanted, math.inf], 20_000)
    for one in wanted:
        share = sum(one <= each for each in most) / len(most)
        assert counted[one] / 20_000 == pytest.approx(share, abs=0.02)
