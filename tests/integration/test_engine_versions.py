"""The versions of the engines behind a route are remembered, and a change of theirs is told."""

from __future__ import annotations

import json
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase
from pytest_vdkprobe.connections.versions import database_version
from tests.integration.running import Running
from tests.integration.shared_engines import SharedEngines
from tests.integration.test_history_commands import call_here

ROUTES = """
[[routes]]
name = "first"
records = 20
quiet_s = 0.1
target = {{ kind = "kafka", servers = ["{kafka}"], topic = "{prefix}-{{run}}", create = true }}
reader = {{ kind = "kafka", servers = ["{kafka}"], topic = "{prefix}-{{run}}", create = true }}

[[routes]]
name = "second"
records = 20
quiet_s = 0.1
target = {{ kind = "postgres", table = "v_{{run}}", create = true, {postgres} }}
reader = {{ kind = "postgres", table = "v_{{run}}", {postgres} }}

[[routes]]
name = "third"
records = 20
quiet_s = 0.1
target = {{ kind = "trino", table = "v_{{run}}", create = true, {trino} }}
reader = {{ kind = "trino", table = "v_{{run}}", {trino} }}
"""


@pytest.fixture
def configuration(engines: SharedEngines, tmp_path: Path) -> Path:
    postgres, trino = engines.postgres, engines.trino
    text = ROUTES.format(
        kafka=engines.kafka.endpoint,
        prefix=f"{engines.topic_prefix}{secrets.token_hex(4)}",
        postgres=f'host = "{postgres.host}", port = {postgres.port}, user = "{postgres.user}",'
        f' database = "{engines.database}"',
        trino=f'host = "{trino.host}", port = {trino.port}, user = "probe", catalog = "memory",'
        f' schema = "{engines.schema}"',
    )
    path = tmp_path / "platform.toml"
    path.write_text(text)
    return path


def test_versions_of_engines_are_kept_and_their_change_is_told(configuration: Path) -> None:
    file = configuration.parent / "history.db"
    options = (f"--vdk-history=sqlite:///{file}", "--vdk-compare")
    with Running(configuration, *options, scenario="ingestion") as running:
        assert running.end() == 0, running.output
    with closing(sqlite3.connect(file)) as connection, connection:
        ((text,),) = connection.execute("select versions from execution")
        versions = json.loads(text)
        assert versions["Kafka"].startswith("4.")
        assert versions["PostgreSQL"].startswith("18.")
        assert versions["Trino"] == "476"
        older = json.dumps(versions | {"Trino": "475", "PostgreSQL": "17.9"})
        connection.execute("update execution set versions = ?", (older,))
    with Running(configuration, *options, scenario="ingestion") as running:
        assert running.end() == 0, running.output
        told = [line for line in running.output.splitlines() if line.startswith("version ")]
    assert told == [
        f"version        PostgreSQL 17.9 -> {versions['PostgreSQL']}",
        "version        Trino 475 -> 476",
    ]
    said = call_here(f"sqlite:///{file}", "diff", folder=file.parent)
    assert [line.split() for line in said.out.splitlines()[-2:]] == [one.split() for one in told]
    said = call_here(f"sqlite:///{file}", "diff", "--json", folder=file.parent)
    assert json.loads(said.out)["versions"][-1] == "Trino 475 -> 476"


def test_a_server_that_does_not_answer_has_no_version() -> None:
    nowhere = PostgresConnection(host="127.0.0.1", port=9, user="probe", database="db")
    with closing(PostgresDatabase(nowhere)) as database:
        assert database_version(database) == {}
