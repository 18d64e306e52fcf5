"""The configured event pipelines: the one of a name, its two ends, and what is wrong with any."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.config.entry_names import plain
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.events.settings import EventsSettings
from pytest_vdkprobe.routes.kinds import SIDES, Side, check_columns, kind_of
from pytest_vdkprobe.routes.problems import EXAMPLES
from pytest_vdkprobe.routes.trial import try_end

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.leases import LeaseStore

SECTION = "events"
WAY = "events"


class Pipeline:
    """One entry of [[events]]: its settings, and its ends for a run of events."""

    def __init__(
        self,
        configuration: Configuration,
        index: int,
        *,
        placeholders: Mapping[str, str] | None = None,
    ) -> None:
        self.configuration = configuration
        self.settings = configuration.sections(SECTION, EventsSettings)[index]
        self._key = (SECTION, str(index))
        self._placeholders = placeholders or {}

    def end_settings(self, side: Side, run_id: str) -> Any:
        """The typed settings of one end."""
        kind = self._kind(side)
        return self.configuration.table(
            (*self._key, side), kind.settings, placeholders=self._filling(run_id)
        )

    def make(self, side: Side, run_id: str, *, leases: LeaseStore | None) -> Any:
        """One end, not yet prepared."""
        settings = self.end_settings(side, run_id)
        base_dir = self.configuration.base_dir
        return self._kind(side).make(settings, leases=leases, base_dir=base_dir)

    def _kind(self, side: Side) -> Any:
        name = getattr(self.settings, side).kind
        key = ".".join((*self._key, side, "kind"))
        return kind_of(side, name, file=self.configuration.name, key=key)

    def _filling(self, run_id: str) -> Mapping[str, str]:
        own = {"run": run_id, "profile": self.settings.profile, "way": WAY}
        own["route"] = plain(self.settings.name)
        return ChainMap(own, cast("dict[str, str]", self._placeholders))

    @property
    def key(self) -> str:
        """What it is called in messages about the configuration."""
        return ".".join(self._key)

    def problems(self) -> Iterator[ConfigError]:
        """The first thing wrong with each end and with the profile."""
        key = ".".join((*self._key, "profile"))
        acts: tuple[Callable[[], object], ...] = (
            partial(profile, self.settings.profile, file=self.configuration.name, key=key),
            *(partial(self.end_settings, side, EXAMPLES["run"]) for side in SIDES),
            self._require_columns,
            self._require_comparable,
        )
        for act in acts:
            try:
                act()
            except ConfigError as problem:
                yield problem
                return

    def _require_columns(self) -> None:
        settings, key = self.end_settings("target", EXAMPLES["run"]), f"{self.key}.target"
        check_columns(settings, [self.settings.profile], file=self.configuration.name, key=key)

    def _require_comparable(self) -> None:
        target, reader = (self.end_settings(side, EXAMPLES["run"]) for side in SIDES)
        bare = getattr(target, "layout", "") == "event" and not getattr(target, "record", True)
        if bare and getattr(reader, "compare", False):
            raise ConfigError(
                "Events that carry no record of ours can't be held against what was sent.",
                file=self.configuration.name,
                key=".".join((*self._key, "reader", "compare")),
                value=True,
                to_try="set reader.compare = false, or target.record = true",
            )


def pipelines(
    configuration: Configuration, placeholders: Mapping[str, str] | None = None
) -> Iterator[Pipeline]:
    """All of them. Raises ConfigError for what is wrong with the section."""
    for index in range(len(configuration.sections(SECTION, EventsSettings))):
        yield Pipeline(configuration, index, placeholders=placeholders)


def find(
    configuration: Configuration, name: str, *, placeholders: Mapping[str, str] | None = None
) -> Pipeline:
    """The one called `name`. Raises ConfigError for none."""
    found = list(pipelines(configuration, placeholders))
    for one in found:
        if one.settings.name == name:
            return one
    raise ConfigError(
        f"There is no event pipeline called {name}.",
        file=configuration.name,
        key=SECTION,
        value=name,
        expected="one of " + ", ".join(one.settings.name for one in found),
    )


def find_problems(
    configuration: Configuration, placeholders: Mapping[str, str] | None = None
) -> list[ConfigError]:
    """Everything wrong with the section that can be known without touching a platform."""
    filling = ChainMap(EXAMPLES, cast("dict[str, str]", placeholders or {}))
    try:
        found = list(pipelines(configuration, filling))
    except ConfigError as problem:
        return [problem]
    return [problem for one in found for problem in one.problems()] + list(_alike(found))


def _alike(found: list[Pipeline]) -> Iterator[ConfigError]:
    """Pipelines whose metrics could not be told apart."""
    labels: dict[str, str] = {}
    for index, one in enumerate(found):
        label, name = one.settings.app_id, one.settings.name
        other = labels.setdefault(label, name)
        if other != name:
            yield ConfigError(
                f"The event pipelines {other} and {name} have the same label, so that one's "
                "metrics would overwrite the other's.",
                file=one.configuration.name,
                key=f"{SECTION}.{index}.label",
                value=label,
                to_try="give each a label of its own",
            )


def ends(configuration: Configuration, placeholders: Mapping[str, str]) -> Iterator[Any]:
    """The settings of every end, for what killed runs left there."""
    for one in pipelines(configuration, ChainMap(EXAMPLES, cast("dict[str, str]", placeholders))):
        for side in SIDES:
            yield one.end_settings(side, EXAMPLES["run"])


def plan(configuration: Configuration, *, run_id: str) -> list[str]:
    """How many are posted where, a line for each; the run's id is in none of it."""
    del run_id
    return [
        f"  events {one.name}  ({one.target.kind} -> {one.reader.kind}): {one.events}, "
        f"one every {one.interval_s:g} s"
        for one in configuration.sections(SECTION, EventsSettings)
    ]


def trials(configuration: Configuration) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each end of each: what to call it, and what reaches it and logs in; nothing is posted."""
    for one in pipelines(configuration, EXAMPLES):
        for side in SIDES:
            yield f"events {one.settings.name}, {side}", partial(_try, one, side)


def _try(pipeline: Pipeline, side: Side) -> str:
    settings = pipeline.end_settings(side, EXAMPLES["run"])
    return try_end(settings, side, base_dir=pipeline.configuration.base_dir)
