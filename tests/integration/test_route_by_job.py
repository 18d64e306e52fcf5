"""Records that a data job sends with VDK's own ingestion: sound they pass, each wrong is named."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.errors import PlatformFailure, WaitFailure
from pytest_vdkprobe.journeys import route_job
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.integration.heartbeats import leftovers
from tests.integration.route_jobs import LIMIT_S, RECORDS, Ends, send
from tests.integration.running import Running
from tests.integration.shared_engines import SharedEngines


@pytest.fixture(scope="module")
def platform(engines: SharedEngines) -> Iterator[Sandbox]:
    """A sandbox whose jobs are run by the real vdk."""
    with Sandbox(
        executor="vdk", engines=engines.run, sink_topics=f"{engines.topic_prefix}to-"
    ) as made:
        yield made
    assert made.bugs == []


@pytest.fixture
def ends(platform: Sandbox, engines: SharedEngines, tmp_path: Path) -> Iterator[Ends]:
    yield Ends(platform, engines, tmp_path)
    platform.faults.clear()


@pytest.mark.parametrize(
    ("target", "reader", "profile"),
    [
        ("file", "file", "typed"),
        ("http", "postgres", "typed"),
        ("kafka", "kafka", "typed"),
        ("postgres", "postgres", "typed"),
        ("trino", "trino", "small"),
    ],
)
def test_every_record_arrives_by_vdks_own_plugin(
    target: str, reader: str, profile: str, ends: Ends
) -> None:
    into, out_of = getattr(ends, target)(), getattr(ends, reader)()
    if target == "kafka":
        into["create"] = True
    sent = send(ends, into, out_of, profile=profile)
    assert sent.finding is None, sent.finding
    assert sent.account is not None
    assert (sent.account.sent, sent.account.delivered) == (RECORDS, RECORDS)
    assert any(line.startswith("job ingest-route-1-") for line in sent.removed)
    assert len(sent.removed) == (1 if target == "file" else 2)
    assert not (ends.folder / f"{ends.name}.json").exists()


WAITED_FOR_S = 10.0
"""For what never comes."""
LOSE = "        return [found] if found['seq'] != 7 else []\n"
TWICE = "        return [found] * (1 + (found['seq'] == 7))\n"
ALTER = "        if found['seq'] == 7: found['amount'] = found['amount'][:-1]\n"
PLANTED = {
    "loses one": (LOSE, "Of 20 records: 1 lost.", "lost 1: record 7"),
    "doubles one": (TWICE, "Of 20 records: 1 duplicate.", "duplicate 1: record 7"),
    "alters one": (
        ALTER + "        return [found]\n",
        "Of 20 records: 1 corrupted.",
        "record 7, amount: sent Decimal('1E-10'), seen Decimal('0E-10')",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_what_a_job_does_to_a_record_is_named(fault: str, ends: Ends) -> None:
    bend, what, seen = PLANTED[fault]
    within_s = WAITED_FOR_S if "lost" in what else LIMIT_S
    sent = send(ends, ends.http(), ends.postgres(), bend=bend, within_s=within_s)
    assert isinstance(sent.finding, PlatformFailure)
    assert sent.finding.what == what
    assert seen in str(sent.finding)


def test_job_that_fails_half_way_is_told_with_its_cause_and_what_arrived(ends: Ends) -> None:
    bend = "        if found['seq'] == 10: raise ValueError('the source is dry')\n"
    sent = send(ends, ends.http(), ends.postgres(), bend=bend + "        return [found]\n")
    assert isinstance(sent.finding, PlatformFailure)
    assert sent.finding.what == (
        "The job that sends the records ended as user_error: ValueError: the source is dry."
    )
    assert (sent.told["delivered"], sent.told["unknown"]) == (10, 10)
    assert sent.told["records"] == {"unknown": "10-19"}
    assert Path(sent.told["ledger"]).exists()


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ("ingest-truncates", "Of 20 records: 1 corrupted."),
        ("ingest-duplicates", "Of 20 records: 1 duplicate."),
    ],
)
def test_lie_of_the_endpoint_is_seen_through_the_job(lie: str, told: str, ends: Ends) -> None:
    ends.platform.plant(lie, times=1, skip=3)
    sent = send(ends, ends.http(), ends.postgres())
    assert isinstance(sent.finding, PlatformFailure)
    assert sent.finding.what == told


def test_endpoint_that_refuses_is_the_cause_that_is_told(ends: Ends) -> None:
    ends.platform.plant("status", path="/sandbox/ingest", status=418)
    sent = send(ends, ends.http(), ends.postgres())
    assert sent.finding is not None
    assert "ended as user_error: Failed to sent payload" in sent.finding.what
    assert "status is 418" in sent.finding.what
    assert sent.told["unknown"] == RECORDS


def test_method_that_vdk_does_not_have_is_told_with_those_that_it_has(ends: Ends) -> None:
    sent = send(ends, ends.http(), ends.postgres(), method="pigeon")
    assert sent.finding is not None
    assert "Currently possible values are" in str(sent.finding)


@pytest.mark.parametrize(
    ("lie", "limit_s", "told"),
    [
        ("run-vanished", LIMIT_S, "which succeeded, that it sent all its records"),
        ("run-cancelled", LIMIT_S, "The job that sends the records ended as cancelled"),
        ("run-stuck-submitted", 4.0, "not within"),
        ("start-lost", 4.0, "not within"),
    ],
)
def test_job_that_does_not_run_is_the_platforms_failure(
    lie: str, limit_s: float, told: str, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_job, "SETTLES_S", 1.0)
    monkeypatch.setattr(route_job, "LAST_LOOK_S", 1.0)
    ends.platform.plant(lie)
    sent = send(ends, ends.http(), ends.postgres(), limit_s=limit_s)
    assert isinstance(sent.finding, PlatformFailure | WaitFailure)
    assert told in sent.finding.what
    assert sent.told["sent"] == RECORDS
    assert sent.told["lost"] == 0, "of what was perhaps never sent nothing is lost"


def test_deployment_that_never_comes_is_told_before_anything_is_sent(ends: Ends) -> None:
    ends.platform.plant("deploy-never")
    sent = send(ends, ends.http(), ends.postgres(), cleanup_s=8.0)
    assert isinstance(sent.finding, PlatformFailure | WaitFailure)
    assert "deployment of ingest-route-1-" in sent.finding.what
    assert sent.told == {}


def test_killed_run_leaves_what_the_next_one_removes(
    engines: SharedEngines, tmp_path: Path
) -> None:
    with Sandbox(engines=engines.run) as platform:
        ends = Ends(platform, engines, tmp_path)
        control = platform.configuration()["control"]
        assert isinstance(control, dict)
        reader = ends.postgres()
        path = tmp_path / "platform.toml"
        path.write_text(
            f'[control]\nurl = "{platform.url}"\nteam = "{platform.team}"\n'
            f'[run]\nlease_folder = "{tmp_path / "leases"}"\n'
            '[[routes]]\nname = "events"\nways = ["job"]\n'
            f"target = {toml(ends.http())}\nreader = {toml(reader)}\n"
        )
        platform.plant("hang", times=1, method="POST", path="/executions$", when="after")
        with Running(path, scenario="ingestion") as running:
            running.until_hit(platform, "hang")
            running.signal_all(signal.SIGKILL)
            running.end()
        left = leftovers(platform, tmp_path)
        assert sorted(name.partition("-")[0] for name in left if name.endswith(".json")) != []
        assert any(name.startswith("ingest-events-") for name in left)
        with Running(path, "--vdk-sweep", scenario="ingestion") as running:
            assert running.end() == 0, running.output
            assert "job ingest-events-" in running.output
            assert f"table {ends.name}" in running.output.replace('"', "")
        assert leftovers(platform, tmp_path) == []


def toml(table: dict[str, object]) -> str:
    """An inline table."""
    import json

    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + " }"
