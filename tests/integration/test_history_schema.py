"""The history's tables come from nothing or from the orchestrator's revisions, and go back."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.errors import ConfigError, Finding, LoginError, ProbeError, TransportError
from pytest_vdkprobe.history import ddl
from pytest_vdkprobe.history.schema import migrations, open_history
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import Database, open_database
from pytest_vdkprobe.store.versions import stamp, table_names
from tests.databases import own_database, sqlite_address
from tests.integration.shared_engines import SharedEngines

IDS = [revision.id for revision in ddl.REVISIONS]
SEED_IDS = IDS[:3]


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Address]:
    """Where there is nothing yet."""
    if request.param == "sqlite":
        yield sqlite_address(tmp_path)
        return
    engines: SharedEngines = request.getfixturevalue("engines")
    with own_database(engines) as url:
        yield Address.parse(url, source="the test")


def rows(address: Address, sql: str) -> list[Sequence[Any]]:
    database = open_database(address, schema=ddl.SCHEMA)
    try:
        with database.begin() as work:
            return work.rows(sql)
    finally:
        database.close()


def columns(address: Address) -> dict[str, list[str]]:
    """The columns of every table, in order."""
    database = open_database(address, schema=ddl.SCHEMA)
    try:
        with database.begin() as work:
            found = {}
            for table in sorted(table_names(work)):
                if work.dialect == "sqlite":
                    named = work.rows(f"select name from pragma_table_info('{table}')")
                else:
                    named = work.rows(
                        "select column_name from information_schema.columns where table_name ="
                        " :table and table_schema = current_schema() order by ordinal_position",
                        table=table,
                    )
                found[table] = [str(name) for (name,) in named]
            return found
    finally:
        database.close()


def test_tables_are_made_where_there_are_none(address: Address) -> None:
    open_history(address).close()
    assert migrations().current(address) == ddl.HEAD
    found = columns(address)
    assert {"execution", "execution_step", "execution_step_part", "execution_step_model"} < set(
        found
    )
    open_history(address).close()


def test_made_at_once_or_migrated_they_are_the_same(address: Address, tmp_path: Path) -> None:
    open_history(address).close()
    made = columns(address)
    migrations().downgrade(address, "base", discard=True)
    migrations().upgrade(address)
    assert columns(address) == made


def test_every_revision_can_be_reached_up_and_down(address: Address) -> None:
    ours = migrations()
    assert ours.upgrade(address) == IDS
    assert ours.upgrade(address) == []
    assert ours.downgrade(address, "-1") == [SEED_IDS[2]]
    assert ours.downgrade(address, SEED_IDS[0]) == [SEED_IDS[1], SEED_IDS[0]]
    assert ours.upgrade(address, "+1") == [SEED_IDS[1]]
    assert ours.current(address) == SEED_IDS[1]
    assert ours.upgrade(address) == IDS[2:]


def test_alembic_and_the_plain_statements_know_the_same_revisions() -> None:
    found = migrations().revisions()
    assert [one.id for one in found] == IDS
    assert [one.id for one in found if one.is_head] == [ddl.HEAD]


def test_dropping_everything_must_be_meant(address: Address) -> None:
    open_history(address).close()
    with pytest.raises(ConfigError, match="drops the history's tables"):
        migrations().downgrade(address, "base")
    assert migrations().current(address) == ddl.HEAD


@pytest.mark.parametrize("revision", ["nonsense", "-9"])
def test_a_revision_that_is_not_there_is_refused_with_those_that_are(
    address: Address, revision: str
) -> None:
    open_history(address).close()
    with pytest.raises(ConfigError, match="can't be reached") as caught:
        migrations().downgrade(address, revision)
    assert SEED_IDS[0] in str(caught.value)
    assert migrations().current(address) == ddl.HEAD


def test_a_newer_schema_is_refused_and_left_alone(address: Address) -> None:
    database = open_history(address)
    with database.begin() as work:
        stamp(work, ddl.ROOM, "vdkprobe_9999")
    database.close()
    for act in (open_history, migrations().upgrade):
        with pytest.raises(ConfigError, match=r"newer than this program.*vdkprobe_9999"):
            act(address)
    with pytest.raises(ConfigError, match="newer than this program"):
        migrations().downgrade(address, "-1")
    assert migrations().current(address) == "vdkprobe_9999"


def seed(address: Address, revision: str) -> dict[str, str]:
    """Tables as the orchestrator's own migrations leave them, with two executions in them."""
    ids = {name: str(uuid.uuid4()) for name in ("done", "open", "step", "model", "other")}
    database = open_database(address, schema=ddl.SCHEMA)
    with database.begin() as work:
        if work.dialect == "postgresql":
            work.change("create schema dpo")
            work.change("create table public.alembic_version (version_num varchar(32) not null)")
            work.change("insert into public.alembic_version values (:revision)", revision=revision)
        for one in ddl.REVISIONS[: IDS.index(revision) + 1]:
            for statement in ddl.statements(one.up, work.dialect):
                if "alembic_version" not in statement:
                    work.change(statement)
        if revision == SEED_IDS[2]:
            for name, status in (("done", "COMPLETED"), ("open", "IN_PROGRESS")):
                work.change(
                    "insert into execution (execution_id, status) values (:id, :status)",
                    id=ids[name],
                    status=status,
                )
            work.change(
                "insert into execution_step (execution_step_id, execution_id, step_name)"
                " values (:step, :done, 'LOAD')",
                step=ids["step"],
                done=ids["done"],
            )
            for name, model in (("model", "orders"), ("other", "people")):
                work.change(
                    "insert into execution_step_model (execution_step_model_id, execution_step_id,"
                    " model_name, checksum) values (:id, :step, :model, 'abc')",
                    id=ids[name],
                    step=ids["step"],
                    model=model,
                )
        else:
            executions, models = (
                ("execution", "execution_model")
                if revision == SEED_IDS[1]
                else ("data_pipeline_execution", "model_checksum")
            )
            for name, status in (("done", "COMPLETED"), ("open", "IN_PROGRESS")):
                work.change(
                    f"insert into {executions} (id, status, execution_time_ms)"
                    " values (:id, :status, 12)",
                    id=ids[name],
                    status=status,
                )
            for model in ("orders", "people"):
                work.change(
                    f"insert into {models} (execution_id, type, name, checksum)"
                    " values (:done, 'LOAD', :model, 'abc')",
                    done=ids["done"],
                    model=model,
                )
    database.close()
    return ids


