"""Every kind of change is found, and nothing else, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.history import changes, executions, steps
from pytest_vdkprobe.history.changes import Kind
from pytest_vdkprobe.history.executions import Status
from pytest_vdkprobe.history.files import of_text
from pytest_vdkprobe.history.ids import new_guid
from pytest_vdkprobe.history.schema import open_history
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import Database, Work
from tests.databases import own_database, sqlite_address
from tests.integration.shared_engines import SharedEngines
from tests.unit.history.repositories import STEPS, Repository, as_truth


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


def executed(work: Work, **contents: dict[str, str]) -> str:
    """A completed execution whose steps consist of these contents by path."""
    execution = executions.begin(work)
    for name, files in contents.items():
        steps.begin(work, execution, name, [of_text(*item) for item in sorted(files.items())])
    executions.end(work, execution, Status.COMPLETED)
    return execution


def test_generated_histories_are_told_exactly(database: Database) -> None:
    for seed in range(12):
        repository = Repository(seed)
        with database.begin() as work:
            before = executed_repository(work, repository)
            for _ in range(2):
                truth = repository.edit()
                after = executed_repository(work, repository)
                assert as_truth(changes.between(work, before, after)) == truth, f"seed {seed}"
                before = after


def executed_repository(work: Work, repository: Repository) -> str:
    execution = executions.begin(work)
    for step in STEPS:
        steps.begin(work, execution, step, repository.models(step))
    executions.end(work, execution, Status.COMPLETED)
    return execution


def test_of_copies_each_is_renamed_at_most_once(database: Database) -> None:
    with database.begin() as work:
        first = executed(work, LOAD={"a/x.sql": "same", "b/x.sql": "same", "c/y.sql": "same"})
        second = executed(work, LOAD={"d/x.sql": "same", "e/y.sql": "same"})
        found = {
            (change.kind, change.path, change.old_path)
            for change in changes.between(work, first, second)
        }
    assert found == {
        (Kind.RENAMED, "d/x.sql", "a/x.sql"),
        (Kind.RENAMED, "e/y.sql", "c/y.sql"),
        (Kind.REMOVED, "b/x.sql", None),
    }


def test_a_journey_that_a_run_did_not_select_was_not_removed(database: Database) -> None:
    with database.begin() as work:
        runs = [executions.begin(work, kind=executions.RUN) for _ in range(2)]
        for journey in ("heartbeat[a]", "heartbeat[b]"):
            steps.begin(work, runs[0], journey, [of_text("scenario/x.py", "1")])
        steps.begin(work, runs[1], "heartbeat[a]", [of_text("scenario/x.py", "2")])
        for run in runs:
            executions.end(work, run, Status.COMPLETED)
        (change,) = changes.between(work, *runs)
    assert (change.kind, change.step) == (Kind.CHANGED, "heartbeat[a]")


def test_a_step_that_has_not_begun_yet_has_removed_nothing(database: Database) -> None:
    with database.begin() as work:
        first = executed(work, LOAD={"a": "1"}, TRANSFORM={"b": "2"})
        second = executions.begin(work)
        steps.begin(work, second, "LOAD", [of_text("a", "1")])
        assert changes.between(work, first, second) == []
        executions.end(work, second, Status.COMPLETED)
        (change,) = changes.between(work, first, second)
    assert (change.kind, change.step, change.path) == (Kind.REMOVED, "TRANSFORM", "b")


def test_a_step_begun_twice_counts_as_it_was_last(database: Database) -> None:
    with database.begin() as work:
        first = executed(work, LOAD={"a": "1"})
        second = executions.begin(work)
        steps.begin(work, second, "LOAD", [of_text("a", "broken")])
        steps.begin(work, second, "LOAD", [of_text("a", "1")])
        assert changes.between(work, first, second) == []


def test_the_orchestrators_rows_are_compared_by_stem(database: Database) -> None:
    with database.begin() as work:
        old = executions.begin(work)
        step = steps.begin(work, old, "LOAD")
        for stem, content in (("kept", "1"), ("changed", "2"), ("gone", "3")):
            work.change(
                "insert into execution_step_model (execution_step_model_id, execution_step_id,"
                " model_name, checksum) values (:id, :step, :stem, :checksum)",
                id=new_guid(),
                step=step,
                stem=stem,
                checksum=of_text(stem, content).digest.hex(),
            )
        executions.end(work, old, Status.COMPLETED)
        new = executed(work, LOAD={"a/kept.sql": "1", "changed.sql": "22", "b/new.sql": "4"})
        found = changes.between(work, old, new)
    assert [(change.kind, change.path) for change in found] == [
        (Kind.ADDED, "b/new.sql"),
        (Kind.CHANGED, "changed.sql"),
        (Kind.REMOVED, "gone"),
    ]
    assert changes.names_to_run(found, "LOAD") == ["changed", "new"]


def test_the_old_output_is_about_stems(database: Database) -> None:
    with database.begin() as work:
        first = executed(work, LOAD={"a/x.sql": "1", "y.sql": "2", "z.sql": "3"})
        second = executed(work, LOAD={"b/x.csv": "1", "yy.sql": "2", "a/z.sql": "33", "z.sql": "3"})
        found = changes.between(work, first, second)
    assert changes.names_to_run(found, "LOAD") == ["yy", "z"]


def test_names_with_any_signs_come_back_as_they_were(database: Database) -> None:
    odd = ["tab\there", "line\nbreak", "back\\slash", "quote'\"", "%s :x", "\\N", "ä→🙂", " "]
    with database.begin() as work:
        first = executed(work, LOAD={})
        second = executed(work, LOAD=dict.fromkeys(odd, "x"))
        found = changes.between(work, first, second)
    assert sorted(change.path for change in found) == sorted(odd)
