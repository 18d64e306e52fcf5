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

import pytest

from pytest_vdkprobe.journeys.scenarios import TITLES_KEY, Journey, Scenario, as_step
from pytest_vdkprobe.journeys.steps import TEST_PREFIX

SCENARIOS_PACKAGE = "pytest_vdkprobe.scenarios"


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
            return [as_step(collector, test) for test in made]
        return made
