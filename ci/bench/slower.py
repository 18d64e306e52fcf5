"""How often a run without any change is called slower, and how soon a planted slow-down is found.

Simulated runs have STEPS steps each, whose durations vary by noise of several kinds; a clean run is
a false alarm if any of its steps is called slower. A slow-down of 20 % is planted in one step after
a number of good runs, and looked for in each of the ten runs that follow. Beside ours stands what a
script would do: 15 % above the median of all runs before.

    python ci/bench/slower.py [--runs 5000] [--planted 60] [--steps 23] [--seed 8]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Sequence

from pytest_vdkprobe.history.speed import find_shifts

Noise = Callable[[random.Random], float]

NOISES: dict[str, Noise] = {
    "normal, 8 % deviation": lambda dice: max(dice.gauss(1, 0.08), 0.1),
    "even, up to 8 %": lambda dice: 1 + dice.uniform(-0.08, 0.08),
    "lopsided, 8 % deviation": lambda dice: 1 + dice.expovariate(1 / 0.08),
    "4 %, and 2 % hiccups of 3 x": lambda dice: (
        dice.gauss(1, 0.04) * (3 if dice.random() < 0.02 else 1)
    ),
}
NAIVE = 1.15
SLOW = 1.2
LATER_RUNS = 10


def naive(durations: Sequence[float]) -> bool:
    """What a script would say of the last run."""
    return durations[-1] > NAIVE * statistics.median(durations[:-1])


def false_alarms(noise: Noise, dice: random.Random, *, runs: int, steps: int) -> tuple[int, int]:
    """Of so many clean runs, how many are called slower by us, and by the script."""
    ours = theirs = 0
    for _ in range(runs):
        past = dice.choice((20, 40, 60, 100))
        run = {step: [noise(dice) for _ in range(past)] for step in range(steps)}
        ours += any(shift.slower for shift in find_shifts(run).values())
        theirs += any(naive(durations) for durations in run.values())
    return ours, theirs


def found_after(noise: Noise, dice: random.Random, *, before: int, steps: int) -> int | None:
    """In which of the ten slow runs the step is first called slower."""
    history = [[noise(dice) for _ in range(before)] for _ in range(steps)]
    for run in range(1, LATER_RUNS + 1):
        for step, durations in enumerate(history):
            durations.append(noise(dice) * (1 if step else SLOW))
        shift = find_shifts(dict(enumerate(history))).get(0)
        if shift is not None and shift.slower:
            return run
    return None


def main() -> int:
    """Print the figures; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5000, help="clean runs, of each kind of noise")
    parser.add_argument("--planted", type=int, default=60, help="slow-downs, of each kind")
    parser.add_argument("--steps", type=int, default=23)
    parser.add_argument("--seed", type=int, default=8)
    given = parser.parse_args()
    dice = random.Random(given.seed)
    print(f"{given.steps} steps a run; false alarms in {given.runs:,} clean runs of each kind")
    total = 0
    for name, noise in NOISES.items():
        ours, theirs = false_alarms(noise, dice, runs=given.runs, steps=given.steps)
        total += ours
        print(f"  {name:<28} {ours:>5}   a script: {theirs:,}", flush=True)
    rate = 1000 * total / (given.runs * len(NOISES))
    print(f"  all: {rate:.2f} in 1,000 runs, promised at most 1")
    print(f"a step 20 % slower, found within {LATER_RUNS} runs ({given.planted} of each)")
    worst = 1.0
    for before in (20, 50):
        for name, noise in NOISES.items():
            found = [
                found_after(noise, dice, before=before, steps=given.steps)
                for _ in range(given.planted)
            ]
            runs = [run for run in found if run is not None]
            share = len(runs) / len(found)
            worst = min(worst, share)
            after = f"after {statistics.median(runs):g} runs (median)" if runs else ""
            print(f"  {before:>3} runs before, {name:<28} {share:>6.1%}  {after}", flush=True)
    return int(rate > 1 or worst < 0.8)


if __name__ == "__main__":
    sys.exit(main())
