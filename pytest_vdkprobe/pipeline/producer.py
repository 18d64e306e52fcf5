"""The producer: checks the websites of its shard, each on its own slots, and writes to Kafka.

One loop holds all checks that are under way, so that thousands cost no threads, and each has its
own time limit, so that a slow one delays nobody.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_vdkprobe.connections.kafka import KafkaClients
from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.errors import Finding, ProbeError
from pytest_vdkprobe.pipeline.entry import let_in
from pytest_vdkprobe.pipeline.outbox import Outbox
from pytest_vdkprobe.pipeline.sites import Site, Sites
from pytest_vdkprobe.pipeline.slots import MICROSECONDS, interval_us, next_slot
from pytest_vdkprobe.pipeline.web import Web

if TYPE_CHECKING:
    from pytest_vdkprobe.pipeline.settings import PipelineSettings
    from pytest_vdkprobe.pipeline.stopping import Stop

LONGEST_NAP_S = 0.2
"""So often the end is looked for."""
LATEST_US = 10 * MICROSECONDS
"""A check begins at most an interval late, or this; a process that was held up catches up."""
FLUSH_LIMIT_S = 30.0
"""At the end, for what is not acknowledged yet."""
ERRORS_KEPT = 100_000

_log = logging.getLogger(__name__)


class ProducerAccount(msgspec.Struct, kw_only=True):
    """What a producer did, as it tells it at its end."""

    producer: int
    sites: int = 0
    checks: int = 0
    written: int = 0
    missed: int = 0
    """Slots that passed without a check, because the process could not keep up."""
    schedule_error_p99_s: float = 0.0
    """From the moment that a check was due at to its begin."""


class Producer:
    """One producer; `run` once."""

    def __init__(self, settings: PipelineSettings, number: int, *, base_dir: Path) -> None:
        self.account = ProducerAccount(producer=number)
        self._settings = settings
        self._database = PostgresDatabase(
            settings.database, base_dir=base_dir, key="pipeline.database"
        )
        self._sites = Sites(settings, self._database, number)
        self._clients = KafkaClients(settings.kafka, base_dir=base_dir, key="pipeline.kafka")
        self._outbox: Outbox | None = None
        self._due: list[tuple[int, int, Site]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._late_s: deque[float] = deque(maxlen=ERRORS_KEPT)

    def run(self, stop: Stop, *, once: bool = False) -> ProducerAccount:
        """Check until `stop`, or each website once; then write what is on its way, and end."""
        try:
            if not let_in(self._first_look, stop):
                return self.account
            self._outbox = Outbox(self._settings.kafka, self._clients)
            lost = 0
            try:
                self._outbox.start()
                asyncio.run(self._checks(stop, once=once))
            finally:
                lost = self._outbox.close(limit_s=FLUSH_LIMIT_S)
        finally:
            self._database.close()
        account = self.account
        account.written = self._outbox.written
        late = sorted(self._late_s)
        account.schedule_error_p99_s = round(late[int(len(late) * 0.99)], 6) if late else 0.0
        if lost:
            raise ProbeError(
                f"{lost} checks could not be written to Kafka and are lost with this process.",
                checked=self._settings.kafka.place,
                to_try="see to the brokers; a producer keeps checks as long as it runs",
            )
        return account

    def _first_look(self) -> None:
        self._sites.require_number()
        self._sites.refresh()

    async def _checks(self, stop: Stop, *, once: bool) -> None:
        _widen_limits()
        async with Web(self._settings) as web:
            self.account.sites = len(self._sites.usable)
            _log.info("producer %d checks %d websites", self.account.producer, self.account.sites)
            if once:
                slot_us = time.time_ns() // 1000
                for site in self._sites.usable.values():
                    self._begin(web, site, slot_us)
            else:
                refreshing = asyncio.create_task(self._refresh(stop))
                try:
                    self._plan()
                    while not stop.wanted:
                        await asyncio.sleep(self._start_due(web))
                finally:
                    refreshing.cancel()
                    with suppress(asyncio.CancelledError):
                        await refreshing
            while self._under_way:
                await asyncio.wait(self._under_way)

    def _plan(self) -> None:
        """The next slot of each website, anew; a slot already begun comes no second time."""
        now_us = time.time_ns() // 1000
        planned = {site.id: (slot, site) for slot, _, site in self._due}
        self._due = []
        for site in self._sites.usable.values():
            slot, known = planned.get(site.id, (0, None))
            interval = interval_us(site.interval_s)
            # Set back by more than a moment, the clock would have us wait for what it told before.
            if known != site or slot > now_us + interval + LATEST_US:
                slot = next_slot(site.id, interval, after_us=now_us)
            self._due.append((slot, site.id, site))
        heapq.heapify(self._due)

    def _start_due(self, web: Web) -> float:
        """Begin what is due; the seconds until the next is, or until a look at the end."""
        while self._due:
            now_us = time.time_ns() // 1000
            slot, number, site = self._due[0]
            if slot > now_us:
                return min(LONGEST_NAP_S, (slot - now_us) / MICROSECONDS)
            interval = interval_us(site.interval_s)
            following = slot + interval
            assert self._outbox is not None  # noqa: S101 - it is there before checks are
            if now_us >= slot + max(interval, LATEST_US) or self._outbox.full:
                # Too late for this one; what the clock jumped over is not made up for.
                following = next_slot(number, interval, after_us=now_us)
                self.account.missed += max(1, (following - slot) // interval - 1)
            else:
                self._late_s.append((now_us - slot) / MICROSECONDS)
                self._begin(web, site, slot)
            heapq.heapreplace(self._due, (following, number, site))
        return LONGEST_NAP_S

    def _begin(self, web: Web, site: Site, slot_us: int) -> None:
        task = asyncio.create_task(self._check(web, site, slot_us))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _check(self, web: Web, site: Site, slot_us: int) -> None:
        check = await web.check(site, slot_us)
        self.account.checks += 1
        assert self._outbox is not None  # noqa: S101 - it is there before checks are
        self._outbox.put(check)

    async def _refresh(self, stop: Stop) -> None:
        """Pick up new, changed and deactivated websites; without a database the known go on."""
        away = False
        while not stop.wanted:
            await asyncio.sleep(self._settings.refresh_s)
            try:
                await asyncio.to_thread(self._sites.refresh)
            except Finding as exc:
                if not away:
                    _log.warning("the websites could not be read again, the known go on: %s", exc)
                away = True
                continue
            away = False
            self.account.sites = len(self._sites.usable)
            self._plan()


def _widen_limits() -> None:
    """Let the process have as many connections as it may."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if soft != hard else (soft, hard))
