"""One task: a call that was due at a certain moment, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """Where a task is."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(slots=True)
class Task:
    """Times are those of its slot, not of when somebody got round to it."""

    number: int
    """From 0 on, one for each slot."""
    created_at: datetime
    due: float
    """The slot, on the monotonic clock."""
    trace: str
    """Its trace id, which the call carries."""
    state: State = State.PENDING
    duration_s: float | None = None
    """From the slot to the last byte of the answer, or to the moment when it was given up."""
    reason: str = ""
    """Why it failed."""
    barred: bool = False
    """Whether that was because our login was refused."""
    dismissed: bool = False

    def end(self, moment: float, reason: str = "") -> None:
        """It is over: well, or for a reason."""
        self.duration_s = moment - self.due
        self.reason = reason
        self.state = State.FAILED if reason else State.SUCCEEDED

    def age_s(self, moment: float) -> float:
        """Since its slot."""
        return moment - self.due
