"""Tasks made on a fixed schedule: slot = start + k x interval, and a slow one delays no other.

A thread makes a task at each slot and hands it to an idle worker, or to a new one; so a call that
hangs keeps a worker, and never the schedule. A slot that nobody could serve, because the process
was stopped or because too many calls hang, is missed: that is counted, and not made up for.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

import msgspec

from pytest_vdkprobe.control.endpoint import Endpoint
from pytest_vdkprobe.control.errors import checked
from pytest_vdkprobe.control.network import Unanswered
from pytest_vdkprobe.endpoints.tally import Tally
from pytest_vdkprobe.endpoints.task import State, Task
from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.tracing import HEADER, trace_id, traceparent
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings

LONGEST_BACKLOG = 10_000
"""Tasks tracked at most; the oldest that have ended go first."""
CLOSE_S = 5.0
LOOK_S = 0.05
"""The longest pause between two looks whether all have ended."""


class Instruments(Protocol):
    """Who hears of every task: the metrics."""

    def created(self) -> None:
        """A task was made."""

    def ended(self, task: Task, *, tracked: int) -> None:
        """A task is over; so many are in the backlog."""


class TaskLoop:
    """The tasks of one endpoint, from `start()` to `close()`.

    `limit`: how many are made; None goes on. `say` prints the table of tracked tasks.
    """

    def __init__(
        self,
        settings: EndpointTasksSettings,
        *,
        run_id: str,
        key: str,
        base_dir: Path | None = None,
        limit: int | None = None,
        instruments: Instruments | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.run_id = run_id
        self.limit = limit
        self._first = Endpoint(settings, key=key, base_dir=base_dir)
        self._body, self._headers = _body_of(settings)
        self._instruments = instruments
        self._say = say
        self._lock = threading.Lock()
        self._tracked: dict[int, Task] = {}
        self._ended: deque[Task] = deque()
        """Those that no round has judged yet."""
        self._pending = 0
        self._missed = 0
        self._missed_before = 0
        self._idle: list[SimpleQueue[Task | None]] = []
        self._workers = 0
        self._stopped = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vdkprobe-tasks", daemon=True)

    @property
    def place(self) -> str:
        """The call as messages name it."""
        return checked(self.settings.method, self.settings.url, "")

    def reach(self) -> str:
        """Log in, and see that something answers. Raises LoginError, TransportError."""
        self._first.check()
        return f"{self._first.place} answers"

    def start(self) -> None:
        """Begin with slot 0 now. May be called again."""
        if not self._thread.is_alive() and not self._stopped.is_set():
            self._thread.start()

    def take(self) -> Tally:
        """What has ended since the last call."""
        with self._lock:
            ended = [self._ended.popleft() for _ in range(len(self._ended))]
            missed, self._missed_before = self._missed - self._missed_before, self._missed
            pending = self._pending
        return Tally(self.settings, place=self.place, ended=ended, pending=pending, missed=missed)

    def finish(self, *, deadline: Deadline) -> Tally:
        """Wait until all of a limited number have ended; at the deadline, what has by then."""
        wait_until(
            f"{self.limit} tasks of {self.settings.name}",
            lambda: (len(self._ended), self._pending),
            done=lambda _: deadline.expired or (self._done.is_set() and not self._pending),
            deadline=deadline,
            describe=lambda seen: f"{seen[0]} ended, {seen[1]} under way",
            longest_pause_s=LOOK_S,
        )
        return self.take()

    def tracked(self) -> list[Task]:
        """All tasks in the backlog, oldest first."""
        with self._lock:
            return list(self._tracked.values())

    def close(self) -> None:
        """Make no more tasks; wait a moment for the threads. May be called again."""
        self._stopped.set()
        with self._lock:
            idle, self._idle = self._idle, []
        for queue in idle:
            queue.put(None)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_S)
        self._first.close()

    # The schedule

    def _run(self) -> None:
        settings = self.settings
        start = time.monotonic()
        slot = 0
        clean_at, print_at = start + settings.clean_s, start + (settings.table_s or math.inf)
        while not self._stopped.is_set() and (self.limit is None or slot < self.limit):
            due = start + slot * settings.interval_s
            self._stopped.wait(max(0.0, min(due, clean_at, print_at) - time.monotonic()))
            now = time.monotonic()
            if now >= clean_at:
                self.clean(now)
                clean_at += settings.clean_s
            if now >= print_at:
                self._print(now)
                print_at += settings.table_s
            if now >= due and not self._stopped.is_set():
                slot = self._serve(slot, start, now)
        self._done.set()

    def _serve(self, slot: int, start: float, now: float) -> int:
        """Make the task that is due; the next slot. Slots that are over are missed."""
        last = int((now - start) / self.settings.interval_s)
        if self.limit is None and last > slot:
            self._miss(last - slot)
            slot = last
        due = start + slot * self.settings.interval_s
        with self._lock:
            full = self._pending >= self.settings.at_once
        if full:
            if self.limit is not None:
                # A run makes so many tasks; it waits, and the wait counts to their duration.
                self._stopped.wait(0.001)
                return slot
            self._miss(1)
            return slot + 1
        created_at = datetime.fromtimestamp(time.time() - (now - due), UTC)
        task = Task(slot, created_at, due, trace_id(self.run_id, slot))
        with self._lock:
            self._tracked[slot] = task
            self._pending += 1
            queue = self._idle.pop() if self._idle else None
        if self._instruments is not None:
            self._instruments.created()
        (queue or self._worker()).put(task)
        return slot + 1

    def _miss(self, count: int) -> None:
        with self._lock:
            self._missed += count

    # The calls

    def _worker(self) -> SimpleQueue[Task | None]:
        queue: SimpleQueue[Task | None] = SimpleQueue()
        endpoint = self._first.another()
        threading.Thread(
            target=self._work, args=(queue, endpoint), name="vdkprobe-task", daemon=True
        ).start()
        return queue

    def _work(self, queue: SimpleQueue[Task | None], endpoint: Endpoint) -> None:
        with endpoint:
            while (task := queue.get()) is not None:
                reason = self._call(task, endpoint)
                self._end(task, reason)
                with self._lock:
                    if self._stopped.is_set():
                        return
                    self._idle.append(queue)

    def _call(self, task: Task, endpoint: Endpoint) -> str:
        settings = self.settings
        limit_s = settings.connect_timeout_s + settings.read_timeout_s
        try:
            answer = endpoint.call(
                settings.method,
                deadline=Deadline.after(limit_s, "the call's time"),
                body=self._body,
                headers={**self._headers, HEADER: traceparent(self.run_id, task.number)},
            )
        except Unanswered as error:
            return error.text
        except Finding as problem:
            return problem.what
        except Exception as exc:  # noqa: BLE001 - a bug of ours must not end the schedule
            return f"a bug of ours: {type(exc).__name__}: {exc}"
        if answer.status == 401:
            endpoint.refresh_login()
        took_s = time.monotonic() - task.due
        return "; ".join(settings.expect.objections(answer, took_s=took_s))

    def _end(self, task: Task, reason: str) -> None:
        now = time.monotonic()
        with self._lock:
            if task.dismissed:
                return
            task.end(now, reason)
            self._pending -= 1
            self._ended.append(task)
            if len(self._tracked) > LONGEST_BACKLOG:
                self._forget_oldest()
        if self._instruments is not None:
            self._instruments.ended(task, tracked=len(self._tracked))

    # The backlog

    def clean(self, now: float) -> int:
        """Dismiss what is older than `dismiss_s`: returns how many are tracked no more."""
        dismissed = []
        with self._lock:
            old = [
                task for task in self._tracked.values() if task.age_s(now) > self.settings.dismiss_s
            ]
            for task in old:
                del self._tracked[task.number]
                if task.state is State.PENDING:
                    task.end(now, f"dismissed: no end after {self.settings.dismiss_s:g} s")
                    task.dismissed = True
                    self._pending -= 1
                    self._ended.append(task)
                    dismissed.append(task)
        for task in dismissed:
            if self._instruments is not None:
                self._instruments.ended(task, tracked=len(self._tracked))
        return len(old)

    def _forget_oldest(self) -> None:
        oldest = next((n for n, t in self._tracked.items() if t.state is not State.PENDING), None)
        if oldest is not None:
            del self._tracked[oldest]

    def _print(self, now: float) -> None:
        if self._say is None:
            return
        from pytest_vdkprobe.endpoints.table import table  # noqa: PLC0415 - loads rich

        self._say(table(self.settings.name, self.tracked(), now=now))


def _body_of(settings: EndpointTasksSettings) -> tuple[bytes | None, dict[str, str]]:
    if settings.json is not None:
        return msgspec.json.encode(settings.json), {"Content-Type": "application/json"}
    return (settings.body.encode() if settings.body is not None else None), {}
