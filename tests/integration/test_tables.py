"""Tables that data jobs move: sound they pass in every way, and each wrong is named at its move."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pytest_vdkprobe.cli.main import main
from tests.integration.children import run_pytest
from tests.integration.running import Running
from tests.integration.shared_engines import SharedEngines
from tests.integration.table_jobs import OPTIONS, Tables, platform

PLANT = """
def run(job_input):
    arguments = job_input.get_arguments()
    do, template = arguments["do"], arguments.get("template", {})
    run_query, run_template = job_input.execute_query, job_input.execute_template

    def remade(change):
        # Let the template run, then make its table anew from what it left.
        def execute_template(*given, **options):
            run_template(*given, **options)
            table = '"%s"."%s"' % (template["target_schema"], template["target_table"])
            other = table[:-1] + '_2"'
            columns = ['"%s"' % row[0].replace('"', '""') for row in run_query("describe " + table)]
            run_query("create table " + other + " as " + change(table, columns))
            run_query("drop table " + table)
            run_query("alter table " + other + " rename to " + table)
        job_input.execute_template = execute_template

    def with_a_real(table, columns):
        real = ["cast(%s as real) as %s" % (c, c) if "ratio" in c else c for c in columns]
        return "select " + ", ".join(real) + " from " + table

    def broken(*given, **options):
        raise RuntimeError("broken on purpose")

    if do == "python":
        job_input.execute_query = lambda sql: [
            [v.lower() if isinstance(v, str) else v for v in row] for row in run_query(sql)
        ]
    elif do == "sql":
        job_input.skip_remaining_steps()
    elif do == "insert":
        remade(lambda table, _: "select * from " + table + ' where "id" <> 3')
    elif do == "periodic_snapshot":
        remade(with_a_real)
    elif do == "scd1":
        job_input.execute_template = broken
    elif do == "scd1_upsert":
        again = ' union all select * from %s where "id" = 5'
        remade(lambda table, _: "select * from " + table + again % table)
"""
"""A fault for each move, of a job that says of all but one that it succeeded."""

TOLD = {
    "python": (
        "The job is said to have succeeded, but the table that python filled is wrong: 2 altered.",
        "row 5 of batch 'come', column 'größe \"m\"': 'größe москва",
    ),
    "sql": ("the table that sql filled is wrong: 12 missing.", "row 1 of batch"),
    "insert": ("insert filled is wrong: 1 missing.", "row 3 of batch 'come' is missing"),
    "periodic_snapshot": (
        "periodic_snapshot filled is wrong: its columns are not those that it was made with",
        'column "it\'s a ratio" is real, made as double',
    ),
    "scd1": ("The execution ended as user_error, not as succeeded.", "broken on purpose"),
    "scd1_upsert": (
        "scd1_upsert filled is wrong: 1 duplicate.",
        "row 5 of batch 'come' is there 2 times",
    ),
}
"""What the move that it hits must say: in its headline, and of what was seen."""


@pytest.fixture
def tables(engines: SharedEngines, tmp_path: Path) -> Tables:
    return Tables(engines, tmp_path)


@pytest.mark.parametrize(("kind", "steps"), [("trino", 11), ("postgres", 7)])
def test_all_moves_of_a_sound_platform_pass_and_nothing_is_left(
    kind: str, steps: int, tables: Tables
) -> None:
    with platform() as sound:
        heard = tables.run(kind, platform=sound)
    assert heard.exit_code == 0, heard.output
    assert set(heard.verdicts.values()) == {"pass"}
    assert len(heard.verdicts) == steps
    assert tables.leases() == []
    assert tables.found() == []


def test_each_fault_turns_its_own_move_red_and_says_what_is_wrong(tables: Tables) -> None:
    with platform(PLANT) as faulty:
        heard = tables.run("trino", platform=faulty)
    assert heard.exit_code == 1, heard.output
    bad = {name for name, verdict in heard.verdicts.items() if verdict != "pass"}
    assert bad == {f"move[{move}]" for move in TOLD}, heard.output
    for move, (what, seen) in TOLD.items():
        finding = heard.steps[f"move[{move}]"]["finding"]
        assert what in finding["what"], heard.output
        assert seen in finding["seen"], finding["seen"]
    assert tables.leases() == []
    assert tables.found() == []


LOSES = """
def run(job_input):
    send = job_input.send_tabular_data_for_ingestion
    job_input.send_tabular_data_for_ingestion = lambda rows, **more: send(rows[:-1], **more)
