"""The job that sends a route's records, run with a stand-in of vdk: each once and unchanged."""

from __future__ import annotations

import ast
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.accounting import payloads
from pytest_vdkprobe.accounting.outcomes import Outcome
from pytest_vdkprobe.accounting.profiles import PROFILES
from pytest_vdkprobe.connections.files import encode
from pytest_vdkprobe.jobs.template import INGESTION, load_template
from pytest_vdkprobe.readers.returned import ReturnedFileReader
from pytest_vdkprobe.records import wire_json
from pytest_vdkprobe.routes.passage import Passage
from pytest_vdkprobe.routes.settings import End, RouteSettings
from pytest_vdkprobe.waiting import Deadline
from tests.unit.jobs.job_input import OPEN, FakeJobInput, run_step, unpack
from tests.unit.routes.ends import ACKNOWLEDGED, Pipe

STEP = "10_ingest.py"
CLOCKS_US = 2000
"""What the wall clock and the one that waits may drift apart meanwhile."""
ARGUMENTS: dict[str, Any] = {
    "run_id": "0123abcd",
    "nonce": "0123abcd-1-000001",
    "profile": "typed",
    "first": 0,
    "count": 20,
    "rate_per_s": 1000.0,
    "method": "http",
    "target": "http://127.0.0.1/ingest",
    "table": "events",
    "read_back": False,
    "kafka": {},
}


class Ingesting(FakeJobInput):
    """Takes records for ingestion; `wrong` may change what comes of one."""

    def __init__(self, folder: Path, arguments: dict[str, Any]) -> None:
        super().__init__(folder, arguments)
        self.records: list[dict[str, Any]] = []
        self.ways: list[str] = []
        self.places: list[dict[str, Any]] = []

    def get_temporary_write_directory(self) -> Path:
        return self.folder

    def send_object_for_ingestion(self, payload: dict[str, Any], **place: Any) -> None:
        self._take([payload], "object", place)

    def send_tabular_data_for_ingestion(
        self, rows: list[list[Any]], column_names: list[str], **place: Any
    ) -> None:
        self._take([dict(zip(column_names, row, strict=True)) for row in rows], "tabular", place)

    def _take(self, found: list[dict[str, Any]], way: str, place: dict[str, Any]) -> None:
        self.records += found
        self.ways += [way] * len(found)
        self.places.append(place)
        if place["method"] == "file":
            with Path(place["target"] + ".json").open("ab") as file:
                file.writelines(encode(each, "vdk") for each in found)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    template = load_template(INGESTION, team="platform")
    folder = unpack(template.render({"run_id": "0123abcd"}), tmp_path / "job")
    folder.joinpath("vdkprobe_payloads.py").write_bytes(Path(payloads.__file__).read_bytes())
    monkeypatch.syspath_prepend(str(folder))

    def make(**arguments: Any) -> Ingesting:
        return Ingesting(folder, {**ARGUMENTS, **arguments})

    yield make
    sys.modules.pop("vdkprobe_payloads", None)
    while OPEN:
        OPEN.pop().close()


def proof(job_input: FakeJobInput) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(job_input.properties["vdkprobe_proof"])
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_records_are_those_that_the_probe_would_send(job: Any, profile: str) -> None:
    job_input = job(profile=profile)
    run_step(job_input, STEP)
    started_us = proof(job_input)["started_us"]
    made = [
        wire_json(
            PROFILES[profile].make("0123abcd", seq, sent_at_us=started_us + round(seq * 1000))
        )
        for seq in range(20)
    ]
    assert job_input.records == made
    assert proof(job_input)["handed"] == 20


def test_half_of_them_go_as_objects_and_half_as_rows(job: Any) -> None:
    job_input = job(count=120, profile="small")
    run_step(job_input, STEP)
    assert job_input.ways == ["object"] * 50 + ["tabular"] * 50 + ["object"] * 20
    place = {
        "method": "http",
        "target": "http://127.0.0.1/ingest",
        "destination_table": "events",
    }
    assert all(found == place for found in job_input.places)


