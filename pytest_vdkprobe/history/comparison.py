"""A run against its past: newly failing, newly passing, flaky, slower, faster, changed.

It is told what was found and what is known of earlier runs, and touches nothing; so the same words
come from a run's end and from a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pytest_vdkprobe.history.runs import Past, PastPart, PastRun
from pytest_vdkprobe.history.speed import Glance, Shift, find_glances, find_shifts

BAD = ("fail", "error", "unknown")
FLAKY_RUNS = 20
"""How many of its last runs tell whether a step is flaky."""
FLAKY_SPELLS = 2
"""Separate times that it failed among them, with passing between: once may be an outage."""
MOST_TOLD = 10

StepKey = tuple[str, str]
"""A journey and a step of it."""


@dataclass(frozen=True)
class Flaky:
    """A step that fails and passes by turns."""

    failed: int
    spells: int
    runs: int

    def __str__(self) -> str:
        return f"failed in {self.failed} of its last {self.runs} runs, {self.spells} separate times"


@dataclass
class Comparison:
    """What is different from the run that is compared with, and from all before."""

    base: PastRun | None
    runs: int
    """How many runs are known."""
    failing: dict[StepKey, str] = field(default_factory=dict)
    passing: list[StepKey] = field(default_factory=list)
    flaky: dict[StepKey, Flaky] = field(default_factory=dict)
    shifts: dict[StepKey, Shift] = field(default_factory=dict)
    glances: dict[StepKey, Glance] = field(default_factory=dict)
    added: list[StepKey] = field(default_factory=list)
    gone: list[StepKey] = field(default_factory=list)
    models: dict[str, list[str]] = field(default_factory=dict)
    """By journey: the models that changed, came or went, in words."""
    versions: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self.lines()

    def lines(self) -> list[str]:
        """For people: what needs somebody first."""
        told = [f"newly failing  {name(key)}: {what}" for key, what in self.failing.items()]
        told += [f"flaky          {name(key)}: {flaky}" for key, flaky in self.flaky.items()]
        told += [f"newly passing  {name(key)}" for key in self.passing]
        for word, slower in (("slower", True), ("faster", False)):
            told += [
                f"{word:<14} {name(key)}: {shift}"
                for key, shift in self.shifts.items()
                if shift.slower is slower
            ]
        told += [f"to watch       {name(key)}: {glance}" for key, glance in self.glances.items()]
        told += [f"new step       {name(key)}" for key in self.added]
        told += [f"not run        {name(key)}" for key in self.gone]
        told += [
            f"changed        {journey}: {_some(changes)}"
            for journey, changes in self.models.items()
        ]
        told += [f"version        {change}" for change in self.versions]
        return told

    def as_data(self) -> dict[str, object]:
        """For machines."""
        return {
            "base": None if self.base is None else self.base.execution_id,
            "runs": self.runs,
            "newly_failing": {name(key): what for key, what in self.failing.items()},
            "newly_passing": [name(key) for key in self.passing],
            "flaky": {name(key): str(flaky) for key, flaky in self.flaky.items()},
            "slower": _told(self.shifts, slower=True),
            "faster": _told(self.shifts, slower=False),
            "to_watch": {name(key): str(glance) for key, glance in self.glances.items()},
            "added": [name(key) for key in self.added],
            "gone": [name(key) for key in self.gone],
            "changed_models": dict(self.models),
            "changed_versions": list(self.versions),
        }


@dataclass(frozen=True)
class Now:
    """This run, as it ended."""

    parts: Mapping[StepKey, PastPart]
    first_words: Mapping[StepKey, str]
    """What is said of the steps that did not pass."""
    models: Mapping[str, list[str]]
    """By journey: what it consists of that is not as it was, in words."""
    versions: Mapping[str, str]


def compare(now: Now, base: PastRun | None, past: Past) -> Comparison:
    """What has changed since `base`, and what the runs before say of it."""
    result = Comparison(base, len(past.runs))
    base_id = base.execution_id if base is not None else ""
    latest = past.runs[0].execution_id if past.runs else ""
    durations: dict[StepKey, list[float]] = {}
    for key, part in now.parts.items():
        before = past.parts.get(key, [])
        verdicts = {one.execution_id: one.verdict for one in before}
        flaky = find_flaky([*(one.verdict for one in before), part.verdict])
        if part.verdict in BAD:
            if flaky is not None:
                result.flaky[key] = flaky
            elif verdicts.get(base_id) == "pass":
                result.failing[key] = now.first_words.get(key, "")
        elif part.verdict == "pass":
            if verdicts.get(base_id) in BAD or verdicts.get(latest) in BAD:
                result.passing.append(key)
            passed = [one.duration_s for one in before if one.verdict == "pass"]
            durations[key] = [*passed, part.duration_s]
    result.shifts = find_shifts(durations)
    result.glances = {
        key: glance for key, glance in find_glances(durations).items() if key not in result.shifts
    }
    if base is not None:
        then = {key for key, parts in past.parts.items() if base_id in _ids(parts)}
        journeys = {journey for journey, _ in now.parts}
        result.added = sorted(key for key in now.parts if key not in then)
        result.gone = sorted(key for key in then - set(now.parts) if key[0] in journeys)
        result.models = dict(now.models)
        result.versions = changed_versions(base.versions, now.versions)
    return result


def find_flaky(verdicts: Sequence[str]) -> Flaky | None:
    """Whether a step that has these verdicts, the latest last, passes and fails by turns."""
    told = [verdict for verdict in verdicts if verdict == "pass" or verdict in BAD][-FLAKY_RUNS:]
    bad = [verdict in BAD for verdict in told]
    spells = sum(one and not before for before, one in pairwise([False, *bad]))
    if spells < FLAKY_SPELLS:
        return None
    return Flaky(sum(bad), spells, len(told))


def changed_versions(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What was changed, added and removed, with the values."""
    told = []
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        if was is None or now is None:
            told.append(f"{key} {was or now} {'is new' if was is None else 'is gone'}")
        elif was != now:
            told.append(f"{key} {was} -> {now}")
    return told


def name(key: StepKey) -> str:
    """As reports call a step."""
    return "::".join(key)


def _ids(parts: Iterable[PastPart]) -> set[str]:
    return {part.execution_id for part in parts}


def _some(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - MOST_TOLD} more" if len(texts) > MOST_TOLD else ""
    return ", ".join(texts[:MOST_TOLD]) + more


def _told(shifts: Mapping[StepKey, Shift], *, slower: bool) -> dict[str, object]:
    return {
        name(key): {
            "ratio": round(shift.ratio, 3),
            "now_s": round(shift.now_s, 3),
            "before_s": round(shift.before_s, 3),
            "runs": shift.window,
            "runs_before": shift.runs_before,
            "chance": shift.chance,
        }
        for key, shift in shifts.items()
        if shift.slower is slower
    }
