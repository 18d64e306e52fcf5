"""A configured route: what a scenario sends records through and has them accounted for.

Works without pytest: `with Route(configuration, "events", run_id="...", leases=store) as route:`.
"""

from __future__ import annotations

import hashlib
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.config.entry_names import plain
from pytest_vdkprobe.config.placeholders import filled
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.readers.returned import ReturnedFileReader
from pytest_vdkprobe.routes.by_job import MADE_HERE, Instructions, PlaceOnly, instructions
from pytest_vdkprobe.routes.kinds import SIDES, Kind, MakeEnd, Side, kind_of, make_end, require_end
from pytest_vdkprobe.routes.passage import MakeLedger, Passage
from pytest_vdkprobe.routes.settings import DIRECT, JOB, ByJob, RouteSettings
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.account import Account
    from pytest_vdkprobe.accounting.profiles import Profile
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.leases import LeaseStore

UNLIMITED_S = 3600.0
"""A passage outside of a step ends by its windows; this is for what hangs."""


class Sender(Protocol):
    """Who sends a passage's records in the probe's place."""

    way: str

    def send(self, passage: Passage, *, deadline: Deadline) -> None:
        """Have every record sent once, and the passage's ledger settled."""

    def remove(self) -> None:
        """Delete what it needed for it, and see it gone. May be called again."""


class Route:
    """Where records go in, and where they must come out.

    `placeholders` are filled into the texts of the route's ends, beside {run}, {profile} and {way};
    `deadline` tells the running step's; `tell` is given each account as it stands when a passage
    ends, whether well or not, and `tell_versions` once those of the servers at both ends.
    """

    def __init__(
        self,
        configuration: Configuration,
        name: str,
        *,
        run_id: str,
        leases: LeaseStore | None = None,
        folder: Path,
        make: Mapping[Side, MakeEnd] | None = None,
        make_ledger: MakeLedger = Ledger.create,
        placeholders: Mapping[str, str] | None = None,
        deadline: Callable[[], Deadline] | None = None,
        tell: Callable[[dict[str, Any]], None] | None = None,
        tell_versions: Callable[[dict[str, str]], None] | None = None,
    ) -> None:
        self.configuration = configuration
        self.index, self.settings = _find(configuration, name)
        self.run_id = run_id
        self._leases = leases
        self._folder = folder
        self._make = make or {}
        self._make_ledger = make_ledger
        self._placeholders = placeholders or {}
        self._deadline = deadline or (lambda: Deadline.after(UNLIMITED_S))
        self._tell = tell or (lambda _told: None)
        self._tell_versions = tell_versions
        self._passages: list[Passage] = []
        self._senders: list[Sender] = []

    @property
    def name(self) -> str:
        """As it is configured."""
        return self.settings.name

    @property
    def allowed(self) -> Mapping[str, int]:
        """How many of each class the configuration tolerates: for `account.require`."""
        return self.settings.allow

    def __str__(self) -> str:
        return f"{self.settings.target.kind} -> {self.settings.reader.kind}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def passage(self, wanted: Profile, *, way: str = DIRECT) -> Passage:
        """A passage with ends of its own, not yet opened; `remove()` removes what they make."""
        placeholders = self._filling(wanted, way)
        found = Passage(
            self.settings,
            wanted,
            way=way,
            run_id=self._records_id(wanted, way),
            target=self._target(placeholders, way),
            reader=self._reader(placeholders, way),
            # With the run's id: an earlier run's may still lie there, kept for who looks into it.
            ledger_path=self._folder
            / f"{self.run_id}-{plain(self.name)}-{way}-{wanted.name}.ledger",
            make_ledger=self._make_ledger,
        )
        self._passages.append(found)
        return found

    def _records_id(self, wanted: Profile, way: str) -> str:
        """What a passage's records carry as run id: its own, since all may land in one table.

        With the run's alone, what one passage has left there would be taken for the next one's.
        """
        own = hashlib.sha256(repr((self.name, way, wanted.name)).encode()).hexdigest()[:6]
        return f"{self.run_id}-{own}"

    def send(self, wanted: Profile, *, by: Sender | None = None) -> Passage:
        """Prepare both ends and have every record of the profile sent; for `reconcile`.

        `by` sends them in the probe's place: a data job, say.
        """
        passage = self.passage(wanted, way=DIRECT if by is None else by.way)
        try:
            passage.prepare()
            if self._tell_versions is not None:
                self._tell_versions(passage.versions())
                self._tell_versions = None
            if by is None:
                passage.send(deadline=self._deadline())
            else:
                by.send(passage, deadline=self._deadline())
        except BaseException:
            self._tell(passage.to_dict())
            raise
        return passage

    def reconcile(self, passage: Passage) -> Account:
        """Read until every record has come out or been given up, and say what became of each."""
        try:
            return passage.reconcile(deadline=self._deadline())
        finally:
            self._tell(passage.to_dict())

    def needs(self, sender: Sender) -> None:
        """Have this one removed with the rest."""
        self._senders.append(sender)

    def remove(self) -> list[str]:
        """Delete what its passages created and prove it gone; returns what that was, a line each.

        All are tried even if one fails.
        """
        passages, self._passages = self._passages, []
        leased = self._leased()
        with ExitStack() as stack:
            for passage in passages:
                stack.enter_context(passage)
                stack.callback(passage.remove)
            for sender in self._senders:
                # Last in, first out: who may still be sending goes before the places.
                stack.callback(sender.remove)
        still = self._leased()
        return [f"{what} is gone" for lease, what in leased.items() if lease not in still]

    def _leased(self) -> dict[str, str]:
        if self._leases is None:
            return {}
        return {lease.id: f"{lease.kind} {lease.name}" for lease in self._leases.mine()}

    def close(self) -> None:
        """Remove what is still there. May be called again."""
        self.remove()

    def _filling(self, wanted: Profile, way: str) -> Mapping[str, str]:
        """What placeholders stand for; looked up only where one is: some start an engine."""
        own = {"run": self.run_id, "profile": wanted.name, "way": way, "route": plain(self.name)}
        return ChainMap(own, cast("dict[str, str]", self._placeholders))

    def job_of(self, wanted: Profile) -> ByJob:
        """The settings of the way `job`, with their placeholders filled in."""
        key = ("routes", str(self.index), "job")
        return self.configuration.table(key, ByJob, placeholders=self._filling(wanted, JOB))

    def instructions(self, wanted: Profile) -> Instructions:
        """What a data job that sends this profile has to be told."""
        kind = self._kind("target")
        key = ("routes", str(self.index), "target")
        target = self.configuration.table(
            key, kind.settings, placeholders=self._filling(wanted, JOB)
        )
        return instructions(self.settings, target, self.job_of(wanted))

    def _target(self, placeholders: Mapping[str, str], way: str) -> Any:
        if way != JOB:
            return self._end("target", placeholders)
        made_here = self.settings.target.kind in MADE_HERE
        return PlaceOnly(self._end("target", placeholders) if made_here else None)

    def _reader(self, placeholders: Mapping[str, str], way: str) -> Any:
        if way == JOB and self.settings.target.kind == self.settings.reader.kind == "file":
            return ReturnedFileReader()
        return self._end("reader", placeholders)

    def _end(self, side: Side, placeholders: Mapping[str, str]) -> Any:
        key = ("routes", str(self.index), side)
        kind = self._kind(side)
        settings = self.configuration.table(key, kind.settings, placeholders=placeholders)
        more = {"leases": self._leases, "base_dir": self.configuration.base_dir}
        make: MakeEnd = self._make.get(side, make_end)
        return require_end(side, make(kind, settings, **more), kind)

    def _kind(self, side: Side) -> Kind:
        name = getattr(self.settings, side).kind
        key = f"routes.{self.index}.{side}.kind"
        return kind_of(side, name, file=self.configuration.name, key=key)


