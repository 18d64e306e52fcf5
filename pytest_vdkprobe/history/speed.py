"""Whether a step has become slower or faster: a test that states how sure it is.

One run tells little: a step that takes 8 % more or less each time is 20 % slower once in a while by
chance. So the last few runs are held against those before them, and the chance is counted instead
of assumed: of all the ways to pick as many of these runs, how many would look as slow? That holds
for noise of any kind, hiccups included, as long as the runs are alike. Since a run has many steps,
each looked at over several windows, the confidence asked of each is the whole run's divided among
them (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

FALSE_ALARMS = 0.0008
"""How often a run may have a step called slower without cause, over all its steps; below the one in
a thousand that is promised, for the joke of the dice that a benchmark rolls."""
WINDOWS = (10, 8, 6, 4)
"""How many of the last runs are taken together. What ten runs don't show is the new normal."""
FEWEST_BEFORE = 5
"""Runs before the window, or there is nothing to hold it against."""
MOST_RUNS = 100
"""Older ones tell of another platform."""
LEAST_RATIO = 1.1
LEAST_S = 0.01
"""Less than either is nothing that anybody would act on, however sure."""
RESOLUTION_S = 0.001
GRADES = 64
"""Durations are graded from 0 to this between the clips: fine enough not to blunt the test."""
CLIP = 3.0
"""How many of its usual deviations a duration counts at most, so that no hiccup decides alone."""
PROMISING = 3.0
"""Standard deviations below which no chance is rare enough, and counting is spared."""
STRIKING_RATIO = 1.5
STRIKING_S = 0.5
"""What a single run has to exceed all before it by to be worth a look, though it proves nothing."""


class Shift(NamedTuple):
    """A step whose duration has changed, and how sure that is."""

    ratio: float
    """Its duration now to that before; above 1 for slower."""
    now_s: float
    before_s: float
    window: int
    """Over how many runs, this one the last."""
    runs_before: int
    chance: float
    """How often a run would have a step that looks like this without cause, at most."""

    @property
    def slower(self) -> bool:
        """Whether it takes longer than before."""
        return self.ratio > 1

    def __str__(self) -> str:
        word = "slower" if self.slower else "faster"
        return (
            f"{abs(self.ratio - 1):.0%} {word}: {self.now_s:.2f} s in the last {self.window} runs,"
            f" {self.before_s:.2f} s in the {self.runs_before} before;"
            f" without cause in one of {odds(self.chance)} runs"
        )


class Glance(NamedTuple):
    """A step that took longer than ever in this run: worth a look, and no proof."""

    now_s: float
    most_s: float
    runs_before: int

    def __str__(self) -> str:
        plural = "s" if self.runs_before > 1 else ""
        return (
            f"{self.now_s:.2f} s, never more than {self.most_s:.2f} s in {self.runs_before}"
            f" run{plural} before; one run is no proof"
        )


def find_shifts(durations: Mapping[K, Sequence[float]]) -> dict[K, Shift]:
    """The steps that have become slower or faster; `durations` in seconds, this run's last.

    Only runs in which the step passed belong there: how long it took to fail says nothing.
    """
    share = FALSE_ALARMS / max(len(durations), 1)
    found = {name: find_shift(past, share) for name, past in durations.items()}
    return {
        name: shift._replace(chance=min(shift.chance * len(durations), 1.0))
        for name, shift in found.items()
        if shift is not None
    }


def find_shift(durations: Sequence[float], false_alarms: float) -> Shift | None:
    """The surest change of one step over all windows, if it has one that chance makes so rarely."""
    seconds = [max(duration, RESOLUTION_S) for duration in durations[-MOST_RUNS:]]
    windows = _windows(len(seconds), false_alarms)
    if not windows:
        return None
    grades = _graded([math.log(duration) for duration in seconds])
    found = [
        shift
        for window in windows
        if (shift := _over(window, seconds, grades, false_alarms / len(windows))) is not None
    ]
    if not found:
        return None
    best = min(found, key=lambda shift: shift.chance)
    return best._replace(chance=best.chance * len(windows))


def find_glances(durations: Mapping[K, Sequence[float]]) -> dict[K, Glance]:
    """The steps that took much longer in this run than in any before."""
    found = {}
    for name, past in durations.items():
        *before, now = past[-MOST_RUNS:]
        most = max(before, default=math.inf)
        if now > most * STRIKING_RATIO and now > most + STRIKING_S:
            found[name] = Glance(now, most, len(before))
    return found


def odds(chance: float) -> str:
    """One in how many: `2,000`, or `a million or more`."""
    return f"{int(1 / chance):,}" if chance > 1e-6 else "a million or more"


def _windows(runs: int, false_alarms: float) -> list[int]:
    """The windows in which so many runs can show anything; the confidence is divided among them."""
    for count in range(len(WINDOWS), 0, -1):
        able = [
            window
            for window in WINDOWS[:count]
            if runs - window >= FEWEST_BEFORE and math.comb(runs, window) * false_alarms >= count
        ]
        if able:
            return able
    return []


def _graded(logs: list[float]) -> list[int]:
    """Whole numbers that grow with the logarithms, clipped at both ends."""
    middle = median(logs)
    usual = 1.4826 * median(abs(x - middle) for x in logs)
    low = max(min(logs), middle - CLIP * usual) if usual else min(logs)
    high = min(max(logs), middle + CLIP * usual) if usual else max(logs)
    if high <= low:
        return [0] * len(logs)
    return [round(GRADES * (min(max(x, low), high) - low) / (high - low)) for x in logs]


def _over(
    window: int, seconds: list[float], grades: list[int], false_alarms: float
) -> Shift | None:
    """The change over one window, if it is large enough and chance makes it so rarely."""
    now, then = median(seconds[-window:]), median(seconds[:-window])
    ratio = now / then
    if max(ratio, 1 / ratio) < LEAST_RATIO or abs(now - then) < LEAST_S:
        return None
    if ratio < 1:
        grades = [GRADES - grade for grade in grades]
    runs, total = len(grades), sum(grades[-window:])
    mean = fmean(grades)
    spread = sum((grade - mean) ** 2 for grade in grades) / (runs - 1)
    expected = math.sqrt(window * (runs - window) / runs * spread)
    if total - window * mean < PROMISING * expected:
        return None
    chance = _chance(grades, window, total)
    if chance > false_alarms:
        return None
    return Shift(ratio, now, then, window, runs - window, chance)


def _chance(grades: Sequence[int], window: int, total: int) -> float:
    """Of all the ways to pick `window` of the grades, the share whose sum is `total` or more.

    The ways are counted as coefficients of the product of (1 + y x^grade): one large number holds
    them all, a power of y to a row and a power of x to a cell, and multiplying is a shift and an
    addition.
    """
    ways = math.comb(len(grades), window)
    cell = ways.bit_length() + 1
    row = cell * (window * max(grades) + 1)
    product = 1
    kept = (1 << row * (window + 1)) - 1
    for grade in grades:
        product += (product << (row + cell * grade)) & kept
    sums = product >> (row * window)
    first = sums >> (cell * total)
    found, mask = 0, (1 << cell) - 1
    while first:
        found += first & mask
        first >>= cell
    return found / ways