"""


def test_row_that_ingestion_loses_turns_the_filling_red(tables: Tables) -> None:
    with platform(LOSES) as faulty:
        heard = tables.run("trino", platform=faulty, moves=["sql"])
    assert heard.exit_code == 1, heard.output
    assert heard.first_bad == ("fill", "fail")
    assert "1 missing" in heard.steps["fill"]["finding"]["what"]
    assert heard.verdicts["move[sql]"] == "blocked"
    assert tables.found() == []


@pytest.mark.parametrize("kind", ["postgres", "trino"])
def test_without_a_control_service_the_probe_moves_and_says_so(kind: str, tables: Tables) -> None:
    heard = tables.run(kind)
    assert heard.exit_code == 0, heard.output
    assert [name for name in heard.verdicts if name.startswith("move")] == [
        "move[python]",
        "move[sql]",
    ]
    assert "shows nothing of VDK" in heard.steps["prepare"]["evidence"][0]
    assert tables.leases() == []
    assert tables.found() == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("word = lower(new.word)", "does not hold what was ingested: 1 altered"),
        ("amount = replace(new.amount, '.', ',')", "holds a value that was never written"),
    ],
    ids=["case", "decimals"],
)
def test_text_that_the_database_changes_turns_the_filling_red(
    change: str, what: str, tables: Tables
) -> None:
    tables.sql(
        "create function bend() returns trigger language plpgsql as $$ begin "
        f"new.{change}; return new; end $$"
    )
    tables.sql(
        "create function bent() returns event_trigger language plpgsql as $$ "
        "declare made record; begin for made in select * from pg_event_trigger_ddl_commands() "
        "where object_identity like '%vdkprobe%_source' loop execute format('create trigger bend "
        "before insert on %s for each row execute function bend()', made.object_identity); "
        "end loop; end $$"
    )
    tables.sql(
        "create event trigger bent on ddl_command_end when tag in ('CREATE TABLE') "
        "execute function bent()"
    )
    try:
        heard = tables.run("postgres", moves=["sql"])
    finally:
        tables.sql("drop event trigger bent; drop function bent(); drop function bend()")
    assert heard.first_bad == ("fill", "fail"), heard.output
    assert what in heard.steps["fill"]["finding"]["what"]


def test_table_that_stays_turns_the_dropping_red(tables: Tables) -> None:
    """PostgreSQL itself makes a table anew once it is dropped, as a lazy metastore seems to."""
    tables.sql(
        "create function come_back() returns event_trigger language plpgsql as $$ begin "
        "if exists (select from pg_event_trigger_dropped_objects() "
        "where object_type = 'table' and object_name like 'vdkprobe%_source') then "
        "execute (select format('create table %I (a int)', object_name) "
        "from pg_event_trigger_dropped_objects() where object_type = 'table'); end if; end $$"
    )
    tables.sql("create event trigger come_back on sql_drop execute function come_back()")
    try:
        heard = tables.run("postgres", moves=["sql"])
    finally:
        tables.sql("drop event trigger come_back; drop function come_back()")
    assert heard.exit_code == 1, heard.output
    assert heard.first_bad == ("drop", "fail")
    assert "_source gone: not within" in heard.steps["drop"]["finding"]["what"]
    (left,) = tables.found()
    assert left in heard.steps["drop"]["finding"]["what"]
    tables.sql(f'drop table "{left}"')


def test_next_run_removes_what_a_killed_one_left(tables: Tables) -> None:
    """The table of a move has lost its comment, as templates make it do; a stranger's stays."""
    path = tables.write("postgres", moves=["sql"])
    hook = "import os, signal\ndef pytest_vdkprobe_step_finished(config, step):\n"
    hook += "    if step['step'] == 'move[sql]':\n        os.kill(os.getpid(), signal.SIGKILL)\n"
    conftest = tables.folder / "conftest.py"
    conftest.write_text(hook)
    run_pytest(path, *OPTIONS)
    conftest.unlink()
    left = tables.found()
    assert len(left) == len(tables.leases()) == 3
    moved = next(name for name in left if "_sql" in name).replace('"', '""')
    tables.sql(f'comment on table "{moved}" is null')
    tables.sql("create table vdkprobe_mine (a int)")
    try:
        heard = run_pytest(path, *OPTIONS)
        assert heard.exit_code == 0, heard.output
        assert "of an earlier run: table" in heard.steps["create"]["evidence"][0]
        assert tables.found() == ["vdkprobe_mine"]
        assert tables.leases() == []
    finally:
        tables.sql("drop table vdkprobe_mine")


