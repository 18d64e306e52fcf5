"""The shipped templates do what the proof protocol says, run for real against a stand-in of vdk."""

from __future__ import annotations

import ast
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.jobs.template import load_template, shipped_templates
from tests.unit.jobs.job_input import OPEN, FakeJobInput, run_step, unpack

VALUES = {"run_id": "7f3a90c2", "revision": 2}
ARGUMENTS = {"run_id": "7f3a90c2", "nonce": "7f3a90c2-1-000042", "mode": "prove"}


@pytest.fixture(autouse=True)
def databases_are_closed() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture
def proof_folder(tmp_path: Path) -> Path:
    return unpack(load_template("proof").render(VALUES), tmp_path)


def run_proof(
    folder: Path, arguments: dict[str, Any] | None, properties: dict[str, Any] | None = None
) -> FakeJobInput:
    job_input = FakeJobInput(folder, arguments, properties)
    run_step(job_input, "10_proof.py")
    return job_input


def proof_of(job_input: FakeJobInput) -> dict[str, Any]:
    text = job_input.properties["vdkprobe_proof"]
    assert isinstance(text, str)
    decoded = json.loads(text)
    assert isinstance(decoded, dict)
    return decoded


def test_prove_writes_the_property(proof_folder: Path) -> None:
    proof = proof_of(run_proof(proof_folder, ARGUMENTS))
    assert datetime.fromisoformat(proof.pop("at")).utcoffset() is not None
    assert proof == {
        "run_id": "7f3a90c2",
        "nonce": "7f3a90c2-1-000042",
        "mode": "prove",
        "revision": 2,
        "arguments": ARGUMENTS,
    }


def test_prove_writes_the_marker_to_the_log_and_to_the_output(
    proof_folder: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = "vdkprobe-proof run_id=7f3a90c2 nonce=7f3a90c2-1-000042 mode=prove revision=2"
    with caplog.at_level(logging.INFO):
        run_proof(proof_folder, ARGUMENTS)
    assert marker in caplog.messages
    assert marker in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [None, {}], ids=["None", "empty"])
def test_a_scheduled_run_proves_by_its_values(
    proof_folder: Path, arguments: dict[str, Any] | None
) -> None:
    proof = proof_of(run_proof(proof_folder, arguments))
    assert (proof["run_id"], proof["nonce"]) == ("7f3a90c2", "scheduled")
    assert (proof["mode"], proof["revision"], proof["arguments"]) == ("prove", 2, {})


def test_other_properties_stay(proof_folder: Path) -> None:
    others = {"text": "x", "count": 3, "share": 0.5, "list": [1], "nothing": None}
    job_input = run_proof(proof_folder, ARGUMENTS, others)
    assert {name: job_input.properties[name] for name in others} == others


def test_a_bool_among_the_properties_does_not_prevent_the_proof(proof_folder: Path) -> None:
    job_input = run_proof(proof_folder, ARGUMENTS, {"flag": True})
    assert proof_of(job_input)["nonce"] == "7f3a90c2-1-000042"
    assert job_input.properties["flag"] == "true"


def test_fail_proves_and_raises_in_user_code(proof_folder: Path) -> None:
    job_input = FakeJobInput(proof_folder, ARGUMENTS | {"mode": "fail"})
    with pytest.raises(ValueError, match="asked to fail"):
        run_step(job_input, "10_proof.py")
    assert proof_of(job_input)["mode"] == "fail"


def test_an_unknown_mode_is_refused_after_proving(proof_folder: Path) -> None:
    job_input = FakeJobInput(proof_folder, ARGUMENTS | {"mode": "dance"})
    with pytest.raises(ValueError, match="prove, fail, hang"):
        run_step(job_input, "10_proof.py")
    assert proof_of(job_input)["mode"] == "dance"


def test_hang_proves_and_ends_by_its_bound(proof_folder: Path) -> None:
    started = time.monotonic()
    job_input = run_proof(proof_folder, ARGUMENTS | {"mode": "hang", "hang_s": 0.3})
    assert 0.2 < time.monotonic() - started < 20
    assert proof_of(job_input)["mode"] == "hang"


