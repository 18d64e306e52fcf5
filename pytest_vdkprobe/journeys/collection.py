"""Which tests there are: shipped scenarios and users' own, one journey for each subject.

The shipped modules lie in site-packages, but whoever calls pytest expects the `conftest.py` of the
folder they call it in to reach them. pytest decides that by the tree of collectors (fixtures) and
by their path (hooks), so a shipped scenario is hung under a real directory collector for that
folder and takes its path from there; only its code comes from where it is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.journeys.run import RUN_KEY
from pytest_vdkprobe.journeys.steps import TEST_PREFIX

SCENARIOS_PACKAGE = "pytest_vdkprobe.scenarios"


TITLES_KEY: pytest.StashKey[dict[str, Path]] = pytest.StashKey()
"""What the ids of each scenario begin with; empty paths are the shipped ones'."""

EMPTY_KEY: pytest.StashKey[list[tuple[str, str]]] = pytest.StashKey()
"""Scenarios that there is nothing to run for, and the kind that the configuration lacks."""


class Named(msgspec.Struct, frozen=True):
    """All that journeys need to know of the tables they are run for."""

    name: str


class Journey(pytest.Module):
    """A scenario for one subject. A module of its own, so that module scope means one journey."""

    subject: str
    members: list[pytest.Item | pytest.Collector] | None = None
    collected = False

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Its steps; remembered, since `--lf` filters what a collector returns."""
        self.collected = True
        self.members = list(super().collect())
        return list(self.members)

    def _getobj(self) -> ModuleType:
        # pytest would import `path`, which is a folder for what is shipped.
        return self.obj  # type: ignore[no-any-return]  # untyped in pytest


class Scenario(pytest.Module):
    """A scenario's module, parent of its journeys."""

    problem: ProbeError | None = None
    """Why its journeys could not be told."""
    members: list[pytest.Item | pytest.Collector] | None = None
    """Its journeys; stays None for a module that is none."""
    collected = False

    def _getobj(self) -> ModuleType:
        if self.path.is_file():
            return super()._getobj()  # type: ignore[no-any-return,no-untyped-call]  # in pytest
        return self.obj  # type: ignore[no-any-return]

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """One journey for each subject; the plain tests where the module is no journey."""
        self.collected = True
        module = self.obj
        marker = self.get_closest_marker("vdk_journey")
        if marker is None:
            return super().collect()
        try:
            kind = _kind(marker, self.nodeid)
            names = subjects(self.config, kind)
        except ProbeError as problem:
            self.problem = problem
            raise self.CollectError(str(problem)) from problem
        if not names:
            self.config.stash.setdefault(EMPTY_KEY, []).append((self.nodeid, kind))
        title = self._title()
        self.members = [
            self._journey(title, subject, module if index == 0 else _again(module))
            for index, subject in enumerate(names)
        ]
        return list(self.members)

    def _title(self) -> str:
        """What the ids begin with: the module's name, and its folder where the name is taken."""
        if not self.path.is_file():
            return self.name
        title = self.path.stem.removeprefix(TEST_PREFIX)
        taken = self.config.stash.setdefault(TITLES_KEY, {})
        if taken.setdefault(title, self.path) != self.path:
            return f"{Path(self.nodeid).parent.as_posix()}/{title}"
        return title

    def _journey(self, title: str, subject: str, module: ModuleType) -> Journey:
        name = f"{title}[{subject.replace('::', ':')}]"
        journey = Journey.from_parent(self, path=self.path, name=name, nodeid=name)
        journey.obj = module
        journey.subject = subject
        return journey


def _kind(marker: pytest.Mark, nodeid: str) -> str:
    if len(marker.args) == 1 and isinstance(marker.args[0], str) and not marker.kwargs:
        return marker.args[0]
    raise ConfigError(
        f"{nodeid} does not say what its journeys are for.",
        key="vdk_journey",
        to_try='name a list of the configuration: pytestmark = pytest.mark.vdk_journey("jobs")',
    )


class Folder(pytest.Directory):
    """A directory on the way from rootdir to the folder of the call, and that folder itself."""

    rest: tuple[Path, ...] = ()
    scenarios: tuple[str, ...] = ()

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """The next directory of the way, or at its end the shipped scenarios."""
        if self.rest:
            yield folders(self, self.rest, self.scenarios)
        else:
            yield from shipped_scenarios(self, self.scenarios)


def folders(
    parent: pytest.Collector, way: tuple[Path, ...], scenarios: tuple[str, ...]
) -> pytest.Collector:
    """The collector for the first directory of `way`, which leads to the rest."""
    folder = Folder.from_parent(parent, path=way[0])
    folder.rest = way[1:]
    folder.scenarios = scenarios
    return folder