def test_check_tells_a_database_without_the_schema(
    tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {}
    for kind in ("postgres", "trino"):
        assert main(["check", "--connect", str(tables.write(kind))]) == 0
        assert f"ok     {kind}: " in capsys.readouterr().out
        path = tables.write(kind, database={**tables.place(kind), "schema": "nowhere"})
        said[kind] = main(["check", "--connect", str(path)])
        assert "has no schema nowhere" in capsys.readouterr().out
    assert said == {"postgres": 4, "trino": 4}


def test_plan_names_every_table_and_makes_none(tables: Tables) -> None:
    heard = run_pytest(tables.write("postgres"), *OPTIONS, "--vdk-plan")
    for role in ("source", "view", "python", "sql"):
        assert f"_postgres_{role}" in heard.output
    assert tables.found() == []


INI = """[DEFAULT]
CONTROL_API_URL={url}
JOB_TEAM=sandbox
JOB_RUN_TEST_CLASS_NAME=TrinoDatabaseRunTest
DB_DEFAULT_TYPE=TRINO
DATABASE_HOST={host}
DATABASE_PORT={port}
DATABASE_USER=heartbeat
DATABASE_USE_SSL=no
DATABASE_TEST_DB=memory.{schema}
DATABASE_TEST_TABLE_SOURCE=src
DATABASE_TEST_TABLE_DESTINATION=dst
CHECK_TEMPLATE_EXECUTION=no
"""


def test_an_ini_of_vdk_heartbeat_moves_tables_in_its_trino(tables: Tables) -> None:
    at = tables.engines.trino
    with platform() as sound:
        path = tables.folder / "heartbeat.ini"
        where = {"host": at.host, "port": at.port, "schema": tables.engines.schema}
        path.write_text(INI.format(url=sound.url, **where))
        heard = run_pytest(path, *OPTIONS)
    assert heard.exit_code == 0, heard.output
    assert list(heard.verdicts) == [
        *("create", "prepare", "fill", "move[python]", "move[sql]", "drop", "delete")
    ]
    assert f"memory.{tables.engines.schema}.src_" in heard.steps["create"]["evidence"][0]
    assert tables.found() == []


HANGS = """
import threading
def run(job_input):
    threading.Event().wait(600)
"""


def test_stopped_run_leaves_neither_tables_nor_job(tables: Tables) -> None:
    with platform(HANGS) as hanging:
        path = tables.write("postgres", platform=hanging)
        with Running(path, scenario="tables") as running:
            running.until("a job that hangs", lambda: "running" in tables.statuses(hanging))
            assert len(tables.found()) == 4
            running.signal(signal.SIGINT)
            assert running.end() == pytest.ExitCode.INTERRUPTED, running.output
        assert tables.statuses(hanging) == []
    assert tables.found() == []
    assert tables.leases() == []
