"""Whether a step has become slower or faster: a test that states how sure it is.

One run tells little: a step that takes 8 % more or less each time is 20 % slower once in a while by
chance. So the last few runs are held against those before them, and the chance is counted instead
of assumed: the runs are dealt anew, thousands of times, and how often does any step of them stand
out as much? That holds for noise of any kind, hiccups included, and whether steps are slow together
or each for itself, as long as the runs are alike.

How much a step stands out is told by how much it varies (as in a t-test), and a few runs say little
of that: one that happened to vary little would look sure of anything. So what is usual among the
steps counts for most of it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from operator import itemgetter
from random import Random
from statistics import fmean, median
from typing import NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

FALSE_ALARMS = 0.0008
"""How often a run may have a step called slower without cause, over all its steps; below the one in
a thousand that is promised, for the joke of the dice that a benchmark rolls."""
WINDOWS = (10, 7, 4)
"""How many of the last runs are taken together; the fewer, the more they have to show. What ten
runs don't show is the new normal."""
FEWEST_BEFORE = 5
"""Runs before the window, or there is nothing to hold it against."""
MOST_RUNS = 100
"""Older ones tell of another platform."""
LEAST_RATIO = 1.1
LEAST_S = 0.01
"""Less than either is nothing that anybody would act on, however sure."""
RESOLUTION_S = 0.001
CLIP = 3.5
"""How many of its usual deviations a duration counts at most, so that no hiccup decides alone."""
OWN_SHARE = 0.25
"""What a step's own variance counts for, beside that which is usual among the steps. It is taken
for no less than it is, and for four times as much at most."""
MOST_OF_OWN = 4.0
PROMISING = 9.0
"""Squared standard errors below which no chance is rare enough, and dealing is spared."""
EXCEPTIONS = 3
"""How many deals may look as bad as the run does; the fewer, the more the dice decide."""
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
            f" without cause in one of {1 / self.chance:,.0f} runs at most"
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
    alike: dict[int, dict[K, list[float]]] = {}
    for name, past in durations.items():
        seconds = [max(duration, RESOLUTION_S) for duration in past[-MOST_RUNS:]]
        alike.setdefault(len(seconds), {})[name] = seconds
    found: dict[K, Shift] = {}
    for steps in alike.values():
        # Steps that have been in as many runs are dealt together; the others have their share.
        share = len(steps) / len(durations)
        for sign in (1, -1):
            found |= _stand_out(steps, sign, share)
    return {name: found[name] for name in durations if name in found}


def find_glances(durations: Mapping[K, Sequence[float]]) -> dict[K, Glance]:
    """The steps that took much longer in this run than in any before."""
    found = {}
    for name, past in durations.items():
        *before, now = past[-MOST_RUNS:]
        most = max(before, default=math.inf)
        if now > most * STRIKING_RATIO and now > most + STRIKING_S:
            found[name] = Glance(now, most, len(before))
    return found


def _stand_out(steps: Mapping[K, list[float]], sign: int, share: float) -> dict[K, Shift]:
    """Those that chance makes stand out so rarely, of steps that have been in as many runs."""
    deck = _Deck([_clipped([sign * math.log(one) for one in past]) for past in steps.values()])
    promising: dict[K, tuple[float, Shift]] = {}
    for row, (name, past) in enumerate(steps.items()):
        best = max(deck.windows, key=lambda one: deck.last(row, one), default=None)
        if best is None or (squares := deck.last(row, best)) < PROMISING:
            continue
        now, then = median(past[-best:]), median(past[:-best])
        if (now / then) ** sign >= LEAST_RATIO and abs(now - then) >= LEAST_S:
            # Less what rounding may make of it when the same runs are dealt.
            squares *= 1 - 1e-9
            promising[name] = (
                squares,
                Shift(now / then, now, then, best, deck.runs - best, chance=1.0),
            )
    deals = math.ceil((EXCEPTIONS + 1) / (FALSE_ALARMS * share)) - 1
    as_bad = deck.count(sorted(squares for squares, _ in promising.values()), deals)
    return {
        name: shift._replace(chance=(1 + as_bad[squares]) / (deals + 1) / share)
        for name, (squares, shift) in promising.items()
        if as_bad[squares] <= EXCEPTIONS
    }


class _Deck:
    """The runs of some steps, which can be dealt in another order: a row for each step."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = rows
        self.runs = len(rows[0])
        self.windows = [window for window in WINDOWS if self.runs - window >= FEWEST_BEFORE]
        self._freedom = max(self.runs - 2, 1)
        self._own = [sum(one * one for one in row) for row in rows]
        self._usual = median(self._own) / self._freedom

    def squares(self, row: int, window: int, total: float) -> float:
        """How much a row stands out whose values in the window have this sum: squared standard
        errors, fewer of them for a shorter window."""
        if total <= 0:
            return 0.0
        # Rows have the mean 0: this is the part of the squares that lies between the two groups.
        between = total * total * self.runs / (window * (self.runs - window))
        own = max(self._own[row] - between, 0.0) / self._freedom
        usual = OWN_SHARE * own + (1 - OWN_SHARE) * self._usual
        variance = max(own, min(usual, MOST_OF_OWN * own))
        weighed = between * window / WINDOWS[0]
        return weighed / variance if variance > 0 else math.inf

    def last(self, row: int, window: int) -> float:
        """As `squares`, of the last runs, as they were."""
        return self.squares(row, window, sum(self.rows[row][-window:]))

    def count(self, wanted: Sequence[float], deals: int) -> dict[float, int]:
        """In how many deals a row stands out as much, for each of `wanted`, the least first.

        Given up when that is too many for the largest.
        """
        as_bad = dict.fromkeys(wanted, 0)
        if not wanted:
            return as_bad
        least = {
            window: [self._least(row, window, wanted[0]) for row in range(len(self.rows))]
            for window in self.windows
        }
        dice = Random(0)  # noqa: S311 - the same runs are to be told the same
        for _ in range(deals):
            order = dice.sample(range(self.runs), self.windows[0])
            most = 0.0
            for window, enough in least.items():
                dealt = itemgetter(*order[:window])
                for number, (row, total) in enumerate(zip(self.rows, enough, strict=True)):
                    if (found := sum(dealt(row))) >= total:
                        most = max(most, self.squares(number, window, found))
            for one in as_bad:
                as_bad[one] += one <= most
            if as_bad[wanted[-1]] > EXCEPTIONS:
                break
        return as_bad

    def _least(self, row: int, window: int, wanted: float) -> float:
        """A sum just below the least that stands out as much: nearly all deals end with it."""
        low, high = 0.0, sum(sorted(self.rows[row])[-window:]) + 1e-9
        for _ in range(30):
            middle = (low + high) / 2
            if self.squares(row, window, middle) < wanted:
                low = middle
            else:
                high = middle
        return low


def _clipped(logs: list[float]) -> list[float]:
    """With nothing too far from the middle, and with the mean 0."""
    middle = median(logs)
    usual = 1.4826 * median(abs(x - middle) for x in logs)
    if usual:
        logs = [min(max(x, middle - CLIP * usual), middle + CLIP * usual) for x in logs]
    mean = fmean(logs)
    return [x - mean for x in logs]
