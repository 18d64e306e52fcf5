"""`--vdk-changed`: only the journeys of which something changed since they were last good.

The process that was called reads the history once and tells its workers what it knows, so that all
of them choose alike. Whatever can't be known makes a journey run: it is left out for one reason
alone, that all it consists of is as it was when all of these steps passed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.journeys.models import models_of
from pytest_vdkprobe.journeys.run import RUN_KEY
from pytest_vdkprobe.journeys.scenarios import Journey
from pytest_vdkprobe.journeys.steps import STEP_KEY

if TYPE_CHECKING:
    from pytest_vdkprobe.history.models import Model
    from pytest_vdkprobe.history.runs import PastJourney

MOST_TOLD = 5
CHANGED_KEY = "vdkprobe_changed"
"""Under this name a worker tells its controller what was chosen."""


class Good(msgspec.Struct, frozen=True):
    """A journey when it was last good, as workers are told."""

    run: str
    passed: frozenset[str]
    models: dict[str, str]
    bad_since: str | None = None

    @classmethod
    def of(cls, past: PastJourney) -> Good:
        """From the history."""
        since = None if past.bad_since is None else past.bad_since.name
        return cls(past.run.name, past.passed, dict(past.models), since)


class Known(msgspec.Struct, frozen=True):
    """What is known of the past; `cannot` says why nothing is."""

    journeys: dict[str, Good] = {}
    versions: dict[str, str] = {}
    """Of the platform, now: models that no file holds, by path."""
    cannot: str | None = None


class Choice(msgspec.Struct, frozen=True):
    """A journey, whether it runs, and why."""

    journey: str
    runs: bool
    why: str

    def __str__(self) -> str:
        return f"{'runs' if self.runs else 'left out':<9} {self.journey}: {self.why}"


class Consisting:
    """In the process that collects: what each journey consists of, and so whether it runs."""

    def __init__(self, known: Known | None) -> None:
        self.known = known
        """None where all run."""
        self.choices: list[Choice] = []
        self._models: dict[str, list[Model]] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """When all else has been selected: leave out what is as it was."""
        yield
        run = config.stash[RUN_KEY]
        steps: dict[str, set[str]] = {}
        journeys: dict[str, Journey] = {}
        for item in items:
            step = item.stash.get(STEP_KEY, None)
            journey = item.getparent(Journey)
            if step is not None and journey is not None:
                steps.setdefault(step.journey, set()).add(step.name)
                journeys[step.journey] = journey
        for name, journey in journeys.items():
            try:
                self._models[name] = models_of(journey, run, config)
            except Exception as exc:  # noqa: BLE001 - what a run remembers must not break it
                # What can't be read is told where it matters: at the step that needs it.
                self._models[name] = []
                why = f"what it consists of can't be read: {str(exc).partition(chr(10))[0]}"
                self.choices.append(Choice(name, runs=True, why=why))
        if self.known is None:
            return
        done = {choice.journey for choice in self.choices}
        for name, journey in journeys.items():
            if journey.kind == "upgrade":
                self.choices.append(Choice(name, runs=True, why="it looks at the platform itself"))
            elif name not in done:
                self.choices.append(choose(name, steps[name], self._models[name], self.known))
        left_out = {choice.journey for choice in self.choices if not choice.runs}
        gone = [i for i in items if STEP_KEY in i.stash and i.stash[STEP_KEY].journey in left_out]
        if gone:
            config.hook.pytest_deselected(items=gone)
            items[:] = [item for item in items if item not in set(gone)]
        for name in left_out:
            run.steps.pop(name, None)
        output = getattr(config, "workeroutput", None)
        if output is not None:
            output[CHANGED_KEY] = msgspec.json.encode(self.choices).decode()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """The first report of a journey carries what it consists of, as data that travels."""
        report = yield
        data = getattr(report, "vdkprobe", None)
        if data is not None and data.get("journey") in self._models:
            data["models"] = as_data(self._models.pop(data["journey"]))
        return report


def choose(name: str, steps: Iterable[str], models: Iterable[Model], known: Known) -> Choice:
    """Whether a journey runs, and why."""

    def runs(why: str) -> Choice:
        return Choice(name, runs=True, why=why)

    if known.cannot is not None:
        return runs(f"it can't be known what changed: {known.cannot}")
    good = known.journeys.get(name)
    if good is None:
        return runs("it has never been good before")
    if good.bad_since is not None:
        return runs(f"it was not good in run {good.bad_since}, after {good.run}")
    new = sorted(set(steps) - good.passed)
    if new:
        return runs(f"not all of it passed in run {good.run}: {_some(new)}")
    now = {model.path: model.digest.hex() for model in models} | dict(known.versions)
    differing = [
        path for path in sorted({*now, *good.models}) if now.get(path) != good.models.get(path)
    ]
    if differing:
        return runs(f"changed since run {good.run}: {_some(differing)}")
    return Choice(name, runs=False, why=f"nothing changed since run {good.run}")


def know(
    read: Callable[[], Mapping[str, PastJourney]], versions: Callable[[], Mapping[str, str]]
) -> Known:
    """What the history and the platform tell; never raises, rather knows nothing."""
    try:
        past = read()
        if not past:
            return Known(cannot="there is no run of it in the history yet")
        journeys = {name: Good.of(one) for name, one in past.items()}
        wanted = {path for good in journeys.values() for path in good.models}
        found = versions() if any(_is_platforms(path) for path in wanted) else {}
        return Known(journeys, dict(found))
    except Finding as finding:
        return Known(cannot=finding.what)


def as_data(models: Iterable[Model]) -> list[list[Any]]:
    """Models as a report carries them between processes."""
    return [
        [model.path, model.digest.hex(), model.normal_digest.hex(), model.size_bytes]
        for model in models
    ]


def as_models(data: Iterable[list[Any]]) -> list[Model]:
    """The same back."""
    from pytest_vdkprobe.history.models import Model  # noqa: PLC0415 - where it is kept

    return [
        Model(path, bytes.fromhex(digest), bytes.fromhex(normal), size)
        for path, digest, normal, size in data
    ]


def choices_from(text: str) -> list[Choice]:
    """What a worker has told."""
    return [msgspec.convert(one, Choice) for one in json.loads(text)]


def _is_platforms(path: str) -> bool:
    return path.startswith("platform/")


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - MOST_TOLD} more" if len(texts) > MOST_TOLD else ""
    return ", ".join(texts[:MOST_TOLD]) + more