def test_hang_naps_so_briefly_that_it_can_be_interrupted(
    proof_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps = []
    own, real = threading.get_ident(), threading.Event.wait

    def wait(event: threading.Event, timeout: float) -> bool:
        if threading.get_ident() != own:
            return real(event, timeout)
        naps.append(timeout)
        if len(naps) == 3:
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(threading.Event, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        run_proof(proof_folder, ARGUMENTS | {"mode": "hang"})
    assert max(naps) <= 0.5


def test_arguments_that_are_not_json_still_prove(proof_folder: Path) -> None:
    proof = proof_of(run_proof(proof_folder, ARGUMENTS | {"path": Path("/x")}))
    assert proof["arguments"]["path"] == "/x"


@pytest.fixture
def sql_folder(tmp_path: Path) -> Path:
    return unpack(load_template("sql").render(VALUES), tmp_path)


@pytest.mark.parametrize("arguments", [None, ARGUMENTS], ids=["scheduled", "manual"])
def test_sql_writes_reads_back_drops_and_proves(
    sql_folder: Path, arguments: dict[str, Any] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    job_input = FakeJobInput(sql_folder, arguments)
    for step in load_template("sql").steps:
        run_step(job_input, step)
    assert proof_of(job_input)["run_id"] == "7f3a90c2"
    assert "rows=3" in capsys.readouterr().out
    assert job_input.execute_query("SELECT name FROM sqlite_master") == []


def test_sql_is_played_again_after_a_retry_in_the_middle(sql_folder: Path) -> None:
    job_input = FakeJobInput(sql_folder, ARGUMENTS)
    steps = load_template("sql").steps
    for step in [*steps[:3], *steps]:
        run_step(job_input, step)
    assert proof_of(job_input)["mode"] == "prove"


def test_sql_does_not_prove_when_a_row_is_missing(sql_folder: Path) -> None:
    job_input = FakeJobInput(sql_folder, ARGUMENTS)
    steps = load_template("sql").steps
    for step in steps[:3]:
        run_step(job_input, step)
    job_input.execute_query("DELETE FROM {vdkprobe_sql_table} WHERE seq = 2")
    with pytest.raises(RuntimeError, match="read back"):
        run_step(job_input, "30_read_back.py")
    assert "vdkprobe_proof" not in job_input.properties
    assert job_input.execute_query("SELECT name FROM sqlite_master") == []


@pytest.mark.parametrize("nonce", ["x'; DROP TABLE y; --", "", "x" * 65])
def test_sql_refuses_text_that_could_break_out(sql_folder: Path, nonce: str) -> None:
    with pytest.raises(ValueError, match="can't stand in SQL"):
        run_step(FakeJobInput(sql_folder, ARGUMENTS | {"nonce": nonce}), "05_prepare.py")


def test_sql_tables_of_two_executions_never_share_a_name(sql_folder: Path) -> None:
    tables = set()
    for nonce in ("a" * 64, "a" * 63 + "b", "short"):
        job_input = FakeJobInput(sql_folder, ARGUMENTS | {"nonce": nonce})
        run_step(job_input, "05_prepare.py")
        tables.add(job_input.properties["vdkprobe_sql_table"])
    assert len(tables) == 3
    assert max(map(len, tables)) <= 63


def test_sql_puts_its_table_where_its_values_say(tmp_path: Path) -> None:
    values = VALUES | {"table_prefix": "memory.Probe.hb"}
    folder = unpack(load_template("sql").render(values), tmp_path)
    job_input = FakeJobInput(folder, ARGUMENTS)
    with pytest.raises(Exception, match=r"unknown database|syntax error"):
        run_step(job_input, "05_prepare.py")
    table = job_input.properties["vdkprobe_sql_table"]
    assert table == "memory.Probe.hb_7f3a90c2_7f3a90c2_1_000042"


def test_both_templates_prove_with_the_same_step() -> None:
    proof = load_template("proof").files["10_proof.py"]
    assert load_template("sql").files["90_proof.py"] == proof


@pytest.mark.parametrize("name", shipped_templates())
def test_templates_need_nothing_but_an_old_python(name: str) -> None:
    """Real platforms run jobs on Python 3.7 and later, with nothing of ours installed."""
    for path, content in load_template(name).files.items():
        if not path.endswith(".py"):
            continue
        tree = ast.parse(content, feature_version=(3, 7))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {found.split(".")[0] for found in names} <= sys.stdlib_module_names


def test_steps_run_in_the_order_of_their_names() -> None:
    assert load_template("sql").steps == (
        "05_prepare.py",
        "10_create.sql",
        "20_insert.sql",
        "30_read_back.py",
        "90_proof.py",
    )
