"""The collectors of journeys: a scenario's module, and one journey of it for each subject.

A journey is a module of its own to pytest, so that module scope means one journey, and so that its
id does not depend on where its code lies.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

from pytest_vdkprobe.config.sections import SECTIONS
from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.journeys.answers import in_full
from pytest_vdkprobe.journeys.run import RUN_KEY
from pytest_vdkprobe.journeys.sources import Source
from pytest_vdkprobe.journeys.steps import TEST_PREFIX
from pytest_vdkprobe.journeys.subjects import subjects

TITLES_KEY: pytest.StashKey[dict[str, Path]] = pytest.StashKey()
"""What the ids of each scenario begin with; empty paths are the shipped ones'."""

NAMED_KEY: pytest.StashKey[dict[Path, str]] = pytest.StashKey()
"""The files that [scenarios] has a name for: reports call them by it, however they are run."""

EMPTY_KEY: pytest.StashKey[list[tuple[str, str]]] = pytest.StashKey()
"""Scenarios that there is nothing to run for, and the kind that the configuration lacks."""


class Journey(pytest.Module):
    """A scenario for one subject. A module of its own, so that module scope means one journey."""

    subject: str
    kind: str
    source: Source | None = None
    problem: ProbeError | None = None
    members: list[pytest.Item | pytest.Collector] | None = None
    collected = False

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Its steps; remembered, since `--lf` filters what a collector returns."""
        self.collected = True
        self.members = list(super().collect())
        _require_tests(self)
        return list(self.members)

    def _getobj(self) -> ModuleType:
        # pytest would import `path`, which is a folder for what is shipped.
        return self.obj  # type: ignore[no-any-return]  # untyped in pytest


class Scenario(pytest.Module):
    """A scenario's module, parent of its journeys."""

    source: Source | None = None
    """Where its code is, for one that the command line names no path to."""
    problem: ProbeError | None = None
    """Why its journeys could not be told."""
    members: list[pytest.Item | pytest.Collector] | None = None
    """Its journeys, or the plain tests of a module that is none."""
    collected = False

    def _getobj(self) -> ModuleType:
        if self.source is None:
            return super()._getobj()  # type: ignore[no-any-return,no-untyped-call]  # in pytest
        try:
            return self.source.load()
        except ProbeError as problem:
            self.problem = problem
            raise self.CollectError(in_full(self.config, problem)) from problem

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """One journey for each subject; the plain tests where the module is no journey."""
        self.collected = True
        module = self.obj
        marker = self.get_closest_marker("vdk_journey")
        if marker is None:
            found = list(super().collect())
            if self.source is not None:
                self.members = found
                _require_tests(self)
            return found
        try:
            kind = _kind(marker, self.nodeid)
            names = subjects(self.config, kind)
        except ProbeError as problem:
            self.problem = problem
            raise self.CollectError(in_full(self.config, problem)) from problem
        if not names and SECTIONS.get(kind, True):
            # Nobody can add an entry to what is no list: an upgrade is asked for by options.
            self.config.stash.setdefault(EMPTY_KEY, []).append((self.nodeid, kind))
        title = self._title()
        self.members = [
            self._journey(title, kind, subject, module if index == 0 else again(module))
            for index, subject in enumerate(names)
        ]
        return list(self.members)

    def _title(self) -> str:
        """What the ids begin with: the module's name, and its folder where the name is taken."""
        if self.source is not None:
            return self.name
        named = self.config.stash.get(NAMED_KEY, {})
        title = named.get(self.path) or self.path.stem.removeprefix(TEST_PREFIX)
        taken = self.config.stash.setdefault(TITLES_KEY, {})
        if taken.setdefault(title, self.path) != self.path:
            return f"{Path(self.nodeid).parent.as_posix()}/{title}"
        return title

    def _journey(self, title: str, kind: str, subject: str, module: ModuleType) -> Journey:
        name = f"{title}[{subject.replace('::', ':')}]"
        journey = Journey.from_parent(self, path=self.path, name=name, nodeid=name)
        journey.obj = module
        journey.subject = subject
        journey.kind = kind
        journey.source = self.source
        return journey


def _require_tests(collector: Journey | Scenario) -> None:
    """A scenario that was named and holds no test would look like a good day."""
    source = collector.source
    if collector.members or source is None or source.shipped:
        return
    collector.problem = source.problem(
        f"The scenario {source.name} has no test.",
        f"name its functions {TEST_PREFIX}something, as pytest finds them",
        seen=str(source.path or collector.obj.__name__),
    )
    raise collector.CollectError(str(collector.problem)) from collector.problem


def _kind(marker: pytest.Mark, nodeid: str) -> str:
    if len(marker.args) == 1 and isinstance(marker.args[0], str) and not marker.kwargs:
        return marker.args[0]
    raise ConfigError(
        f"{nodeid} does not say what its journeys are for.",
        key="vdk_journey",
        to_try='name a list of the configuration: pytestmark = pytest.mark.vdk_journey("jobs")',
    )


def as_step(journey: Journey, test: pytest.Item) -> pytest.Item:
    """The same test function under the step's name."""
    if not isinstance(test, pytest.Function) or not test.name.startswith(TEST_PREFIX):
        return test
    extra = {}
    callspec = getattr(test, "callspec", None)
    if callspec is not None:
        extra = {"callspec": callspec, "keywords": {callspec.id: True}}
    step = pytest.Function.from_parent(
        journey,
        name=test.name.removeprefix(TEST_PREFIX),
        # pytest builds ids from this name, and would also look the function up by it: so that is
        # given beside it.
        originalname=test.originalname.removeprefix(TEST_PREFIX),
        callobj=test.obj,
        # Parametrization has put its arguments there; without them it is worked out anew.
        fixtureinfo=getattr(test, "_fixtureinfo", None),
        **extra,
    )
    step.extra_keyword_matches.add(test.name)
    return step


def is_set(test: pytest.Item) -> bool:
    """Whether the subject's entry sets the key that a step is for; without, it is no step of it."""
    marker, journey = test.get_closest_marker("vdk_step"), test.getparent(Journey)
    key = None if marker is None else marker.kwargs.get("if_set")
    if key is None or journey is None:
        return True
    configuration = test.config.stash[RUN_KEY].configuration
    return configuration.sets(journey.kind, journey.subject, key)


def again(module: ModuleType) -> ModuleType:
    """A second copy of a module: each journey has its own globals and module-scoped fixtures."""
    spec = module.__spec__
    if spec is None or spec.loader is None:
        return module
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy
