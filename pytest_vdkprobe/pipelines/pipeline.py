"""A configured pipeline under test: started on websites of the probe's own, and accounted for.

Works without pytest: `with Pipeline(configuration, "availability", run_id="...") as pipeline:`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from pytest_vdkprobe.connections.kafka import KafkaClients
from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.errors import PlatformFailure, ProbeError
from pytest_vdkprobe.pipelines.account import MICROSECONDS, Id, PipelineAccount, Seen, reconcile
from pytest_vdkprobe.pipelines.belongings import Belongings, own_name
from pytest_vdkprobe.pipelines.find import settings_of
from pytest_vdkprobe.pipelines.place import place_of
from pytest_vdkprobe.pipelines.settings import RESTARTS, Interruption
from pytest_vdkprobe.pipelines.tables import Tables
from pytest_vdkprobe.pipelines.topic import Topic
from pytest_vdkprobe.pipelines.websites import ANSWERS, WORDS, Websites
from pytest_vdkprobe.pipelines.workload import Running, Workload
from pytest_vdkprobe.waiting import Deadline, pause, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.leases import LeaseStore

KINDS = ("well", "other", "missing", "broken", "moved", "circle", "cut", "endless")
"""The kinds of websites in turn; `silent` would make every look wait for its timeout."""
LOOK_PAUSE_S = 0.3
UNLIMITED_S = 3600.0
STOP_LIMIT_S = 60.0
RESTART_LIMIT_S = 300.0
TIMEOUT_S = 10.0
EXAMPLE_ROWS = 1
"""What the end-to-end test of the pipeline before this one wants of its four websites."""


class Pipeline:
    """`configure`, `example`, `start`, `flow` for each interruption, `stop`: in this order."""

    def __init__(
        self,
        configuration: Configuration,
        name: str,
        *,
        run_id: str,
        leases: LeaseStore | None = None,
        placeholders: Mapping[str, str] | None = None,
        deadline: Callable[[], Deadline] | None = None,
        tell: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.settings = settings_of(configuration, name, placeholders or {})
        self._deadline = deadline or (lambda: Deadline.after(UNLIMITED_S))
        self._tell = tell or (lambda _told: None)
        settings, base_dir = self.settings, configuration.base_dir
        self.name = own_name(name, run_id=run_id)
        self.place = place_of(configuration, settings, placeholders)
        self._clients = KafkaClients(self.place.kafka, base_dir=base_dir)
        self._database = PostgresDatabase(self.place.database, base_dir=base_dir)
        self._tables = Tables(self._database, self.name)
        self._belongings = Belongings(self.name, self._tables, self._clients, leases=leases)
        self._topic = Topic(self._clients, self.name)
        self._websites = Websites(settings.websites_host, port=settings.websites_port)
        self._workload = Workload(self._section(), command=settings.command)
        self._producers: list[Running] = []
        self._consumers: list[Running] = []
        self._sites: dict[int, str] = {}
        """The kind of each website, by its number."""

    def _section(self) -> dict[str, Any]:
        """[pipeline] as the processes get it."""
        settings, place = self.settings, self.place
        kafka = {key: getattr(place.kafka, key) for key in place.kafka.__struct_fields__}
        database = {key: getattr(place.database, key) for key in place.database.__struct_fields__}
        return {
            "kafka": {
                **kafka,
                "topic": self.name,
                "group": self.name,
                "partitions": max(settings.consumers, 2),
                "session_timeout_s": settings.session_timeout_s,
            },
            "database": {**database, "schema": self.name},
            "sites_per_producer": settings.per_producer,
            "check_every_s": settings.check_every_s,
            "timeout_s": TIMEOUT_S,
            "refresh_s": 1.0,
            "redirects": 3,
            "body_limit_bytes": 65536,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def configure(self) -> list[str]:
        """Have tables and topics made, and made again; returns what the command said."""
        self._belongings.take(self.place.database.place)
        first = self._run("configure-database").splitlines()
        again = self._run("configure-database").splitlines()
        changed = [line for line in again if "as it must be" not in line]
        if changed:
            raise PlatformFailure(
                "Configuring what is configured already changed something.",
                seen="\n".join(changed),
                expected="as it must be",
            )
        return first

    def example(self) -> str:
        """The end-to-end case of the pipeline before: four websites, two of them invalid, one row.

        Three belong to the first producer, and one of those can be checked.
        """
        self._websites.open()
        url = self._websites.url("well", "example")
        for address, pattern in ((url, "*"), ("http:///www.example.com", ".*"), (url, WORDS)):
            self._tables.add_site(address, pattern)
        self._tables.add_site(url, WORDS)
        wanted = self._run("producers", sites_per_producer=3).strip()
        said = self._run("start-producer", "1", "--once", sites_per_producer=3)
        self._run("start-consumer", "--once")
        self._tables.clear_sites()
        told = said.count("will not be monitored")
        messages, rows = len(self._topic.read()), len(self._tables.rows() or ())
        found = (
            f"{messages} messages, {rows} rows, {told} websites told as invalid, {wanted} producers"
        )
        if (messages, rows, told, wanted) != (EXAMPLE_ROWS, EXAMPLE_ROWS, 2, "2"):
            raise PlatformFailure(
                "Four websites, two of them invalid, shard 1 of three: not exactly one row.",
                seen=f"{found}\n{said}",
                expected="1 messages, 1 rows, 2 websites told as invalid, 2 producers",
            )
        return found

    def start(self) -> str:
        """Put in websites, start producers and consumers, wait for a row of each website."""
        self._websites.open()
        self._add_websites()
        self._consumers = [self._start("start-consumer") for _ in range(self.settings.consumers)]
        self._producers = [
            self._start("start-producer", str(number + 1)) for number in range(self.settings.shards)
        ]
        wait_until(
            "a row of each website",
            self._sites_with_rows,
            done=lambda seen: seen >= self._sites.keys(),
            deadline=self._deadline().within(self.settings.within_s, "pipelines.within_s"),
            describe=lambda seen: f"rows of {len(seen)} of {len(self._sites)} websites",
            longest_pause_s=LOOK_PAUSE_S,
            to_try="see whether producers check and consumers write at all",
        )
        return (
            f"{len(self._sites)} websites, {len(self._producers)} producers,"
            f" {len(self._consumers)} consumers"
        )

    def _add_websites(self, path: str = "", *, interval_s: float | None = None) -> None:
        for number in range(self.settings.sites):
            kind = KINDS[number % len(KINDS)]
            url = self._websites.url(kind, f"{path}{number}")
            site = self._tables.add_site(url, ANSWERS[kind].pattern, interval_s=interval_s)
            self._sites[site] = kind

    def flow(self, interruption: Interruption) -> PipelineAccount:
        """The account of all checks that are due for a while, whatever happens meanwhile."""
        begin_us = _now_us()
        half = self.settings.checks_s / 2
        pause(half, deadline=self._deadline())
        twin = self._interrupt(interruption)
        # What takes longer than its half is accounted for as a whole.
        pause(half, deadline=self._deadline())
        end_us = _now_us()
        if twin is not None:
            twin.end(self._deadline().within(STOP_LIMIT_S))
        return self._account(begin_us, end_us)

    def stop(self) -> tuple[PipelineAccount, list[str]]:
        """End all processes in order; the account of their whole life, and lines to tell.

        Raises PlatformFailure for a process that does not end in order.
        """
        made = self._end(self._producers)
        account = self._account(0, None)
        kept = self._end(self._consumers)
        dead = sum(one.get("dead", 0) for one in kept) + self._topic.unreadable
        if dead:
            raise PlatformFailure(
                f"{dead} messages could not be read by the consumers.",
                checked=f"topic {self._belongings.topics[1]}",
                expected="none: all are by our own producers",
            )
        checks = sum(one.get("checks", 0) for one in made)
        rows = sum(one.get("rows", 0) for one in kept)
        known = sum(one.get("known", 0) for one in kept)
        lines = [
            f"{account}",
            (
                f"producers say {checks} checks, consumers that ended in order say {rows} new"
                f" rows, {known} delivered again"
            ),
        ]
        self._tell({**account.to_dict(), "websites": self._availability()})
        return account, lines

    def remove(self) -> list[str]:
        """End what still runs, delete what was created, see it gone; a line for each."""
        self._topic.close()
        self._workload.close()
        return self._belongings.remove()

    def close(self) -> None:
        """Remove what is still there and let go of everything. May be called again."""
        with ExitStack() as stack:
            stack.callback(self._database.close)
            stack.callback(self._websites.close)
            stack.callback(self.remove)

    def _run(self, command: str, *arguments: str, **settings: object) -> str:
        deadline = self._deadline().within(STOP_LIMIT_S, "time for a command")
        return self._workload.run(command, *arguments, deadline=deadline, **settings)

    def _start(self, command: str, *arguments: str) -> Running:
        return self._workload.start(command, *arguments)

    def _sites_with_rows(self) -> set[int]:
        self._require_alive()
        return {row.id.site for row in self._tables.rows() or ()} & self._sites.keys()

    def _require_alive(self) -> None:
        for running in (*self._producers, *self._consumers):
            running.require_alive()

    def _interrupt(self, interruption: Interruption) -> Running | None:
        """Let it happen; a process that came with it is returned, to be ended later."""
        if interruption == "consumer-killed":
            self._consumers.pop(0).kill()
            self._consumers.append(self._start("start-consumer"))
        elif interruption == "producer-twice":
            return self._twin()
        elif interruption in RESTARTS:
            self._restart(RESTARTS[interruption])
        return None

    def _twin(self) -> Running:
        """A second producer of the first shard; returns when it is seen to check, too."""
        twin = self._start("start-producer", "1")

        def made_twice() -> int:
            twin.require_alive()
            hits = self._hits()
            return len(hits) - len({(hit.site, hit.slot_us) for hit in hits})

        before = made_twice()
        wait_until(
            "a check that both producers make",
            made_twice,
            done=lambda twice: twice > before,
            deadline=self._deadline().within(self.settings.within_s, "pipelines.within_s"),
            longest_pause_s=LOOK_PAUSE_S,
        )
        return twin

    def _restart(self, server: str) -> None:
        command = getattr(self.settings.restart, server)
        try:
            # The whole environment, as for a secret's command: it is the user's own program.
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._deadline().within(RESTART_LIMIT_S).remaining_s(),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ProbeError(
                f"The command that restarts the {server} can't be run: {exc}.",
                checked=f"pipelines.restart.{server}",
            ) from exc
        if done.returncode:
            raise ProbeError(
                f"The command that restarts the {server} ended with exit code {done.returncode}.",
                seen=(done.stderr or done.stdout).decode("utf-8", "replace")[-500:],
                checked=f"pipelines.restart.{server}",
            )

    def _end(self, processes: list[Running]) -> list[dict[str, Any]]:
        """What they say that they did, once they have ended in order."""
        deadline = self._deadline().within(STOP_LIMIT_S, "time for processes to end")
        told = [one.end(deadline) for one in processes]
        processes.clear()
        return told

    def _account(self, begin_us: int, end_us: int | None) -> PipelineAccount:
        """Look until every check due in the window has come through, or its time is over.

        Without an end: until each website's last check.
        """

        def look() -> PipelineAccount:
            self._require_alive()
            due, window = self._due(begin_us, end_us), (begin_us, end_us or _now_us())
            hits = [(Id(hit.site, hit.slot_us), hit.at_us) for hit in self._hits()]
            return reconcile(
                due,
                [hit for hit in hits if _inside(hit[0], window)],
                self._own(self._topic.read(), window),
                self._own(self._tables.rows(since_us=begin_us) or (), window),
                {site: ANSWERS[kind][1:] for site, kind in self._sites.items()},
            )

        limit = self._deadline().within(self.settings.within_s, "pipelines.within_s")
        account = wait_until(
            "every check as a row",
            look,
            done=lambda account: account.settled or limit.expired,
            deadline=self._deadline(),
            describe=lambda account: f"{account.rows} of {account.hops[0].expected}",
            longest_pause_s=LOOK_PAUSE_S,
        ).value
        if not account.settled:
            self._require_servers()
        self._tell(account.to_dict())
        return account

    def _require_servers(self) -> None:
        """Raise PlatformFailure if one did not answer: what is missing there may well be there."""
        self._topic.require_answer()
        self._tables.require_answer()

    def _own(self, found: Iterable[Seen], window: tuple[int, int]) -> list[Seen]:
        return [one for one in found if one.id.site in self._sites and _inside(one.id, window)]

    def _hits(self) -> list[Any]:
        return [hit for hit in self._websites.hits() if hit.site in self._sites]

    def _due(self, begin_us: int, end_us: int | None) -> set[Id]:
        """Every moment of the window at which a website was due: an interval from its first."""
        interval = round(self.settings.check_every_s * MICROSECONDS)
        slots: dict[int, list[int]] = {}
        for hit in self._hits():
            slots.setdefault(hit.site, []).append(hit.slot_us)
        due = set()
        for site, seen in slots.items():
            start, end = min(seen), max(seen) if end_us is None else end_us
            first = max(start, begin_us + (start - begin_us) % interval)
            due |= {Id(site, slot) for slot in range(first, end + 1, interval)}
        return due

    def _availability(self) -> list[dict[str, Any]]:
        """Of each website its checks, and how many found it as one wants it."""
        rows = self._own(self._tables.rows() or (), (0, _now_us()))
        said = {site: [row for row in rows if row.id.site == site] for site in self._sites}
        return [
            {
                "site": site,
                "kind": kind,
                "checks": len(said[site]),
                "available": sum(map(_well, said[site])),
            }
            for site, kind in self._sites.items()
        ]


def _well(row: Seen) -> bool:
    return row.error is None and row.found is not False and row.code is not None and row.code < 400


def _inside(one: Id, window: tuple[int, int]) -> bool:
    return window[0] <= one.slot_us <= window[1]


def _now_us() -> int:
    return time.time_ns() // 1000
