"""Executions of one deployed job: started with a nonce, followed by id and op id, judged.

An execution id is `<job>-<epoch seconds>`, so the service can hand out one id twice within a second
and overwrite the first one's row. Whoever follows by id alone may judge a stranger; here an
execution is ours when its op id is the one that our start call carried.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import Finding, PlatformFailure
from pytest_vdkprobe.waiting import LONGEST_PAUSE_S, Deadline, Waited, pause, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.control.models import DataJobExecution

FINAL = frozenset({"succeeded", "cancelled", "skipped", "user_error", "platform_error"})
"""Statuses that don't change any more (Control Service API, DataJobExecution.status)."""

STARTED_BY = "manual/vdkprobe"
END_TIME_GRACE_S = 5.0
"""A final status and its end time are written together; a reader between two writes may wait."""
LISTED_GRACE_S = 5.0
"""An execution that can be read may be a moment from being listed, where lists are cached."""
DIAGNOSTICS_S = 3.0
"""What a failing step may spend on reading the log, after its verdict is fixed."""


@dataclass(frozen=True)
class Started:
    """An execution that we started: `id` came from the service, `op_id` and `nonce` from us."""

    job: str
    id: str
    op_id: str
    nonce: str

    @property
    def checked(self) -> str:
        """How to look at it by hand."""
        return f"GET .../jobs/{self.job}/executions/{self.id}  op id {self.op_id}"


