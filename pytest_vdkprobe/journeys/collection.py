"""Which tests there are: shipped scenarios and users' own, one journey for each subject.

Their modules lie in site-packages, say, but whoever calls pytest expects the `conftest.py` of the
folder they call it in to reach them. pytest decides that by the tree of collectors (fixtures) and
by their path (hooks), so a scenario is hung under a real directory collector for that
folder and takes its path from there; only its code comes from where it is installed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import pytest

from pytest_vdkprobe.journeys import route_subject
from pytest_vdkprobe.journeys.scenarios import (
    NAMED_KEY,
    TITLES_KEY,
    Journey,
    Scenario,
    as_step,
    is_set,
)
from pytest_vdkprobe.journeys.sources import Source


class Folder(pytest.Directory):
    """A directory on the way from rootdir to the folder of the call, and that folder itself."""

    rest: tuple[Path, ...] = ()
    scenarios: tuple[Source, ...] = ()

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """The next directory of the way, or at its end the scenarios."""
        if self.rest:
            yield folders(self, self.rest, self.scenarios)
        else:
            yield from configured_scenarios(self, self.scenarios)


def folders(
    parent: pytest.Collector, way: tuple[Path, ...], scenarios: tuple[Source, ...]
) -> pytest.Collector:
    """The collector for the first directory of `way`, which leads to the rest."""
    folder = Folder.from_parent(parent, path=way[0])
    folder.rest = way[1:]
    folder.scenarios = scenarios
    return folder


def configured_scenarios(parent: pytest.Collector, sources: Sequence[Source]) -> Iterable[Scenario]:
    """A collector for each scenario that runs without a path, as if it lay in parent's folder."""
    for source in sources:
        name = source.name
        scenario = Scenario.from_parent(parent, path=parent.path, name=name, nodeid=name)
        scenario.source = source
        yield scenario


def mark_unusable(report: pytest.CollectReport) -> None:
    """Make a failed collection count as an unusable configuration, across processes."""
    report.vdkprobe_unusable = True  # type: ignore[attr-defined]  # reports carry extra attributes


def _takes_part(test: object) -> bool:
    if not isinstance(test, pytest.Item):
        return True
    return is_set(test) and route_subject.takes_part(test)


class Collection:
    """The hooks that put journeys into pytest's collection."""

    def __init__(
        self, scenarios: Sequence[Source], every: Iterable[Source], config: pytest.Config
    ) -> None:
        self.scenarios = tuple(scenarios)
        config.stash[TITLES_KEY] = {source.name: Path() for source in scenarios}
        config.stash[NAMED_KEY] = {s.path: s.name for s in every if s.path is not None}

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Hang the shipped scenarios into the tree, below what was asked for by path."""
        report = yield
        if isinstance(collector, pytest.Session) and report.passed and self.scenarios:
            report.result = [*(report.result or ()), *self._hang(collector, report.result or ())]
        if isinstance(collector, Scenario | Journey) and collector.problem is not None:
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
            return list(configured_scenarios(start, self.scenarios))
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
            return [as_step(collector, test) for test in made if _takes_part(test)]
        return made
