"""Executions are found abandoned, and old ones removed, on both databases."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.history import executions, parts, steps
from pytest_vdkprobe.history.executions import RUN, Status
from pytest_vdkprobe.history.files import of_text
from pytest_vdkprobe.history.parts import Part
from pytest_vdkprobe.history.retention import prune
from pytest_vdkprobe.history.schema import open_history
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import Database, Work
from tests.databases import own_database, sqlite_address
from tests.integration.shared_engines import SharedEngines


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = open_history(sqlite_address(tmp_path))
        yield database
        database.close()
        return
    engines: SharedEngines = request.getfixturevalue("engines")
    with own_database(engines) as url:
        database = open_history(Address.parse(url, source="the test"))
        yield database
        database.close()


def holder(process: Process) -> str:
    return msgspec.json.encode(process).decode()


def age(work: Work, execution: str, **by: float) -> None:
    """As if it had been heard of last so long ago."""
    work.change(
        "update execution set heartbeat_on = :when, updated_on = :when, created_on = :when"
        " where execution_id = :id",
        when=work.now() - timedelta(**by),
        id=execution,
    )


def test_an_execution_whose_process_is_gone_is_abandoned_at_once(database: Database) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process.of(child.pid)
    with database.begin() as work:
        execution = executions.begin(work, kind=RUN, holder=holder(process))
        step = steps.begin(work, execution, "heartbeat[a]")
        parts.store(work, step, [Part(1, "reach", "pass", 0.25, "it answers")])
        mine = executions.begin(work, kind=RUN, holder=holder(Process.current()))
        assert executions.abandon_dead(work) == []
    child.kill()
    child.communicate()
    with database.begin() as work:
        assert executions.abandon_dead(work) == [execution]
        assert executions.get(work, execution).status == Status.ABANDONED
        assert steps.get(work, step).status == Status.ABANDONED
        assert parts.of_step(work, step) == [Part(1, "reach", "pass", 0.25, "it answers")]
        assert executions.get(work, mine).status == Status.INITIALISED


def test_an_execution_that_is_silent_for_too_long_is_abandoned(database: Database) -> None:
    with database.begin() as work:
        patient = executions.begin(work, abandon_after_s=7200)
        hasty = executions.begin(work, abandon_after_s=60)
        usual = executions.begin(work)
        for execution in (patient, hasty, usual):
            age(work, execution, hours=1)
        assert executions.abandon_dead(work) == [hasty]
        age(work, usual, hours=25)
        assert executions.abandon_dead(work) == [usual]
        assert executions.last_successful(work) is None


def ended(work: Work, status: Status, *, days: float, pipeline: str = "default") -> str:
    execution = executions.begin(work, pipeline=pipeline)
    step = steps.begin(work, execution, "LOAD", [of_text("a.sql", "1")])
    parts.store(work, step, [Part(1, "reach", "pass", 0.1)])
    executions.end(work, execution, status)
    age(work, execution, days=days)
    return execution


def test_the_last_good_one_of_each_pipeline_stays_and_so_does_what_goes_on(
    database: Database,
) -> None:
    with database.begin() as work:
        old = ended(work, Status.COMPLETED, days=400)
        good = ended(work, Status.COMPLETED, days=300)
        failed = [ended(work, Status.FAILED, days=days) for days in (200, 100)]
        other = ended(work, Status.COMPLETED, days=500, pipeline="other")
        going_on = executions.begin(work)
        age(work, going_on, days=900)
        assert prune(work, keep=9, pipeline=None) == []
        assert prune(work, keep_days=150, pipeline=None) == [failed[0], old]
        assert prune(work, keep=0, keep_days=50, pipeline="other") == []
        assert prune(work, keep=0, pipeline=None) == [failed[1]]
        left = {one.id for one in executions.listed(work, limit=10)}
        assert left == {good, other, going_on}
        for table in ("execution_step", "execution_step_model", "execution_step_part"):
            assert work.rows(f"select count(*) from {table}")[0][0] == 2
    with database.begin() as work, pytest.raises(ConfigError, match="Nothing says"):
        prune(work, pipeline=None)
