"""One configured database as the subject of a journey: tables that a data job fills and moves.

The job is one of ours and is run once for each thing it does, so that a template which fails can be
told from the others. Who says what: the platform that the job succeeded, the database whether
anything moved; only both together are a pass. Without a Control Service the probe itself fills and
moves, and says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.config.entry_names import plain
from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.jobs.template import TABLES, load_template
from pytest_vdkprobe.journeys.live_job import LiveJob
from pytest_vdkprobe.journeys.run import RUN_KEY
from pytest_vdkprobe.journeys.scenarios import Journey
from pytest_vdkprobe.tables.moves import TEMPLATES
from pytest_vdkprobe.tables.rows import COLUMNS
from pytest_vdkprobe.tables.settings import (
    TablesSettings,
    by_whom,
    entry_of,
    place_of,
    vdk_settings,
)
from pytest_vdkprobe.tables.workplace import Workplace
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.journeys.steps import StepRecord
    from pytest_vdkprobe.tables.settings import Place

MOVE = "vdk_move"
LONGEST_POLL_S = 0.25
"""A step waits for one short job; longer pauses would be most of what it takes."""
COLUMN = {column.source: column for column in COLUMNS}


class TablesSubject:
    """Tables of one database, and who fills them and moves rows; built by `vdk_tables`."""

    def __init__(
        self,
        settings: TablesSettings,
        workplace: Workplace,
        run: Run,
        client: ControlClient | None,
    ) -> None:
        self.settings = settings
        self.workplace = workplace
        self.run = run
        self.job = self._job(client) if client is not None else None
        self._starts = 0

    @property
    def step(self) -> StepRecord:
        """The step that is running now."""
        if self.run.step is None:
            raise RuntimeError("this is for steps of a journey only")
        return self.run.step

    def create(self) -> None:
        """Make all tables and see that they are as they were made."""
        self.step.evidence(self.workplace.create(deadline=self.step.deadline))
        self.step.attach("versions", self.workplace.versions())

    def prepare(self) -> None:
        """Deploy the job that fills and moves."""
        if self.job is None:
            self.step.evidence(
                "no data job: the probe fills and moves by itself, which shows nothing of VDK"
            )
            return
        self.job.create()
        version = self.job.upload(1)
        waited = self.job.deploy(version, deadline=self.step.deadline)
        self.step.evidence(
            f"job {self.job.name}, version {version[:12]} live after {waited.elapsed_s:.1f} s"
        )

    def fill(self) -> None:
        """Have the rows ingested into the source; each must be there, unchanged."""
        place, deadline = self.workplace, self.step.deadline
        if self.job is None:
            place.insert(place.source, place.come, source=True, deadline=deadline)
            how = "by the probe's own INSERT"
        else:
            rows = [place.shape.payload(row) for row in place.come]
            how = self._execute(
                "fill",
                source=place.source.sql,
                method=self.settings.method or self.settings.database.kind,
                target=self.settings.target or self.settings.database.kind,
                columns=list(rows[0]),
                rows=[list(row.values()) for row in rows],
            )
        what = f"{self._said()}the source does not hold what was ingested"
        self.step.evidence(f"{place.require_filled(_capital(what), deadline=deadline)}, {how}")

    def move(self, move: str) -> None:
        """Move the rows in that way; the destination must hold what this way leaves there."""
        place, deadline = self.workplace, self.step.deadline
        if self.job is None:
            place.copy(move, deadline=deadline)
            how = "by the probe itself"
        else:
            how = self._execute(move, **self._arguments(move))
        what = _capital(f"{self._said()}the table that {move} filled is wrong")
        seen = place.require(move, place.expected(move), what, deadline=deadline)
        self.step.evidence(f"{seen}, {how}")

    def _arguments(self, move: str) -> dict[str, Any]:
        place = self.workplace
        view, destination = place.view, place.destinations[move]
        if move not in TEMPLATES:
            words = {
                "listed": place.shape.listed,
                "view": view.sql,
                "destination": destination.sql,
            }
            # SQL steps are given their words by substitution, under names that nobody else has.
            return {**words, **{f"vdkprobe_{name}": text for name, text in words.items()}}
        template = {
            "source_schema": view.parts[-2],
            "source_view": view.parts[-1],
            "target_schema": destination.parts[-2],
            "target_table": destination.parts[-1],
            "id_column": place.shape.name(COLUMN["id"]),
            "last_arrival_ts": place.shape.name(COLUMN["arrived"]),
        }
        return {"templates": list(TEMPLATES), "template": template}

    def _execute(self, do: str, **arguments: Any) -> str:
        """Run the job for one thing and follow it to its end; returns how that was."""
        job = self.job
        assert job is not None  # noqa: S101 - asked by who calls
        self._starts += 1
        nonce = f"{self.run.run_id}-{self._starts}-{time.monotonic_ns() % 1_000_000:06d}"
        started = job.executions.start(
            {"do": do, "nonce": nonce, "database": self.settings.database.kind, **arguments},
            nonce=nonce,
        )
        waited = job.executions.follow_to_end(
            started,
            expected="succeeded",
            deadline=self.step.deadline,
            longest_pause_s=LONGEST_POLL_S,
        )
        return f"execution {started.id}: {waited} in {waited.elapsed_s:.1f} s"

    def _said(self) -> str:
        return "the job is said to have succeeded, but " if self.job is not None else ""

    def drop(self) -> None:
        """Drop all tables and see them gone."""
        self.step.evidence(self.workplace.remove())

    def delete(self) -> None:
        """Delete the job and see it gone."""
        if self.job is None:
            self.step.evidence("there is no data job")
            return
        done = self.job.remove(deadline=self.step.deadline)
        if self.job.client.read_job(self.job.name) is not None:
            raise PlatformFailure(
                "The deleted job can still be read.", seen=self.job.name, expected="404"
            )
        self.step.evidence(f"{done}: 404")

    def close(self, *, deadline: Deadline) -> None:
        """Remove whatever is still there. Safe to call again."""
        with ExitStack() as stack:
            stack.callback(self.workplace.close)
            if self.job is not None:
                stack.callback(self.job.remove, deadline=deadline)

    def _job(self, client: ControlClient) -> LiveJob:
        job = job_settings(self.settings, self.workplace.place)
        return LiveJob(
            client,
            self.run,
            name=job.remote_name(self.run.run_id),
            settings=job,
            template=load_template(TABLES, settings=job, team=client.settings.team),
        )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def job_settings(settings: TablesSettings, place: Place | None = None) -> JobSettings:
    """The data job that fills and moves the tables of an entry, and how it gets to the place."""
    vdk = {} if place is None else vdk_settings(place)
    return JobSettings(
        name=f"vdkprobe-{TABLES}-{plain(settings.name).replace('_', '-')}",
        description=f"Moves rows for the scenario {TABLES} of vdkprobe",
        python_version=settings.python_version,
        vdk_version=settings.vdk_version,
        db_default_type=settings.db_default_type or settings.database.kind,
        vdk=vdk | settings.vdk,
    )


def job_names(configuration: Configuration) -> list[tuple[str, str]]:
    """What the job of each entry is called that has one, and the key that says so."""
    return [
        (job_settings(entry).name, f"tables.{index}.name")
        for index, entry in enumerate(configuration.sections("tables", TablesSettings))
        if by_whom(entry, configuration) == "job"
    ]


def plan(configuration: Configuration, *, run_id: str) -> list[str]:
    """What a run would create for each entry: its tables, and its job."""
    lines = []
    for settings in configuration.sections("tables", TablesSettings):
        by = by_whom(settings, configuration)
        roles = ("source", "view", *settings.moves_of(by=by))
        names = [settings.table(run_id, role) for role in roles]
        lines += [f"  table {name}  ({settings.database.kind})" for name in names]
        if by == "job":
            lines.append(f"  data job {job_settings(settings).remote_name(run_id)}  (moves them)")
    return lines


def by_job(name: str, run: Run) -> bool:
    """Whether the tables of that entry are filled and moved by a data job."""
    _, settings = entry_of(run.configuration, name)
    return by_whom(settings, run.configuration) == "job"


@contextmanager
def open_tables(name: str, run: Run, client: ControlClient | None) -> Iterator[TablesSubject]:
    """The tables of the entry called `name`, and their removal; by a job if there is a client."""
    from pytest_vdkprobe.journeys.cleanup import sweep_ends_once  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.renewing import Renewer  # noqa: PLC0415 - as above

    configuration = run.configuration
    index, settings = entry_of(configuration, name)
    with ExitStack() as stack:
        if client is None:
            stack.enter_context(Renewer(run.leases))
        sweep_ends_once(run)
        workplace = Workplace(
            settings,
            place_of(configuration, index, run.placeholders),
            moves=settings.moves_of(by="probe" if client is None else "job"),
            run_id=run.run_id,
            leases=run.leases,
            base_dir=configuration.base_dir,
        )
        subject = TablesSubject(settings, workplace, run, client)
        try:
            yield subject
        finally:
            if client is not None:
                client.op_id = f"{run.run_id}-cleanup"
            subject.close(deadline=Deadline.after(run.cleanup_timeout_s, "time for the cleanup"))


def parametrize(metafunc: pytest.Metafunc) -> None:
    """One step for each move of the journey's entry."""
    if MOVE not in metafunc.fixturenames:
        return
    journey = metafunc.definition.getparent(Journey)
    if journey is None:
        return
    configuration = metafunc.config.stash[RUN_KEY].configuration
    _, settings = entry_of(configuration, journey.subject)
    names = settings.moves_of(by=by_whom(settings, configuration))
    metafunc.parametrize(MOVE, names, indirect=True, ids=names, scope="function")
