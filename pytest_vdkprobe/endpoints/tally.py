"""What became of some tasks, judged: how many succeeded and failed, why, and how long they took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.accounting.latency import QUANTILES, Latency
from pytest_vdkprobe.endpoints.task import State, Task
from pytest_vdkprobe.errors import LoginError, NoEvidence, PlatformFailure

if TYPE_CHECKING:
    from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings

SHOWN = (("p50", 50.0), ("p99", 99.0))
REASONS_SHOWN = 5
TASKS_SHOWN = 8


class Tally:
    """The tasks that ended in a run, or since the last round of a watch."""

    def __init__(
        self,
        settings: EndpointTasksSettings,
        *,
        place: str,
        ended: Iterable[Task],
        pending: int,
        missed: int,
        good_s: float | None = None,
    ) -> None:
        self.settings = settings
        self.place = place
        self.pending = pending
        """Those that are under way still."""
        self.missed = missed
        """Slots in which no task could be made."""
        self.good_s = good_s
        """How long ago a task last succeeded; None: never."""
        self.failed: list[Task] = []
        self.succeeded = 0
        self.latency = Latency()
        """Of those that succeeded."""
        took = []
        for task in ended:
            if task.state is State.SUCCEEDED and task.duration_s is not None:
                self.succeeded += 1
                took.append(round(task.duration_s * 1e6))
            else:
                self.failed.append(task)
        self.latency.add(took)

    @property
    def ended(self) -> int:
        """How many there are to judge by."""
        return self.succeeded + len(self.failed)

    def __str__(self) -> str:
        parts = [f"{self.succeeded} of {self.ended} tasks succeeded"]
        if self.failed:
            parts.append(f"{len(self.failed)} failed ({self.why(1)})")
        if self.pending:
            parts.append(f"{self.pending} under way")
        if self.missed:
            parts.append(f"{self.missed} slots missed")
        if self.succeeded:
            parts += [f"{name} {self.latency.at(at) * 1000:.1f} ms" for name, at in SHOWN]
        return ", ".join(parts)

    def why(self, at_most: int = REASONS_SHOWN) -> str:
        """The reasons of those that failed, most frequent first."""
        counts = Counter(task.reason for task in self.failed)
        parts = [f"{count} x {reason}" for reason, count in counts.most_common(at_most)]
        left = len(counts) - at_most
        return "; ".join(parts) + (f"; {left} other reasons" if left > 0 else "")

    def require(self) -> None:
        """Raise PlatformFailure where more failed, or took longer, than the settings allow.

        Raises NoEvidence when no task has ended.
        """
        settings = self.settings
        if self.ended == 0 and self._good_lately():
            return
        if self.ended == 0:
            raise NoEvidence(
                "No task has ended, so nothing can be said.",
                seen=str(self),
                expected=f"a task every {settings.interval_s:g} s",
                checked=self.place,
                to_try="give the run or the round more time than a call may take",
            )
        allowed = settings.allow.of(self.ended)
        if len(self.failed) > allowed and not self.succeeded and self._all_barred():
            raise LoginError(
                f"Our login was refused: none of {self.ended} tasks got further.",
                seen=self.why(),
                expected="each call let in",
                checked=self.place,
                to_try="have the credentials expired, or been withdrawn? renew what endpoints.auth "
                "names; a watch reads it again on SIGHUP, or restarted where it comes from the "
                "environment",
            )
        if len(self.failed) > allowed:
            raise PlatformFailure(
                f"Of {self.ended} tasks, {len(self.failed)} failed.",
                seen=f"{self.why()}\n{self._which()}",
                expected=f"at most {allowed} failed" if allowed else "none failed",
                checked=self.place,
                to_try="look at the service's log for these trace ids; what may fail is endpoints."
                "allow",
            )
        slow = [
            f"{name} {took:.3f} s, at most {limit:g} s"
            for name, limit in settings.latency.items()
            if self.succeeded and (took := self.latency.at(QUANTILES[name])) > limit
        ]
        if slow:
            raise PlatformFailure(
                f"The {self.ended} tasks took too long.",
                seen="; ".join(slow),
                expected="what endpoints.latency says",
                checked=self.place,
            )

    def evidence(self) -> str:
        """What a pass rests on."""
        if self.ended:
            return str(self)
        return f"none ended meanwhile; the last one succeeded {self.good_s or 0:.1f} s ago"

    def _all_barred(self) -> bool:
        """Some may be refused at random by a service that is wrong; all of them are our login's."""
        return all(task.barred for task in self.failed)

    def _good_lately(self) -> bool:
        """A round of a watch may be shorter than the interval."""
        limit_s = self.settings.sla_s + 2 * self.settings.interval_s
        return self.good_s is not None and self.good_s <= limit_s

    def _which(self) -> str:
        shown = [f"{task.number} (trace {task.trace})" for task in self.failed[:TASKS_SHOWN]]
        left = len(self.failed) - len(shown)
        return "tasks " + ", ".join(shown) + (f" and {left} more" if left > 0 else "")

    def to_dict(self) -> dict[str, Any]:
        """For reports."""
        return {
            "endpoint": self.settings.name,
            "ended": self.ended,
            "succeeded": self.succeeded,
            "failed": len(self.failed),
            "pending": self.pending,
            "missed_slots": self.missed,
            "latency_s": self.latency.to_dict(),
            "failures": [
                {"task": task.number, "trace": task.trace, "reason": task.reason}
                for task in self.failed[: TASKS_SHOWN * 10]
            ],
        }
