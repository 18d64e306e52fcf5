"""`vdkprobe check --connect` tells which end of which route would fail, and creates nothing."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.cli.check import _connect_each
from pytest_vdkprobe.config import load
from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase
from pytest_vdkprobe.connections.sql import Name
from pytest_vdkprobe.connections.tables import OwnTable
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.routes.trial import trials
from tests.integration.shared_engines import SharedEngines


def inline(table: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + "}"


def route(folder: Path, target: dict[str, Any], reader: dict[str, Any]) -> Path:
    path = folder / "platform.toml"
    lines = ["[[routes]]", 'name = "r"', f"target = {inline(target)}", f"reader = {inline(reader)}"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def seen(path: Path) -> list[str]:
    """What each end says: what was seen, or the finding."""
    said = []
    for _, attempt in trials(load(str(path))):
        try:
            said.append(attempt())
        except ProbeError as problem:
            said.append(f"{type(problem).__name__} {problem}")
    return said


@pytest.fixture
def postgres(engines: SharedEngines) -> dict[str, Any]:
    address = engines.postgres
    place = {"host": address.host, "port": address.port, "user": address.user}
    name = f"t{secrets.token_hex(4)}"
    return {"kind": "postgres", "database": engines.database, "table": name, **place}


def test_a_table_is_looked_for_and_its_columns_are(
    postgres: dict[str, Any], tmp_path: Path
) -> None:
    path = route(tmp_path, postgres, postgres)
    assert all("has no table" in said for said in seen(path))
    where = {key: postgres[key] for key in ("host", "port", "user", "database")}
    database = PostgresDatabase(PostgresConnection(**where))
    table = OwnTable(database, Name.of(postgres["table"]), create=True, leases=None, key="target")
    try:
        table.ensure(profile("small").columns, writing=True)
        assert [said.partition(" has ")[2] for said in seen(path)] == [
            f"the table {postgres['table']}"
        ] * 2
        path.write_text(path.read_text() + 'profiles = ["typed"]\n')
        assert all("has other columns" in said for said in seen(path))
    finally:
        table.remove()
        database.close()


def test_what_a_run_would_create_is_not_looked_for(
    postgres: dict[str, Any], engines: SharedEngines, tmp_path: Path
) -> None:
    topic = {"kind": "kafka", "servers": [engines.kafka.endpoint], "topic": "never-made"}
    path = route(tmp_path, {**topic, "create": True}, topic)
    assert seen(path) == [f"Kafka at {engines.kafka.endpoint} answers"] * 2
    path = route(tmp_path, {**postgres, "create": True}, postgres)
    assert all(said.endswith("answers") for said in seen(path))
    assert all("has no topic never-made" in said for said in seen(route(tmp_path, topic, topic)))


def test_the_first_end_that_fails_decides_and_the_others_are_told(
    postgres: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = {**postgres, "port": 1}
    code = _connect_each("ends", trials(load(str(route(tmp_path, closed, postgres)))))
    told = capsys.readouterr().out
    assert code == 6
    assert "r, target:" in told
    assert "r, reader:" in told
    assert f"{postgres['host']}:1" in told
    assert "has no table" in told