def shipped_scenarios(parent: pytest.Collector, names: Sequence[str]) -> Iterable[Scenario]:
    """A collector for each shipped scenario, as if it lay in the parent's folder."""
    for name in names:
        scenario = Scenario.from_parent(parent, path=parent.path, name=name, nodeid=name)
        module = importlib.import_module(f"{SCENARIOS_PACKAGE}.{TEST_PREFIX}{name}")
        scenario.obj = module
        marks = getattr(module, "pytestmark", [])
        for mark in marks if isinstance(marks, list | tuple) else [marks]:
            scenario.add_marker(mark)
        yield scenario


def rewrite_assertions(names: Sequence[str]) -> None:
    """Let `assert` in these shipped scenarios say what it compared, as it does in users' own."""
    modules = [f"{SCENARIOS_PACKAGE}.{TEST_PREFIX}{name}" for name in names]
    # For what somebody has imported before us it is too late, and pytest would warn.
    pytest.register_assert_rewrite(*(name for name in modules if name not in sys.modules))


def shipped_names() -> list[str]:
    """The scenarios that the package brings, by the names of their modules."""
    spec = importlib.util.find_spec(SCENARIOS_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    found = {path.stem for place in places or () for path in Path(place).glob(TEST_PREFIX + "*.py")}
    return sorted(stem.removeprefix(TEST_PREFIX) for stem in found)


def mark_unusable(report: pytest.CollectReport) -> None:
    """Make a failed collection count as an unusable configuration, across processes."""
    report.vdkprobe_unusable = True  # type: ignore[attr-defined]  # reports carry extra attributes


def subjects(config: pytest.Config, kind: str) -> list[str]:
    """What a scenario of that kind is run for: what a hook says, else the names in `[[kind]]`."""
    configuration = config.stash[RUN_KEY].configuration
    told = config.hook.pytest_vdkprobe_subjects(
        config=config, configuration=configuration, kind=kind
    )
    if told is not None and (isinstance(told, str) or not all(isinstance(n, str) for n in told)):
        raise ConfigError(
            "The hook pytest_vdkprobe_subjects returned something that is no list of names.",
            key=kind,
            value=told,
            expected="a list of strings, or None",
        )
    if told is None:
        names = [table.name for table in configuration.sections(kind, Named)]
    else:
        names = list(told)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"Two entries in [[{kind}]] have the same name.",
            key=f"{kind}.name",
            value=", ".join(twice),
            to_try="give each a name of its own: reports and leases tell them apart by it",
        )
    return names


class Collection:
    """The hooks that put journeys into pytest's collection."""

    def __init__(self, scenarios: Sequence[str], config: pytest.Config) -> None:
        self.scenarios = tuple(scenarios)
        config.stash[TITLES_KEY] = {name: Path() for name in scenarios}

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Hang the shipped scenarios into the tree, below what was asked for by path."""
        report = yield
        if isinstance(collector, pytest.Session) and report.passed and self.scenarios:
            report.result = [*(report.result or ()), *self._hang(collector, report.result or ())]
        if isinstance(collector, Scenario) and collector.problem is not None:
            mark_unusable(report)
        if isinstance(collector, Scenario | Journey) and report.passed:
            # `--lf` goes by files, which journeys have none of, and leaves out what a step needs.
            if not collector.collected:
                report.result = list(collector.collect())
            if collector.members is not None:
                report.result = list(collector.members)
        return report

    def _hang(
        self, session: pytest.Session, collected: Sequence[pytest.Item | pytest.Collector]
    ) -> Iterable[pytest.Collector]:
        target = session.config.invocation_params.dir
        way = (target, *target.parents)
        # A conftest's fixtures belong to the first collector of its folder, so one that a path on
        # the command line has already made has to be used again.
        made = {
            node.path: node
            for leaf in collected
            for node in leaf.listchain()
            if isinstance(node, pytest.Directory) and node.path in way
        }
        nearest = next((made[path] for path in way if path in made), None)
        if nearest is not None:
            start: pytest.Collector = nearest
            missing = way[: way.index(nearest.path)]
        else:
            start = session
            root = session.config.rootpath
            missing = way[: way.index(root) + 1] if root in way else way[:1]
        if not missing:
            return list(shipped_scenarios(start, self.scenarios))
        return [folders(start, tuple(reversed(missing)), self.scenarios)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        """Take over a user's module that speaks of journeys; every other stays pytest's own."""
        if b"vdk_journey" not in module_path.read_bytes():
            return None
        return Scenario.from_parent(parent, path=module_path)

    @pytest.hookimpl(wrapper=True)
    def pytest_pycollect_makeitem(
        self, collector: pytest.Module | pytest.Class, name: str, obj: object
    ) -> Generator[None, object, object]:
        """Name a journey's tests as steps: `run`, not `test_run`."""
        made = yield
        if isinstance(collector, Journey) and isinstance(made, list):
            return [_as_step(collector, test) for test in made]
        return made


def _as_step(journey: Journey, test: pytest.Item) -> pytest.Item:
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


def _again(module: ModuleType) -> ModuleType:
    """A second copy of a module: each journey has its own globals and module-scoped fixtures."""
    spec = module.__spec__
    if spec is None or spec.loader is None:
        return module
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy
