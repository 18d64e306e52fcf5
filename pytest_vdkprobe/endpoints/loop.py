"""Endpoint tasks: one for each slot of a fixed schedule, tracked until it is dismissed.

What a round judges are the tasks that have ended since the last one, whenever they began: a task is
judged once, and one that hangs is not waited for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from pytest_vdkprobe.clock import us_of
from pytest_vdkprobe.control.endpoint import Endpoint
from pytest_vdkprobe.control.errors import checked
from pytest_vdkprobe.control.network import Unanswered
from pytest_vdkprobe.control.settings import NoAuthSettings
from pytest_vdkprobe.endpoints.tally import Tally
from pytest_vdkprobe.endpoints.task import State, Task
from pytest_vdkprobe.errors import Finding, LoginError
from pytest_vdkprobe.pace import Errand, Pace
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

    def ended(self, task: Task) -> None:
        """A task is over."""

    def stand(self, *, tracked: int, oldest: float, missed: int) -> None:
        """So many are in the backlog, the oldest under way since that moment (0: none is), and so
        many slots were missed."""


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
        self._open: dict[int, float] = {}
        """The slots of those under way, oldest first."""
        self._ended: deque[Task] = deque()
        """Those that no round has judged yet."""
        self._missed_before = 0
        self._waited = False
        self._last_good: float | None = None
        errands = [Errand(settings.clean_s, self.clean)]
        if settings.table_s and say is not None:
            errands.append(Errand(settings.table_s, self._print))
        self._pace = Pace(
            "vdkprobe-tasks",
            interval_s=settings.interval_s,
            open_worker=lambda: _Caller(self, self._first.another()),
            begin=self._begin,
            at_once=settings.at_once,
            limit=limit,
            errands=errands,
        )

    @property
    def place(self) -> str:
        """The call as messages name it."""
        return checked(self.settings.method, self.settings.url, "")

    @property
    def started(self) -> bool:
        """Whether tasks are made."""
        return self._pace.started

    def reach(self) -> str:
        """Log in, and see that something answers. Raises LoginError, TransportError."""
        self._first.check()
        return f"{self._first.place} answers"

    def start(self) -> None:
        """Begin with slot 0 now. May be called again."""
        self._pace.start()

    def take(self) -> Tally:
        """What has ended since the last call. Raises what ended the schedule: a bug of ours."""
        if self._pace.error is not None:
            raise self._pace.error
        with self._lock:
            ended = [self._ended.popleft() for _ in range(len(self._ended))]
            missed = self._pace.missed - self._missed_before
            self._missed_before += missed
            pending = len(self._open)
            good_s = None if self._last_good is None else time.monotonic() - self._last_good
        if self._instruments is not None:
            self._stand(self._instruments)
        return Tally(
            self.settings,
            place=self.place,
            ended=ended,
            pending=pending,
            missed=missed,
            good_s=good_s,
        )

    def finish(self, *, deadline: Deadline) -> Tally:
        """Wait until all of a limited number have ended; at the deadline, what has by then."""
        wait_until(
            f"{self.limit} tasks of {self.settings.name}",
            lambda: (len(self._ended), len(self._open)),
            done=lambda _: deadline.expired or (self._pace.done.is_set() and not self._open),
            deadline=deadline,
            describe=lambda seen: f"{seen[0]} ended, {seen[1]} under way",
            longest_pause_s=LOOK_S,
        )
        return self.take()

    def await_first(self, *, deadline: Deadline) -> None:
        """Let the first round of a process have a task to judge. Returns at once in any other."""
        if self._waited:
            return
        self._waited = True
        limit = deadline.within(self.settings.sla_s + self.settings.interval_s)
        wait_until(
            f"the first task of {self.settings.name}",
            lambda: len(self._ended),
            done=lambda ended: bool(ended) or limit.expired,
            deadline=limit,
            longest_pause_s=LOOK_S,
        )

    def tracked(self) -> list[Task]:
        """All tasks in the backlog, oldest first."""
        with self._lock:
            return list(self._tracked.values())

    def close(self) -> None:
        """Make no more tasks; wait a moment for the threads. May be called again."""
        self._pace.close()
        self._first.close()

    def _begin(self, number: int, due: float) -> bool:
        """There is a new task; its caller gets it next."""
        created_at = datetime.fromtimestamp(us_of(due) / 1e6, UTC)
        task = Task(number, created_at, due, trace_id(self.run_id, number))
        with self._lock:
            self._tracked[number] = task
            self._open[number] = due
        if self._instruments is not None:
            self._instruments.created()
            self._stand(self._instruments)
        return True

    def serve(self, number: int, endpoint: Endpoint) -> None:
        """Make the call of a task, and see what comes of it; in the caller's thread."""
        with self._lock:
            task = self._tracked.get(number)
        if task is None:
            # Dismissed before its turn came: the machine was held up for so long.
            return
        reason = self._call(task, endpoint)
        now = time.monotonic()
        with self._lock:
            if task.dismissed:
                return
            task.end(now, reason)
        if self._instruments is not None:
            # As long as it is open, so that whoever waits for the last finds it counted.
            self._instruments.ended(task)
        with self._lock:
            del self._open[number]
            self._ended.append(task)
            if task.state is State.SUCCEEDED:
                self._last_good = now
            if len(self._tracked) > LONGEST_BACKLOG:
                self._forget_oldest()
        if self._instruments is not None:
            self._stand(self._instruments)

    def _stand(self, instruments: Instruments) -> None:
        with self._lock:
            oldest = next(iter(self._open.values()), 0.0)
            tracked = len(self._tracked)
        instruments.stand(tracked=tracked, oldest=oldest, missed=self._pace.missed)

    def _call(self, task: Task, endpoint: Endpoint) -> str:
        """Why it failed; nothing where it succeeded."""
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
            task.barred = isinstance(problem, LoginError)
            return problem.what
        except Exception as exc:  # noqa: BLE001 - a bug of ours must not end the schedule
            return f"a bug of ours: {type(exc).__name__}: {exc}"
        if answer.status == 401:
            endpoint.refresh_login()
            # Without a login of ours there is none that could have been refused.
            task.barred = not isinstance(settings.auth, NoAuthSettings)
        took_s = time.monotonic() - task.due
        return "; ".join(settings.expect.objections(answer, took_s=took_s))

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
                    del self._open[task.number]
                    self._ended.append(task)
                    dismissed.append(task)
        if self._instruments is not None:
            for task in dismissed:
                self._instruments.ended(task)
            self._stand(self._instruments)
        return len(old)

    def _forget_oldest(self) -> None:
        oldest = next((n for n, t in self._tracked.items() if t.state is not State.PENDING), None)
        if oldest is not None:
            del self._tracked[oldest]

    def _print(self, now: float) -> None:
        from pytest_vdkprobe.endpoints.table import table  # noqa: PLC0415 - loads rich

        assert self._say is not None  # noqa: S101 - or nobody prints
        self._say(table(self.settings.name, self.tracked(), now=now))


def _body_of(settings: EndpointTasksSettings) -> tuple[bytes | None, dict[str, str]]:
    if settings.json is not None:
        return msgspec.json.encode(settings.json), {"Content-Type": "application/json"}
    return (settings.body.encode() if settings.body is not None else None), {}


class _Caller:
    """Makes the calls of one thread."""

    def __init__(self, loop: TaskLoop, endpoint: Endpoint) -> None:
        self._loop = loop
        self._endpoint = endpoint

    def serve(self, slot: int, due: float) -> None:
        """The call of the task of this slot."""
        self._loop.serve(slot, self._endpoint)

    def close(self) -> None:
        """Give back its connections."""
        self._endpoint.close()