@pytest.mark.parametrize("revision", SEED_IDS)
def test_the_orchestrators_tables_are_adopted_with_their_rows_and_given_back(
    address: Address, revision: str
) -> None:
    ids = seed(address, revision)
    before = columns(address)

    with pytest.raises(ConfigError, match=f"data-pipeline-orchestrator's, revision {revision}"):
        open_history(address)
    assert columns(address) == before
    assert migrations().current(address) == revision

    migrations().upgrade(address)
    executions = rows(address, "select execution_id, status, pipeline, kind from execution")
    assert {(str(one), *rest) for one, *rest in executions} == {
        (ids["done"], "COMPLETED", "default", "pipeline"),
        (ids["open"], "IN_PROGRESS", "default", "pipeline"),
    }
    models = (
        "select execution.execution_id, step_name, model_name, checksum, path from execution"
        " join execution_step on execution_step.execution_id = execution.execution_id"
        " join execution_step_model"
        "   on execution_step_model.execution_step_id = execution_step.execution_step_id"
        " order by model_name"
    )
    assert [(str(one), *rest) for one, *rest in rows(address, models)] == [
        (ids["done"], "LOAD", "orders", "abc", None),
        (ids["done"], "LOAD", "people", "abc", None),
    ]

    migrations().downgrade(address, revision)
    after = columns(address)
    assert after.pop("vdkprobe_history_version")
    assert {table: set(names) for table, names in after.items()} == {
        table: set(names) for table, names in before.items()
    }
    if address.dialect == "postgresql":
        kept = rows(address, "select version_num from public.alembic_version")
        assert [tuple(row) for row in kept] == [(revision,)]


def test_a_migration_that_fails_leaves_everything_as_it_was(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(address, SEED_IDS[0])
    before = columns(address)
    broken = ddl.Revision(ddl.OURS.id, (*ddl.OURS.up, "create table execution (id integer)"), ())
    monkeypatch.setattr(ddl, "OURS", broken)
    with pytest.raises(ProbeError, match="already exists"):
        migrations().upgrade(address)
    assert columns(address) == before
    assert migrations().current(address) == SEED_IDS[0]


def test_a_second_upgrade_waits_and_finds_nothing_to_do(address: Address) -> None:
    done: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: done.append(migrations().upgrade(address)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [[], [], IDS]


def test_the_statements_can_be_had_without_running_them(address: Address) -> None:
    text = migrations().sql(address.dialect, start=None, end="head")
    if address.dialect == "postgresql":
        from sqlalchemy import create_engine

        engine = create_engine(address.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(text.replace("%", "%%"))
        engine.dispose()
    else:
        import sqlite3

        assert address.file is not None
        connection_ = sqlite3.connect(address.file)
        connection_.executescript(text)
        connection_.close()
    assert migrations().current(address) == ddl.HEAD
    open_history(address).close()


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (
            lambda url: url.replace("@127.0.0.1", "@no-such-host.invalid"),
            TransportError,
            "host in the connection string in the test",
        ),
        (lambda url: url + "?sslmode=require", TransportError, "sslmode in the connection string"),
        (lambda url: url + "?sslmode=bogus", ConfigError, "invalid sslmode value"),
        (lambda url: url.rpartition("/")[0] + "/nowhere", ConfigError, "nowhere"),
        (lambda url: url.replace("://postgres@", "://nobody:hunter22@"), LoginError, "nobody"),
        (lambda url: url + "?nonsense=1", ConfigError, "nonsense"),
        (lambda url: url.replace("127.0.0.1:", "127.0.0.1:9"), Finding, "port"),
    ],
    ids=["host", "tls", "sslmode", "database", "login", "option", "port"],
)
def test_a_server_that_lets_nobody_in_is_told_in_words(
    engines: SharedEngines, change: Any, kind: type[Finding], said: str
) -> None:
    with own_database(engines) as url:
        with pytest.raises(kind) as caught:
            open_history(Address.parse(change(url), source="the test"))
        assert said in str(caught.value)
        assert "hunter22" not in str(caught.value)
        assert "database." not in str(caught.value)  # no setting of that name is anywhere


def test_odd_schema_names_are_quoted(engines: SharedEngines) -> None:
    with own_database(engines) as url:
        address = Address.parse(url, source="the test")
        odd = 'odd "name":x %s; drop schema public'
        database: Database = open_history(address, schema=odd)
        with database.begin() as work:
            assert work.rows("select current_schema()")[0][0] == odd
            assert work.rows("select count(*) from execution")[0][0] == 0


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but somebody's notes\n" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        open_history(Address.parse(f"sqlite:///{file}", source="the test"))
    assert file.read_text().startswith("not a database")
