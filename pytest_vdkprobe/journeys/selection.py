"""Which of the collected steps run, and in which order.

A step alone makes little sense: `-k run` means the job has to be there, uploaded and deployed. So
what a selected step needs comes back in, and a journey runs in the order of its file, whatever
another plugin has shuffled.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager

import pytest

from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.config.sections import SECTIONS
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.journeys.collection import mark_unusable
from pytest_vdkprobe.journeys.patterns import Pattern, not_found
from pytest_vdkprobe.journeys.run import RUN_KEY, Run
from pytest_vdkprobe.journeys.scenarios import EMPTY_KEY, Journey
from pytest_vdkprobe.journeys.scheduling import is_worker
from pytest_vdkprobe.journeys.scopes import require_scopes
from pytest_vdkprobe.journeys.steps import STEP_KEY, read_step, require_known_marks, where


class Selection:
    """Selects and orders after everybody else has: it is registered last and acts outermost."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = patterns

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Number the steps in file order, let the others select, then put in what is needed."""
        run = config.stash[RUN_KEY]
        everything = list(items)
        journeys: dict[str, list[pytest.Item]] = {}
        with _told_to_controller(config, items):
            _require_something(items, config)
            _require_scopes(items)
            journeys = _journeys(items, run)
        yield
        if everything and not journeys and not items:
            return
        with _told_to_controller(config, items):
            wanted, dropped = self._wanted(items, everything, config)
            added = _close(wanted, dropped, journeys, config)
            _uncount(config, added)
            _order(items, wanted, everything)
        for item in items:
            step = item.stash.get(STEP_KEY, None)
            if step is not None:
                run.steps.setdefault(step.journey, []).append(step.name)

    def _wanted(
        self, items: list[pytest.Item], everything: list[pytest.Item], config: pytest.Config
    ) -> tuple[set[pytest.Item], set[pytest.Item]]:
        """What is selected so far, and what was left out on purpose and so must not come back."""
        run = config.stash[RUN_KEY]
        wanted = set(items)
        if self.patterns:
            unmatched = [p for p in self.patterns if not any(p.matches(i.nodeid) for i in items)]
            if unmatched:
                raise pytest.UsageError(not_found(unmatched, everything))
            titles = {pattern.title for pattern in self.patterns}
            wanted = {
                item
                for item in items
                if re.split(r"\[|::", item.nodeid)[0] not in titles
                or any(pattern.matches(item.nodeid) for pattern in self.patterns)
            }
        refused = tuple(config.getoption("deselect", None) or ())
        dropped = {item for item in everything if refused and item.nodeid.startswith(refused)}
        if run.quick:
            slow = {i for i in wanted if STEP_KEY in i.stash and i.stash[STEP_KEY].slow}
            wanted -= slow
            dropped |= {i for i in everything if STEP_KEY in i.stash and i.stash[STEP_KEY].slow}
        gone = [item for item in items if item not in wanted]
        if gone:
            config.hook.pytest_deselected(items=gone)
        return wanted, dropped


@contextmanager
def _told_to_controller(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """On a worker, report what is unusable: xdist would take an exception for a crash."""
    try:
        yield
    except pytest.UsageError as error:
        if not is_worker(config):
            raise
        report = pytest.CollectReport("vdkprobe", "failed", str(error), [])
        mark_unusable(report)
        config.hook.pytest_collectreport(report=report)
        items.clear()


def _require_scopes(items: list[pytest.Item]) -> None:
    try:
        require_scopes(items)
    except ConfigError as problem:
        raise pytest.UsageError(str(problem)) from problem


def _require_something(items: list[pytest.Item], config: pytest.Config) -> None:
    """Nothing to check is a mistake in the configuration, and must not look like a good day."""
    empty = config.stash.get(EMPTY_KEY, [])
    if items or not empty:
        return
    kinds = sorted({kind for _, kind in empty})
    first = "jobs" if "jobs" in kinds else kinds[0]
    remedy = f'add [[{first}]] with a name = "..."'
    if first not in SECTIONS:
        lists = [name for name, many in SECTIONS.items() if many]
        remedy = f"nothing is called [[{first}]], {did_you_mean(first, lists)}"
    raise pytest.UsageError(
        str(
            ConfigError(
                "There is nothing to check: "
                + ", ".join(sorted(nodeid for nodeid, _ in empty))
                + " found nothing in the configuration to run for.",
                file=config.stash[RUN_KEY].configuration.name,
                key=" or ".join(f"[[{kind}]]" for kind in kinds),
                expected="one entry at least",
                to_try=remedy,
            )
        )
    )


def _journeys(items: list[pytest.Item], run: Run) -> dict[str, list[pytest.Item]]:
    """Give each step its record and number, by journey; a need that nobody provides is an error."""
    journeys: dict[str, list[pytest.Item]] = {}
    for item in items:
        require_known_marks(item)
        step = read_step(item, run)
        if step is not None:
            item.stash[STEP_KEY] = step
            journeys.setdefault(step.journey, []).append(item)
    for members in journeys.values():
        names = [_base(item.stash[STEP_KEY].name) for item in members]
        for number, item in enumerate(members, 1):
            step = item.stash[STEP_KEY]
            step.number, step.of = number, len(members)
            for need in step.needs:
                if need not in names[: number - 1]:
                    raise _unusable_need(item, need, names, names[: number - 1])
    _require_known_steps(journeys, run)
    return journeys


def _require_known_steps(journeys: dict[str, list[pytest.Item]], run: Run) -> None:
    """Refuse a limit, skip or known failure of a step that is only nearly one of the subject's.

    One that is none at all may belong to a scenario that is left out this time.
    """
    known: dict[tuple[str, str], set[str]] = {}
    entries = {}
    for members in journeys.values():
        for item in members:
            step = item.stash[STEP_KEY]
            place = (str(step.kind), str(step.subject))
            known.setdefault(place, set()).update({step.name, _base(step.name)})
            entries[place] = step.entry
    for (kind, subject), entry in entries.items():
        for name, key in entry.steps.items():
            near = difflib.get_close_matches(name, known[kind, subject], n=1, cutoff=0.75)
            if near and name not in known[kind, subject]:
                error = ConfigError(
                    f"The entry {subject} in [[{kind}]] names a step that it does not have.",
                    file=run.configuration.name,
                    key=f"{kind}.{subject}.{key}",
                    value=name,
                    to_try=f"did you mean {near[0]!r}?",
                )
                raise pytest.UsageError(str(error))


def _unusable_need(
    item: pytest.Item, need: str, names: list[str], before: list[str]
) -> pytest.UsageError:
    step = item.stash[STEP_KEY]
    if need in names:
        what = f"{step.id} needs {need!r}, which does not run before it."
        to_try = "steps run in the order of the file: move the needed one up"
    else:
        what = f"{step.id} needs {need!r}, which is no step of this journey."
        near = difflib.get_close_matches(need, before, n=1)
        to_try = f"did you mean {near[0]!r}?" if near else "steps before it: " + ", ".join(before)
        to_try = to_try if before else "no step is before it: write it without needs"
    error = ConfigError(
        what, file=where(item), key="vdk_step(needs=...)", value=need, to_try=to_try
    )
    return pytest.UsageError(str(error))


def _close(
    wanted: set[pytest.Item],
    dropped: set[pytest.Item],
    journeys: dict[str, list[pytest.Item]],
    config: pytest.Config,
) -> list[pytest.Item]:
    """Add what wanted steps need; take out those whose need was left out on purpose."""
    added: list[pytest.Item] = []
    lost: list[pytest.Item] = []
    for members in journeys.values():
        by_name: dict[str, list[pytest.Item]] = {}
        for item in members:
            by_name.setdefault(_base(item.stash[STEP_KEY].name), []).append(item)
        gone = {_base(item.stash[STEP_KEY].name) for item in members if item in dropped}
        for item in members:
            step = item.stash[STEP_KEY]
            if not gone.isdisjoint(step.needs):
                gone.add(_base(step.name))
                if item in wanted:
                    wanted.discard(item)
                    lost.append(item)
        # A need always stands above, so one pass from the end finds the needs of needs as well.
        for item in reversed(members):
            if item not in wanted:
                continue
            for need in item.stash[STEP_KEY].needs:
                for needed in by_name[need]:
                    if needed not in wanted:
                        wanted.add(needed)
                        added.append(needed)
    if lost:
        config.hook.pytest_deselected(items=lost)
    return added


def _uncount(config: pytest.Config, added: list[pytest.Item]) -> None:
    """Steps that came back in are not deselected, whatever the terminal has counted by then."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    counted = getattr(reporter, "stats", {}).get("deselected", [])
    for item in added:
        if item in counted:
            counted.remove(item)


def _order(
    items: list[pytest.Item], wanted: set[pytest.Item], everything: list[pytest.Item]
) -> None:
    """Each journey as one block in file order, where its first test stood; all else as it was."""
    rank = {item: position for position, item in enumerate(everything)}
    blocks: dict[str, list[pytest.Item]] = {}
    for item in sorted(wanted, key=lambda item: rank.get(item, len(rank))):
        blocks.setdefault(_block(item), []).append(item)
    present = set(items)
    ordered: list[pytest.Item] = []
    for item in [*items, *(item for item in everything if item not in present)]:
        if item in wanted:
            ordered += blocks.pop(_block(item), [])
    items[:] = ordered


def _block(item: pytest.Item) -> str:
    """What has to stay together: the tests of a journey; any other test is on its own."""
    if STEP_KEY in item.stash:
        return item.stash[STEP_KEY].journey
    module = item.getparent(pytest.Module)
    return module.nodeid if isinstance(module, Journey) else item.nodeid


def _base(name: str) -> str:
    """A step's name without its parameters: `needs` means all of them."""
    return name.partition("[")[0]