def _find(configuration: Configuration, name: str) -> tuple[int, RouteSettings]:
    routes = configuration.sections("routes", RouteSettings)
    for index, settings in enumerate(routes):
        if settings.name == name:
            return index, settings
    raise ConfigError(
        f"There is no route called {name}.",
        file=configuration.name,
        key="routes",
        value=name,
        expected="one of " + ", ".join(settings.name for settings in routes),
    )


PLACES = ("path", "topic", "group", "table")
"""The settings of our kinds that name what a passage may create."""


def passages(
    configuration: Configuration, *, run_id: str
) -> Iterator[tuple[str, str, str, RouteSettings, dict[str, str]]]:
    """Each passage of a run: route, way, profile, settings, and the names that are its own."""
    for index, settings in enumerate(configuration.sections("routes", RouteSettings)):
        for way in settings.ways:
            for wanted in settings.profiles_of(way):
                values = {"run": run_id, "profile": wanted, "way": way}
                values["route"] = plain(settings.name)
                places: dict[str, str] = {}
                for side in SIDES:
                    key = ("routes", str(index), side)
                    # The addresses of a sandbox's engines are left as they are: they start one.
                    table = configuration.table(key, dict[str, Any])
                    places |= {n: str(filled(table[n], values)) for n in PLACES if n in table}
                yield settings.name, way, wanted, settings, places


def settings_of(configuration: Configuration, name: str) -> RouteSettings:
    """How the route of this name is configured. Raises ConfigError if there is none."""
    return _find(configuration, name)[1]
