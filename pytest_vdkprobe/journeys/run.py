"""One run: its id, its configuration, its deadline, and what of it is under way.

Everything that has to agree between steps, workers and reports hangs on this one object, which
lives in pytest's stash. Nothing in it is created before somebody asks for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.journeys.settings import RunSettings
from pytest_vdkprobe.secrets import redact
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.control.settings import ControlSettings
    from pytest_vdkprobe.journeys.steps import StepRecord
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.metrics.recorder import Recorder


class Run:
    """What is common to all steps of one call of pytest, xdist's workers included."""

    def __init__(
        self,
        run_id: str,
        configuration: Configuration,
        *,
        quick: bool = False,
        started_at: datetime | None = None,
        remaining_s: float | None = None,
        report_folder: Path | None = None,
        before: Path | None = None,
        after: Path | None = None,
    ) -> None:
        self.run_id = run_id
        self.configuration = configuration
        self.settings = configuration.section("run", RunSettings)
        self.quick = quick
        self.started_at = started_at or datetime.now(UTC)
        limit_s = self.settings.timeout_s
        self.deadline = Deadline.after(
            limit_s if remaining_s is None else remaining_s, f"the run's limit of {limit_s:g} s"
        )
        given = {"after": after, "before": before}
        self.upgrades = {moment: path for moment, path in given.items() if path is not None}
        """Snapshots: of the state before an upgrade, to compare with or to be written."""
        self.step: StepRecord | None = None
        """The step under way in this process."""
        self.interrupted: str | None = None
        """The step that a signal cut short, and what it was doing."""
        self.steps: dict[str, list[str]] = {}
        """The steps selected in this process, by journey; empty on xdist's controller."""
        self.swept: list[str] = []
        """What this process removed of earlier, killed runs before it began."""
        self.ends_swept = False
        """Whether that was done for what stands at the ends of routes."""
        self.placeholders: Mapping[str, str] = {}
        """What `{name}` stands for in the texts of routes, beside what each passage knows."""
        self.sandbox: Mapping[str, Any] | None = None
        """The `[control]` table that leads to the sandbox which this run has started, if it has."""
        self.lasting: dict[str, Any] | None = None
        """In a watch, what lives on from round to round, by name; it is closed at the end."""
        self.state_folder: Path | None = None
        """In a watch, the scenario's own folder for what has to survive a restart."""
        self.teller: Callable[[str], None] | None = None
        """Where `say` goes, in a watch: its console."""
        self._report_folder = report_folder
        self._leases: LeaseStore | None = None
        self._metrics: Recorder | None = None

    def begin_round(self, run_id: str, report_folder: Path) -> None:
        """A watch goes round once more: as a run of its own, with its own id, time and leases."""
        limit_s = self.settings.timeout_s
        self.run_id = run_id
        self.started_at = datetime.now(UTC)
        self.deadline = Deadline.after(limit_s, f"the run's limit of {limit_s:g} s")
        self.step = self.interrupted = self._leases = None
        self.swept, self.ends_swept = [], False
        self._report_folder = report_folder

    def record_into(self, path: Path) -> None:
        """Record into a file that others read and that outlives this process."""
        from pytest_vdkprobe.metrics.cells import Cells  # noqa: PLC0415 - a watch only
        from pytest_vdkprobe.metrics.recorder import Recorder  # noqa: PLC0415 - a watch only

        self._metrics = Recorder(Cells(path))

    def say(self, text: str) -> None:
        """Tell people something while the run goes on: a table now and then, say."""
        if self.teller is not None:
            self.teller(redact(text))
        else:
            logging.getLogger("vdkprobe").info("%s", text)

    def step_deadline(self) -> Deadline:
        """When the step under way has to be over; between steps, what a cleanup may take."""
        if self.step is not None:
            return self.step.deadline
        return Deadline.after(self.cleanup_timeout_s, "time for the cleanup")

    def attach(self, name: str, value: dict[str, Any]) -> None:
        """Put something into the report of the step under way, if one is."""
        if self.step is not None:
            self.step.attach(name, value)

    @property
    def metrics(self) -> Recorder:
        """Where this process records what it counts and measures."""
        if self._metrics is None:
            from pytest_vdkprobe.metrics.recorder import Recorder  # noqa: PLC0415 - when used

            self._metrics = Recorder()
        return self._metrics

    @property
    def cleanup_timeout_s(self) -> float:
        """What the cleanup of one journey may take."""
        return self.settings.cleanup_timeout_s

    @property
    def control_settings(self) -> ControlSettings:
        """The `[control]` section, typed."""
        from pytest_vdkprobe.control.settings import ControlSettings  # noqa: PLC0415 - when used

        return self.configuration.section("control", ControlSettings)

    @property
    def leases(self) -> LeaseStore:
        """The store of leases, opened when first asked for."""
        if self._leases is None:
            from pytest_vdkprobe.leases import LeaseStore  # noqa: PLC0415 - a plan needs none

            self._leases = LeaseStore(
                self.lease_folder, run_id=self.run_id, ttl_s=self.settings.lease_ttl_s
            )
        return self._leases

    @property
    def lease_folder(self) -> Path:
        """Where leases are kept: outlives the run, or nobody could find what a killed one left."""
        if self.settings.lease_folder:
            return Path(self.settings.lease_folder).expanduser()
        from pytest_vdkprobe.leases import default_folder  # noqa: PLC0415 - a plan needs none

        return default_folder()

    @property
    def may_have_leases(self) -> bool:
        """Whether it is worth opening the store to look for leases of this run."""
        return self._leases is not None or self.lease_folder.is_dir()

    @property
    def report_folder(self) -> Path:
        """Where the requests and answers of failing steps go; may not exist yet."""
        if self.settings.report_folder:
            return Path(self.settings.report_folder).expanduser()
        if self._report_folder is not None:
            return self._report_folder
        import tempfile  # noqa: PLC0415 - a green run needs no folder

        return Path(tempfile.gettempdir()) / self._folder_name

    @property
    def _folder_name(self) -> str:
        return f"vdkprobe-{self.run_id}"

    def remove_empty_folder(self) -> None:
        """At the end of a run: its own report folder, if nothing was kept there.

        None of the workers that share it can tell whether another is still writing.
        """
        if self.report_folder.name == self._folder_name:
            with suppress(OSError):
                self.report_folder.rmdir()

    def open_control(self) -> ControlClient:
        """A client of its own, for a process that has no fixtures: the controller, a sweep."""
        from pytest_vdkprobe.control.auth import make_auth  # noqa: PLC0415 - only for a sweep
        from pytest_vdkprobe.control.client import ControlClient  # noqa: PLC0415 - loads requests

        settings = self.control_settings
        auth = make_auth(settings.auth, base_dir=self.configuration.base_dir)
        return ControlClient(settings, auth, op_id_prefix=self.run_id)


RUN_KEY: pytest.StashKey[Run] = pytest.StashKey()
"""Where pytest's config keeps the run."""