class Executions:
    """Starts, follows and cancels the executions of one job."""

    def __init__(self, client: ControlClient, job: str) -> None:
        self.client = client
        self.job = job
        self.unfinished: Started | None = None
        self._last_start_s = 0
        self._count = 0

    def start(self, arguments: Mapping[str, object], *, nonce: str) -> Started:
        """Start an execution; an earlier one of ours that is still under way is cancelled first."""
        self.settle()
        self._next_second()
        op_id = self._next_op_id()
        execution_id = self.client.start_execution(
            self.job, args=dict(arguments), started_by=STARTED_BY, op_id=op_id
        )
        self._last_start_s = int(time.time())
        self.unfinished = Started(self.job, execution_id, op_id, nonce)
        return self.unfinished

    def refuse_start(self) -> None:
        """Try a start that must be refused with 409, because an execution is under way."""
        from pytest_vdkprobe.control.errors import ServiceFailure  # noqa: PLC0415 - when used

        try:
            second = self.client.start_execution(
                self.job, args={}, started_by=STARTED_BY, op_id=self._next_op_id()
            )
        except ServiceFailure as failure:
            if failure.status == 409:
                return
            raise
        running = self.unfinished
        raise PlatformFailure(
            "A second execution was accepted while the first was still under way.",
            seen=f"202 with execution {second}",
            expected=f"409, since {running.id if running else 'another'} runs",
            checked=f"POST .../jobs/{self.job}/deployments/.../executions",
            to_try="two executions of one job at once can corrupt what it writes: compare the logs",
        )

    def follow(
        self,
        started: Started,
        *,
        until: frozenset[str],
        deadline: Deadline,
        beside: Callable[[], str] | None = None,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> Waited[DataJobExecution | None]:
        """Poll that execution, and no other, until its status is in `until` or is final.

        `beside` is called with each poll, for what is to be looked at meanwhile; what it returns is
        shown with the status.
        """

        def describe(seen: DataJobExecution | None) -> str:
            more = beside() if beside is not None else ""
            return _describe(seen, started) + (f", {more}" if more else "")

        waited = wait_until(
            f"execution {started.id}",
            lambda: self.client.execution(self.job, started.id),
            done=lambda seen: _is(seen, started) and _status(seen) in (until | FINAL),
            deadline=deadline,
            describe=describe,
            expected=f"status {' or '.join(sorted(until))}",
            checked=started.checked,
            to_try="look at the pod of this execution: kubectl get pods -l job-name=" + started.id,
            longest_pause_s=longest_pause_s,
        )
        if _status(waited.value) in FINAL:
            self.unfinished = None
        return waited

    def follow_to_end(
        self,
        started: Started,
        *,
        expected: str,
        deadline: Deadline,
        longest_pause_s: float = LONGEST_PAUSE_S,
    ) -> Waited[DataJobExecution | None]:
        """Follow it to its end, and want `expected` as the final status, with an end time."""
        waited = self.follow(
            started,
            until=frozenset({expected}),
            deadline=deadline,
            longest_pause_s=longest_pause_s,
        )
        execution = waited.value
        status = _status(execution)
        if status != expected:
            raise PlatformFailure(
                f"The execution ended as {status}, not as {expected}.",
                seen=f"{waited}, message {execution.message if execution else None!r}"
                + self.log_tail(started),
                expected=f"status {expected}",
                checked=started.checked,
                to_try="the job ran as it was told: see how its pod ended and what it logged",
            )
        wait_until(
            f"end time of {started.id}",
            lambda: self.client.execution(self.job, started.id),
            done=lambda seen: seen is not None and seen.end_time is not None,
            deadline=deadline.within(END_TIME_GRACE_S, "grace for the end time"),
            describe=lambda seen: f"{_status(seen)}, end_time {seen.end_time if seen else None}",
            expected="an end_time beside the final status",
            checked=started.checked,
        )
        return waited

    def require_listed(self, started: Started, *, deadline: Deadline) -> None:
        """It must be among the job's executions, where people and alerts look for it."""
        wait_until(
            f"execution {started.id} in the list",
            lambda: [one.op_id for one in self.client.executions(self.job)],
            done=lambda seen: started.op_id in seen,
            deadline=deadline.within(LISTED_GRACE_S, "grace for the list"),
            describe=lambda seen: f"not in the list of {len(seen)}",
            expected="listed, as it can be read by its id",
            checked=f"GET .../jobs/{self.job}/executions",
            to_try="compare with `vdk execute --list`: reading one works, listing them does not",
        )

    def cancel(self, started: Started, *, deadline: Deadline) -> Waited[DataJobExecution | None]:
        """Cancel it and see it end as cancelled."""
        self.client.cancel_execution(self.job, started.id)
        return self.follow_to_end(started, expected="cancelled", deadline=deadline)

    def settle(self) -> None:
        """Cancel what an earlier, failed step left under way, so that it blocks nobody."""
        leftover, self.unfinished = self.unfinished, None
        if leftover is None:
            return
        deadline = self.client.deadline or Deadline.after(30.0)
        try:
            self.client.cancel_execution(self.job, leftover.id)
            self.follow(leftover, until=FINAL, deadline=deadline.within(15.0))
        except Finding:
            # The start that follows will be refused, and that answer names the cause better.
            self.unfinished = None

    def log_tail(self, started: Started, *, lines: int = 5) -> str:
        """The last lines of its log for a report; silent when the log can't be had."""
        tail = [line for line in self.log(started).splitlines() if line.strip()][-lines:]
        return "".join(f"\n             | {line[:200]}" for line in tail)

    def log(self, started: Started) -> str:
        """Its log, to illustrate a cause that is known; empty when it can't be had."""
        previous = self.client.deadline
        self.client.deadline = Deadline.after(DIAGNOSTICS_S, "time for diagnostics")
        try:
            return self.client.logs(self.job, started.id)
        except Exception:  # noqa: BLE001 - diagnostics never replace the cause they illustrate
            return ""
        finally:
            self.client.deadline = previous

    def _next_op_id(self) -> str:
        """An op id of its own for each start, so that two starts of one step are told apart."""
        self._count += 1
        return f"{self.client.op_id}-{self._count}"

    def _next_second(self) -> None:
        """Leave the second of the last start, or the service may reuse that execution's id."""
        while int(time.time()) == self._last_start_s:
            pause(1.001 - time.time() % 1)


def _is(seen: DataJobExecution | None, started: Started) -> bool:
    """Whether what was read is the execution that we started."""
    return seen is not None and seen.op_id == started.op_id and seen.job_name == started.job


def _status(seen: DataJobExecution | None) -> str:
    return "absent" if seen is None or seen.status is None else str(seen.status)


def _describe(seen: DataJobExecution | None, started: Started) -> str:
    """A state as the history of the wait shows it."""
    if seen is None or _is(seen, started):
        return _status(seen)
    return f"{_status(seen)} of another execution (job {seen.job_name}, op id {seen.op_id})"
