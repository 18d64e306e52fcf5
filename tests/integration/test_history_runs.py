"""Runs written down and looked back at, in SQLite and in a real PostgreSQL."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pytest_vdkprobe.history import recorder, runs
from pytest_vdkprobe.history.comparison import Comparison
from pytest_vdkprobe.history.files import of_text
from pytest_vdkprobe.history.looking_back import look_back
from pytest_vdkprobe.history.recorder import Recorder
from pytest_vdkprobe.history.runs import read_good_journeys
from pytest_vdkprobe.history.schema import open_history
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.moments import moment
from tests.databases import own_database, sqlite_address
from tests.integration.shared_engines import SharedEngines
from tests.unit.history.test_recorder import require_nothing_loaded

PIPELINE = "control.example.org/platform"
JOURNEY = "heartbeat[hello-platform]"
STEPS = ("create", "run", "delete")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy."""
    monkeypatch.setattr(recorder, "PATIENCE_S", 60.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Address]:
    """A history that is not there yet."""
    if request.param == "sqlite":
        yield sqlite_address(tmp_path)
        return
    engines: SharedEngines = request.getfixturevalue("engines")
    with own_database(engines) as url:
        yield Address.parse(url, source="the test")


def remember(
    address: Address,
    durations: dict[str, float],
    *,
    code: str = "1",
    bad: str = "",
    keep: int = 99,
    steps: tuple[str, ...] = STEPS,
    evidence: str = "",
) -> str:
    """A run of one journey, or of some of its steps; its execution's id."""
    recorder = Recorder(address, run_id=secrets.token_hex(4), pipeline=PIPELINE, keep=keep)
    recorder.start()
    recorder.wait_open()
    recorder.write("begin", holder="{}", abandon_after_s=60, versions={"python": "3.11"})
    for step in steps:
        recorder.write(
            "add",
            journey=JOURNEY,
            name=step,
            verdict="fail" if step == bad else "pass",
            duration_s=durations[step],
            evidence=evidence,
            consists_of=[of_text("scenario/test_mine.py", code)] if step == "create" else [],
        )
    verdict = "fail" if bad else "pass"
    recorder.write(
        "finish",
        good=not bad,
        verdict=verdict,
        note="",
        verdicts={JOURNEY: verdict},
        accounts={JOURNEY: {"run": {"sent": 1}}},
        versions={"python": "3.11", "control-service": code},
        consists_of=[of_text("platform/control-service", code)],
    )
    recorder.close()
    assert recorder.trouble is None, recorder.trouble
    return recorder.execution_id


def looked_back(address: Address, execution_id: str, wanted: str = "last") -> Comparison:
    with closing(open_history(address)) as database, database.begin() as work:
        known = look_back(work, execution_id, pipeline=PIPELINE, wanted=wanted, first_words={})
    return known.compare()


def test_a_step_that_became_slower_is_found_among_others(address: Address) -> None:
    dice = random.Random(8)
    last = ""
    for number in range(26):
        slow = 1.5 if number >= 20 else 1.0
        durations = {step: dice.gauss(0.5, 0.02) for step in STEPS}
        last = remember(address, durations | {"run": slow * dice.gauss(2.0, 0.1)})
    found = looked_back(address, last)
    assert set(found.shifts) == {(JOURNEY, "run")}
    (line,) = found.lines()
    assert line.startswith(f"slower         {JOURNEY}::run: ")
    assert " in the last 7 runs, " in line
    assert "without cause in one of " in line


def test_what_changed_and_what_fails_since_the_last_good_run(address: Address) -> None:
    usual = dict.fromkeys(STEPS, 0.5)
    good = remember(address, usual)
    remember(address, usual, bad="run")
    last = remember(address, usual, bad="run", code="2")
    found = looked_back(address, last)
    assert found.base is not None
    assert found.base.execution_id == good
    assert list(found.failing) == [(JOURNEY, "run")]
    assert found.models == {JOURNEY: ["scenario/test_mine.py changed"]}
    assert found.versions == ["control-service 1 -> 2"]
    with closing(open_history(address)) as database, database.begin() as work:
        past = read_good_journeys(work, PIPELINE)[JOURNEY]
    assert past.run.execution_id == good
    assert past.passed == set(STEPS)
    assert set(past.models) == {"scenario/test_mine.py", "platform/control-service"}
    assert past.bad_since is not None


def test_a_good_run_of_a_few_steps_says_nothing_of_the_others(address: Address) -> None:
    usual = dict.fromkeys(STEPS, 0.5)
    good = remember(address, usual)
    remember(address, usual, steps=("create",))
    found = looked_back(address, remember(address, usual, bad="run"))
    assert found.base is not None
    assert found.base.execution_id == good
    assert list(found.failing) == [(JOURNEY, "run")]
    assert found.added == []


def test_the_last_good_run_may_be_long_ago(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs.read_runs, "__kwdefaults__", {"but": "", "most": 2})
    usual = dict.fromkeys(STEPS, 0.5)
    good = remember(address, usual)
    for _ in range(2):
        remember(address, usual, bad="run")
    found = looked_back(address, remember(address, usual, bad="run"))
    assert found.base is not None
    assert found.base.execution_id == good
    assert list(found.failing) == [(JOURNEY, "run")]
    assert found.added == []


def test_what_no_database_takes_as_text_does_not_end_the_history(address: Address) -> None:
    last = remember(address, dict.fromkeys(STEPS, 0.5), evidence="it said \0 and \ud800")
    with closing(open_history(address)) as database, database.begin() as work:
        rows = work.rows("select distinct evidence from execution_step_part")
    assert rows[0][0] == "it said \\0 and \\ud800"
    assert looked_back(address, last).base is None


def test_the_last_good_run_is_never_pruned(address: Address) -> None:
    usual = dict.fromkeys(STEPS, 0.5)
    good = remember(address, usual)
    for _ in range(3):
        remember(address, usual, bad="run", keep=2)
    with closing(open_history(address)) as database, database.begin() as work:
        rows = work.rows("select execution_id, status, created_on from execution order by 3")
    assert [str(rows[0][0]), rows[0][1]] == [good, "COMPLETED"]
    assert [row[1] for row in rows[1:]] == ["FAILED", "FAILED"]
    assert moment(rows[0][2]).tzinfo is not None


def test_runs_of_another_platform_are_not_looked_at(address: Address) -> None:
    usual = dict.fromkeys(STEPS, 0.5)
    remember(address, usual)
    with closing(open_history(address)) as database, database.begin() as work:
        assert read_good_journeys(work, "another") == {}


def test_the_thread_that_writes_loads_no_module_of_ours(engines: SharedEngines) -> None:
    with own_database(engines) as url:
        require_nothing_loaded(url)
