"""A pipeline whose processes run already: lent websites of ours, accounted for, taken back.

Nothing is started, stopped or killed, and nothing of others' websites is read or touched: ours have
a lease's id in their URLs, and go with all rows of their checks. What stays is their messages, as
nobody can take one out of a topic.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.connections.kafka import driver
from pytest_vdkprobe.connections.lent_websites import LentWebsites, lease_for
from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.pipelines.account import (
    CHECK,
    MESSAGE,
    MICROSECONDS,
    PLACES,
    ROW,
    SHOWN,
    TO_TRY,
    PipelineAccount,
)
from pytest_vdkprobe.pipelines.find import settings_of
from pytest_vdkprobe.pipelines.pipeline import LOOK_PAUSE_S, Pipeline
from pytest_vdkprobe.pipelines.tables import Tables
from pytest_vdkprobe.pipelines.topic import Topic
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.leases import Lease, LeaseStore
    from pytest_vdkprobe.pipelines.place import Running

LAST_CHECK_S = 1.0
"""For a check that was begun when its website was let go; beside an interval."""
NOT_THERE = {
    CHECK: "was checked by no running producer",
    MESSAGE: "was checked, and has no message in Kafka",
    ROW: "has messages, and no row in PostgreSQL",
}


def open_pipeline(
    configuration: Configuration,
    name: str,
    *,
    run_id: str,
    leases: LeaseStore | None = None,
    placeholders: Mapping[str, str] | None = None,
    deadline: Callable[[], Deadline] | None = None,
    tell: Callable[[dict[str, Any]], None] | None = None,
) -> Pipeline:
    """The configured pipeline of that name: to be started, or one that runs already."""
    running = settings_of(configuration, name, placeholders or {}).running
    kind = RunningPipeline if running else Pipeline
    return kind(
        configuration,
        name,
        run_id=run_id,
        leases=leases,
        placeholders=placeholders,
        deadline=deadline,
        tell=tell,
    )


class RunningPipeline(Pipeline):
    """`configure`, `start`, `flow`, `stop` as of any pipeline; there is no `example`."""

    def __init__(
        self,
        configuration: Configuration,
        name: str,
        *,
        leases: LeaseStore | None = None,
        **more: Any,
    ) -> None:
        super().__init__(configuration, name, leases=leases, **more)
        assert self.place.running is not None  # noqa: S101 - who comes here has looked
        self._running: Running = self.place.running
        self._leases = leases
        self._tables = Tables(
            self._database, self._running.database.schema, only=self._sites.keys()
        )
        self._topic = Topic(self._clients, self._running.kafka.topic, only=self._sites.keys())
        self._lent: LentWebsites | None = None
        self._lease: Lease | None = None

    def configure(self) -> list[str]:
        """See that tables and topic are there, and let us lend websites; changes nothing."""
        self._tables.require_lendable()
        partitions = self._topic.begin()
        group = self._running.kafka.group
        return [
            f"schema {self._tables.schema}: {self._tables.active()} active websites of others",
            f"topic {self._topic.name}: {partitions} partitions",
            f"group {group}: {self._members(group)} members",
        ]

    def _members(self, group: str) -> str:
        """How many consumers there are, as far as we may know."""
        admin = self._clients.admin()
        try:
            return str(len(admin.describe_groups([group])[group]["members"]))
        except (driver().errors.KafkaError, KeyError):
            return "unknown"
        finally:
            admin.close()

    def start(self) -> str:
        """Lend websites, and wait for a row of each."""
        self._topic.begin()
        self._websites.open()
        self._lend()
        limit_s = self._running.refresh_s + self.settings.check_every_s + self.settings.within_s
        limit = self._deadline().within(limit_s, "refresh_s, check_every_s and within_s")
        wanted = self._sites.keys()
        reached = wait_until(
            "a row of each website",
            self._reached,
            done=lambda reached: reached[ROW] >= wanted or limit.expired,
            deadline=self._deadline(),
            describe=lambda reached: ", ".join(
                f"{hop} of {len(sites)}" for hop, sites in reached.items()
            ),
            longest_pause_s=LOOK_PAUSE_S,
        ).value
        active = self._tables.active()
        needed = (
            f"{active} active websites want {self._running.producers_for(active)} producers"
            f" of {self._running.sites_per_producer}"
        )
        for hop, sites in reached.items():
            missing = sorted(wanted - sites)
            if missing:
                self._require_servers()
                raise self._not_there(hop, missing, needed)
        return f"{len(wanted)} websites lent and picked up; {needed}"

    def _lend(self) -> None:
        database, schema = self.place.database, self._running.database.schema
        refresh_s, every_s = self._running.refresh_s, self.settings.check_every_s
        if self._leases is not None:
            self._lease = lease_for(
                self._leases, database.place, schema, refresh_s=refresh_s, check_every_s=every_s
            )
        token = self._lease.id if self._lease is not None else os.urandom(8).hex()
        self._lent = LentWebsites(
            self._database, schema, token=token, refresh_s=refresh_s, check_every_s=every_s
        )
        self._add_websites(f"{self._lent.path}/", interval_s=every_s)

    def _reached(self) -> dict[str, set[int]]:
        """The websites that came so far, hop by hop."""
        return {
            CHECK: {hit.site for hit in self._hits()},
            MESSAGE: {one.id.site for one in self._topic.read()},
            ROW: {one.id.site for one in self._tables.rows() or ()},
        }

    def _not_there(self, hop: str, missing: list[int], needed: str) -> PlatformFailure:
        """The failure of websites that did not come as far as `hop`."""
        said = {one.id.site: one for one in self._topic.messages}
        lines = [
            f"website {site} ({self._sites[site]})"
            + (f": its message says {said[site].error or said[site].code}" if site in said else "")
            for site in missing
        ]
        to_try = TO_TRY[hop]
        if hop == CHECK and said.keys() & set(missing):
            to_try = (
                "producers check, and can't reach us: pipelines.websites_host must be an address"
                f" of this machine that they reach (now {self.settings.websites_host})"
            )
        elif hop == CHECK:
            to_try = f"{needed}: do so many run, with this schema and topic? {TO_TRY[CHECK]}"
        return PlatformFailure(
            f"{len(missing)} of {len(self._sites)} websites: each {NOT_THERE[hop]}.",
            seen="\n".join(lines[:SHOWN]),
            expected=f"each check once {PLACES[hop]}",
            checked=f"hop {hop}, the first of {', '.join(PLACES)} that is bad",
            to_try=to_try,
        )

    def stop(self) -> tuple[PipelineAccount, list[str]]:
        """Have producers let go of the websites; the account of all their checks, and lines."""
        assert self._lent is not None  # noqa: S101 - it was started
        self._lent.let_go()
        lent, quiet_s = self._lent, self.settings.check_every_s + LAST_CHECK_S
        limit_s = self._running.refresh_s + quiet_s + self.settings.within_s
        wait_until(
            "producers to let go of the websites",
            self._last_hit_s,
            done=lambda last_s: (
                last_s >= quiet_s and lent.let_go_for_s >= self._running.refresh_s + quiet_s
            ),
            deadline=self._deadline().within(limit_s, "refresh_s and within_s"),
            describe=lambda last_s: f"checked {last_s:.1f} s ago",
            longest_pause_s=LOOK_PAUSE_S,
            expected="deactivated websites are checked no more",
            to_try="do producers read their list of websites, as pipeline.refresh_s says?",
        )
        account = self._account(0, None)
        self._tell({**account.to_dict(), "websites": self._availability()})
        return account, [f"{account}", f"producers let go of {len(self._sites)} websites"]

    def _last_hit_s(self) -> float:
        hits = [hit.at_us for hit in self._hits()]
        return time.time() - max(hits) / MICROSECONDS if hits else float("inf")

    def remove(self) -> list[str]:
        """Take the websites and all their rows back, and see them gone; a line for each."""
        done: list[str] = []
        with ExitStack() as stack:
            stack.callback(self._take_back, done)
            stack.callback(self._workload.close)
            stack.callback(self._topic.close)
        return done

    def _take_back(self, done: list[str]) -> None:
        lent, lease = self._lent, self._lease
        if lent is None:
            return
        done.append(lent.remove(self._deadline()))
        if lease is not None:
            lease.release()
        self._lent = self._lease = None