@pytest.mark.parametrize("rate_per_s", [20.0, 400.0])
def test_no_record_goes_before_its_time(job: Any, rate_per_s: float) -> None:
    job_input = job(count=8 if rate_per_s == 20 else 120, profile="small", rate_per_s=rate_per_s)
    went: list[int] = []
    take = job_input._take

    def timed(found: list[dict[str, Any]], way: str, place: dict[str, Any]) -> None:
        went.extend([time.time_ns() // 1000] * len(found))
        take(found, way, place)

    job_input._take = timed
    run_step(job_input, STEP)
    early = [
        record["seq"]
        for record, at_us in zip(job_input.records, went, strict=True)
        if at_us < record["sent_at_us"] - CLOCKS_US
    ]
    assert early == []
    assert {"object", "tabular"} == {*job_input.ways}


def test_an_execution_that_is_started_again_sends_nothing(job: Any) -> None:
    job_input = job()
    run_step(job_input, STEP)
    sent = len(job_input.records)
    with pytest.raises(RuntimeError, match="has begun to send before"):
        run_step(job_input, STEP)
    assert len(job_input.records) == sent


def test_when_it_began_is_told_before_the_first_record(job: Any) -> None:
    job_input = job()

    def refuse(*_args: Any, **_place: Any) -> None:
        assert "started_us" in proof(job_input)
        raise RuntimeError("no more")

    job_input.send_object_for_ingestion = refuse
    with pytest.raises(RuntimeError, match="no more"):
        run_step(job_input, STEP)
    assert "handed" not in proof(job_input)


def test_trino_is_given_no_nulls_and_postgres_texts_for_floats(job: Any) -> None:
    job_input = job(method="trino")
    run_step(job_input, STEP)
    assert all(None not in record.values() for record in job_input.records)
    assert all("nothing" not in record for record in job_input.records)
    again = job(method="postgres", nonce="another")
    run_step(again, STEP)
    assert again.records[3]["special"] == "-0.0"
    assert json.loads(again.records[3]["nested"]) == job_input.records[3]["nested"]


def test_the_file_that_is_handed_back_is_accounted_for_like_one_of_ours(
    job: Any, tmp_path: Path
) -> None:
    job_input = job(method="file", read_back=True, target="elsewhere")
    run_step(job_input, STEP)
    end = End("file")
    reader = ReturnedFileReader()
    with Passage(
        RouteSettings(name="r", target=end, reader=end, records=20, quiet_s=0.0),
        PROFILES["typed"],
        way="job",
        run_id="0123abcd",
        target=Pipe(),
        reader=reader,
        ledger_path=tmp_path / "r.ledger",
    ) as passage:
        passage.entrust()
        passage.begun(proof(job_input)["started_us"])
        assert passage.look(deadline=Deadline.after(5)).unknown == 20
        reader.give(job_input.properties["vdkprobe_file"], checked="the property")
        passage.settle(ACKNOWLEDGED)
        account = passage.reconcile(deadline=Deadline.after(5))
        account.require(reordered=0)
        assert account.delivered == 20
        assert account.observation.latency is not None
        passage.remove()


def test_template_needs_nothing_but_an_old_python_and_what_it_brings() -> None:
    known = {*sys.stdlib_module_names, "vdkprobe_payloads", "kafka_ingestion", "kafka", "vdk"}
    for path, content in load_template(INGESTION).files.items():
        for node in ast.walk(ast.parse(content, path, feature_version=(3, 7))):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= known
            elif isinstance(node, ast.ImportFrom):
                assert str(node.module).partition(".")[0] in known


def test_outcome_of_a_failed_job_leaves_its_reason(tmp_path: Path) -> None:
    from pytest_vdkprobe.accounting.outcomes import SendResult

    end = End("pipe")
    with Passage(
        RouteSettings(name="r", target=end, reader=end, records=5),
        PROFILES["small"],
        way="job",
        run_id="0123abcd",
        target=Pipe(),
        reader=Pipe(),
        ledger_path=tmp_path / "r.ledger",
    ) as passage:
        passage.entrust()
        passage.settle(SendResult(Outcome.UNKNOWN, "its job failed"))
        account = passage.look(deadline=Deadline.after(5))
        assert "unknown 5: record 0-4 (its job failed)" in account.explain()
        assert passage.progress == "sent 5, acknowledged 0, seen 0, in flight 5"
