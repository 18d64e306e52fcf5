"""A step of a journey: what it is, what it needs, and what it has shown so far."""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.config.entries import NOTHING, EntrySettings
from pytest_vdkprobe.config.nearest import did_you_mean
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.journeys.texts import presentable
from pytest_vdkprobe.waiting import Deadline, WaitEvent

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.run import Run

TEST_PREFIX = "test_"
TAKES = ("needs", "slow", "cleanup", "way", "if_set")
MARKS = ("vdk_journey", "vdk_step")


class StepRecord:
    """What `vdk_step` gives to a test: its name, its time limit, and where evidence goes."""

    def __init__(
        self,
        run: Run,
        *,
        journey: str,
        name: str,
        subject: str | None = None,
        kind: str | None = None,
        entry: EntrySettings = NOTHING,
        needs: tuple[str, ...] = (),
        slow: bool = False,
        cleanup: bool = False,
    ) -> None:
        self.run = run
        self.journey = journey
        self.name = name
        self.subject = subject
        self.kind = kind
        """The list of the configuration that its journey is run for: `jobs`, `routes` ..."""
        self.entry = entry
        """What the subject's entry in that list says of its steps."""
        self.needs = needs
        self.slow = slow
        self.cleanup = cleanup
        self.number = 0
        self.of = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.started_at: datetime | None = None
        self.evidences: list[str] = []
        self.polls = 0
        self.last_wait: WaitEvent | None = None
        self.attached: dict[str, Any] = {}
        """What else the report shall hold of this step, by name: plain data, redacted by us."""
        self.exchanges: Iterable[object] = ()
        """Requests and answers of this step (each with `to_dict()`), kept when it does not pass."""
        self.deadline = Deadline.after(self.limit_s)
        self._started = time.monotonic()

    def anew(self) -> StepRecord:
        """The same step for another round: it has shown nothing yet."""
        record = copy.copy(self)
        record._begin_anew()
        return record

    @property
    def id(self) -> str:
        """How reports call it, `heartbeat[hello-platform]::run`."""
        return f"{self.journey}::{self.name}"

    def __str__(self) -> str:
        doing = f", waiting for {self.last_wait.what}" if self.last_wait is not None else ""
        return f"{self.id}  step {self.number} of {self.of}, after {self.elapsed_s:.1f} s{doing}"

    @property
    def op_id(self) -> str:
        """The operation id that its calls carry: the run's id and the step's number."""
        return f"{self.run.run_id}-{self.number:02d}"

    @property
    def limit_s(self) -> float:
        """What it may take, by configuration."""
        settings = self.run.settings
        usual = settings.cleanup_timeout_s if self.cleanup else settings.step_timeout_s
        own = self.entry.limit_s(self.name)
        return settings.limits.get(self.name, usual) if own is None else own

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._started

    def begin(self) -> None:
        """Start the clock. Cleanup has its own: a run that is late still removes its traces."""
        self._started = time.monotonic()
        self.started_at = datetime.now(UTC)
        name = f"the step's limit of {self.limit_s:g} s"
        if self.cleanup:
            self.deadline = Deadline.after(self.limit_s, name)
        else:
            self.deadline = self.run.deadline.within(self.limit_s, name)
        self.run.step = self

    def end(self) -> None:
        """It is over, in whatever way."""
        if self.run.step is self:
            self.run.step = None

    def evidence(self, text: str) -> None:
        """Say what was seen that makes this step pass. A step that says nothing does not pass."""
        self.evidences.append(presentable(text))

    def attach(self, name: str, data: dict[str, Any]) -> None:
        """Let the report hold plain data of this step, whatever its verdict: an account, say."""
        self.attached[name] = data

    def saw(self, event: WaitEvent) -> None:
        """Remember a poll of a wait that happened in this step."""
        self.polls += 1
        self.last_wait = event


STEP_KEY: pytest.StashKey[StepRecord] = pytest.StashKey()
"""Where a test that is a step keeps its record."""


def where(item: pytest.Item) -> str:
    """A test by its id, its file and its line: a scenario's path is that of the folder it is in."""
    code = getattr(inspect.unwrap(getattr(item, "function", item.__class__)), "__code__", None)
    place = "" if code is None else f" ({code.co_filename}, line {code.co_firstlineno})"
    return f"{item.nodeid}{place}"


def require_known_marks(item: pytest.Item) -> None:
    """Raise UsageError for a mark that is called almost like one of ours: the test is no step."""
    own = [str(line).partition(":")[0].partition("(")[0] for line in item.config.getini("markers")]
    for marker in item.iter_markers():
        if marker.name.startswith("vdk_") and marker.name not in own:
            error = ConfigError(
                f"There is no mark {marker.name}.",
                file=where(item),
                key=f"pytest.mark.{marker.name}",
                to_try=did_you_mean(marker.name, MARKS),
            )
            raise pytest.UsageError(str(error))


def read_step(item: pytest.Item, run: Run) -> StepRecord | None:
    """The record for a test marked `vdk_step`; None for an ordinary test."""
    marker = item.get_closest_marker("vdk_step")
    if marker is None:
        return None
    for name in sorted(set(marker.kwargs) - {*TAKES}):
        raise pytest.UsageError(
            f"{where(item)}: vdk_step has no {name}: {did_you_mean(name, TAKES)}"
        )
    if marker.args:
        takes = ", ".join(f"{name}=..." for name in TAKES)
        raise pytest.UsageError(f"{where(item)}: vdk_step takes {takes}, not positional arguments")
    needs = marker.kwargs.get("needs", ())
    if isinstance(needs, str):
        raise pytest.UsageError(f'{where(item)}: write vdk_step(needs=["{needs}"]), a list')
    module = item.getparent(pytest.Module)
    journey = module.nodeid if module is not None else item.nodeid
    subject, kind = getattr(module, "subject", None), getattr(module, "kind", None)
    entries = run.configuration.entries(kind) if kind is not None else {}
    return StepRecord(
        run,
        journey=journey,
        name=item.nodeid.removeprefix(journey + "::").removeprefix(TEST_PREFIX),
        subject=subject,
        kind=kind,
        entry=entries.get(str(subject), NOTHING),
        needs=tuple(str(need).removeprefix(TEST_PREFIX) for need in needs),
        slow=bool(marker.kwargs.get("slow", False)),
        cleanup=bool(marker.kwargs.get("cleanup", False)),
    )
