"""What `vdkprobe pipeline configure-database` makes, from whatever it finds, again and again."""

from __future__ import annotations

import signal
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.connections.sql import quoted
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.pipeline import retention, schema
from pytest_vdkprobe.pipeline.rows import Rows
from pytest_vdkprobe.pipeline.settings import Role
from pytest_vdkprobe.waiting import Deadline
from tests.integration.pipelines import Bench, checks
from tests.integration.shared_engines import SharedEngines

BEFORE = """
create schema {s};
create table {s}.availability_monitor_config (amc_id serial primary key,
    amc_url_with_schema varchar(2000), amc_regexp varchar(200), amc_active boolean);
create table {s}.availability_monitor_metrics (amm_unix_timestamp bigint, amd_response_code int,
    amd_response_time real, amm_regexp_found boolean);
insert into {s}.availability_monitor_config (amc_url_with_schema, amc_regexp, amc_active)
    values ('http://www.example.com', '.*', true);
insert into {s}.availability_monitor_metrics values (1700000000, 200, 0.1, true);
"""
"""As seed 003's tables are: its columns are known, their types beside these are guessed."""


@pytest.fixture
def bench(engines: SharedEngines, tmp_path: Path) -> Iterator[Bench]:
    """A pipeline that is not configured yet."""
    made = Bench(engines, tmp_path)
    yield made
    made.close()


def test_from_nothing_and_again(bench: Bench) -> None:
    first = bench.run("configure-database")
    assert first.code == 0, first.err
    assert first.out.splitlines() == [
        f"schema {bench.name}: revision vdkp01, revision vdkp02",
        f"topic {bench.topic}: created, 3 partitions",
        f"topic {bench.topic}.dead: created, 1 partitions",
    ]
    number = bench.add_site("http://127.0.0.1/", ".*")
    again = bench.run("configure-database")
    assert again.code == 0, again.err
    assert f"schema {bench.name}: as it must be" in again.out
    assert f"topic {bench.topic}: as it must be, 3 partitions" in again.out
    assert bench.sql("select amc_id from {s}.availability_monitor_config") == [(number,)]


def test_the_tables_of_the_pipeline_before_are_taken_over(bench: Bench) -> None:
    bench.sql(BEFORE)
    bench.configure()
    bench.configure()
    assert bench.sql(
        "select amc_url_with_schema, amc_interval_s from {s}.availability_monitor_config"
    ) == [("http://www.example.com", None)]
    assert bench.sql(
        "select amm_unix_timestamp, amd_response_code from {s}.availability_monitor_metrics_before"
    ) == [(1700000000, 200)]
    assert bench.rows() == []
    assert bench.run("producers").out == "1\n"


def test_a_table_of_another_shape_is_left_alone(bench: Bench) -> None:
    bench.sql(
        "create schema {s}; create table {s}.availability_monitor_config (amc_id uuid, x int)"
    )
    done = bench.run("configure-database")
    assert done.code == 4
    assert "another shape; nothing was changed" in done.err
    assert "amc_id is uuid, and must be integer" in done.err
    assert "amc_url_with_schema is missing" in done.err
    assert len(bench.sql("select 1 from pg_tables where schemaname = ?", (bench.name,))) == 1


def test_partitions_of_a_topic_are_added_and_never_taken_away(bench: Bench) -> None:
    bench.more = ""
    bench.configure()
    text = bench.config.read_text()
    bench.config.write_text(text.replace("group =", "partitions = 5, group ="))
    assert f"topic {bench.topic}: now 5 partitions" in bench.configure()
    bench.config.write_text(text.replace("group =", "partitions = 2, group ="))
    assert any("5 partitions, 2 wanted" in line for line in bench.configure())


def test_a_dry_run_prints_sql_that_does_the_same(bench: Bench) -> None:
    bench.write(host='"nowhere.invalid"')
    done = bench.run("configure-database", "--dry-run")
    assert done.code == 0, done.err
    bench.sql(done.out.replace("begin;", "").replace("commit;", ""))
    bench.write()
    assert bench.configure()[0] == f"schema {bench.name}: as it must be"


def test_the_role_can_do_what_processes_do_and_nothing_else(bench: Bench) -> None:
    role = f"role_{bench.name}"
    bench.more = f'role = {{ name = "{role}", password = {{ env = "ROLE_PASSWORD" }} }}'
    bench.write()
    done = bench.run("configure-database", environ={"ROLE_PASSWORD": "a secret word"})
    assert done.code == 0, done.err
    assert "secret word" not in done.out + done.err
    try:
        bench.add_site("http://127.0.0.1/", None)
        bench.send(*checks(20))
        bench.user = role
        bench.write()
        assert bench.run("start-consumer", "--once").account["rows"] == 20
        assert bench.run("producers").out == "1\n"
        for statement in (
            "delete from {s}.availability_monitor_metrics",
            "select * from {s}.availability_monitor_metrics",
            "update {s}.availability_monitor_config set amc_active = false",
            "create table {s}.mine (x int)",
            "drop table {s}.availability_monitor_config",
        ):
            with pytest.raises(Exception, match=r"permission denied|must be owner"):
                bench.sql(f'set role "{role}"; {statement}')
        done = bench.run("retention", "--keep-days", "0")
        assert done.code == 6
        assert "may not do this" in done.err
    finally:
        bench.sql("reset role; drop schema if exists {s} cascade")
        bench.sql(f'drop owned by "{role}"; drop role "{role}"')


def test_several_may_configure_a_role_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.configure()
    monkeypatch.setenv("ROLE_PASSWORD", "secret word")
    at_once = Barrier(6)

    def grant(role: Role) -> None:
        database = PostgresDatabase(bench.settings.database)
        try:
            database.run("select 1", deadline=Deadline.after(60))
            at_once.wait(60)
            schema.grant(bench.settings, role, database, base_dir=bench.folder)
        finally:
            database.close()

    for number in range(4):
        role = Role(name=f"{bench.name}_{number}", password=SecretRef(env="ROLE_PASSWORD"))
        try:
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(grant, [role] * 6))
        finally:
            bench.sql(f"drop owned by {role.name}; drop role {role.name}")


@pytest.mark.parametrize(
    "name", ["it's $$ \"$body$; --", "50%s %(x)s :d ?", "größer 😀 \\n", "n" * 60]
)
def test_any_name_and_password_is_quoted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of schema and role; the session's other tests have the same server, so it ends as ours."""
    name = f"{bench.name[:3]}{name}"
    monkeypatch.setenv("ROLE_PASSWORD", f"$$ '\"@:/?%s é {name}")
    settings = bench.settings.but(
        database=msgspec.structs.replace(bench.settings.database, schema=name),
        role=Role(name=name, password=SecretRef(env="ROLE_PASSWORD")),
    )
    database = bench.database
    try:
        schema.configure(settings, database, base_dir=bench.folder)
        bench.sql(f"drop schema {quoted(name)} cascade")
        # What a dry run prints is for somebody's psql.
        bench.sql(schema.dry_run(settings).replace("begin;", "").replace("commit;", ""))
        (line, _) = schema.configure(settings, database, base_dir=bench.folder)
        assert line == f"schema {name}: as it must be"
        own = PostgresDatabase(msgspec.structs.replace(settings.database, user=name))
        now = [msgspec.structs.replace(one, unix_timestamp=time.time()) for one in checks(1)]
        wrote = own.do(lambda there: Rows(name).write(there, now), deadline=Deadline.after(60))
        own.close()
        assert wrote == 1
    finally:
        bench.sql(f"drop schema if exists {quoted(name)} cascade")
        bench.sql(f"drop owned by {quoted(name)}; drop role {quoted(name)}")


def test_a_million_rows_lie_in_partitions_and_old_ones_go_at_once(bench: Bench) -> None:
    bench.configure()
    bench.sql(
        "select {s}.ensure_metrics_partition((now() at time zone 'UTC')::date - day)"
        " from generate_series(0, 9) as day"
    )
    bench.sql(
        "insert into {s}.availability_monitor_metrics (amm_site, amm_checked_at,"
        " amm_unix_timestamp, amd_response_code, amd_response_time)"
        " select n % 100 + 1, at, extract(epoch from at), 200, 0.1 from (select n,"
        " date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'"
        " - (n % 10) * interval '1 day' + n * interval '10 ms' as at"
        " from generate_series(0, 999999) as n) as made"
    )
    bench.sql(
        "insert into {s}.availability_monitor_metrics (amm_site, amm_checked_at,"
        " amm_unix_timestamp, amd_response_time) values (1, '2001-01-01 00:00:00+00', 0, 1)"
    )
    planned = bench.run("retention", "--keep-days", "6", "--dry-run").out
    assert planned.count("drop table") == 3
    assert len(bench.sql("select 1 from {s}.availability_monitor_metrics")) == 1_000_001
    started = time.monotonic()
    dropped = retention.drop_old(bench.settings.database, bench.database, keep_days=6)
    took_s = time.monotonic() - started
    assert dropped == 3
    ((left,),) = bench.sql("select count(*) from {s}.availability_monitor_metrics")
    assert left == 700_000
    assert took_s < 30
    assert retention.drop_old(bench.settings.database, bench.database, keep_days=6) == 0
    # One day's rows are found by its partition alone.
    plan = bench.sql(
        "explain select count(*) from {s}.availability_monitor_metrics"
        " where amm_checked_at >= date_trunc('day', now())"
    )
    assert "_2" in str(plan)
    assert len({part for row in plan for part in str(row).split() if "metrics_2" in part}) <= 3


def test_retentions_at_once_beside_a_consumer_and_a_reader_all_succeed(bench: Bench) -> None:
    bench.configure()
    bench.sql(
        "select {s}.ensure_metrics_partition((now() at time zone 'UTC')::date - day)"
        " from generate_series(1, 60) as day"
    )
    now = time.time()
    sent = [
        msgspec.structs.replace(one, unix_timestamp=now + number)
        for number, one in enumerate(checks(2000))
    ]
    consumer = bench.start("start-consumer", "--duration", "300")
    reader = PostgresDatabase(bench.settings.database)
    try:
        with ThreadPoolExecutor(3) as pool:
            # It reads for longer than a retention waits for it at once.
            read = f'select pg_sleep(4), count(*) from "{bench.name}".availability_monitor_metrics'
            reading = pool.submit(reader.run, read, deadline=Deadline.after(120))
            runs = [pool.submit(bench.run, "retention", "--keep-days", "0") for _ in range(2)]
            for first in range(0, 2000, 100):
                bench.send(*sent[first : first + 100])
            ended = [run.result() for run in runs]
            reading.result()
        assert [one.code for one in ended] == [0, 0], [one.err for one in ended]
        assert sorted(int(one.out.split()[0]) for one in ended) == [0, 60]
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=60)
        assert consumer.returncode == 0
    finally:
        reader.close()
        consumer.kill()
        consumer.communicate()
    bench.run("start-consumer", "--once")
    assert len(bench.rows()) == 2000


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("select count(*) from {s}.availability_monitor_metrics", "due to lock timeout"),
        ("select pg_advisory_lock({key})", "Another retention of the schema"),
    ],
)
def test_what_holds_up_a_retention_for_too_long_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, held: str, said: str
) -> None:
    bench.configure()
    bench.sql("select {s}.ensure_metrics_partition((now() at time zone 'UTC')::date - 3)")
    monkeypatch.setattr(retention, "LOCK_WAIT", "100ms")
    settings = bench.settings.database
    key = zlib.crc32(f"vdkprobe retention {settings.schema}".encode())
    statement = held.replace("{s}", quoted(settings.schema)).replace("{key}", str(key))
    own = PostgresDatabase(settings)

    def run_beside(connection: Any) -> None:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            with monkeypatch.context() as patched:
                patched.setattr(retention, "LIMIT_S", 2.0)
                with pytest.raises(ProbeError, match=said):
                    retention.drop_old(settings, bench.database, keep_days=0)

    own.do(run_beside, deadline=Deadline.after(120))
    own.close()
    assert retention.drop_old(settings, bench.database, keep_days=0) == 1


def test_a_day_far_away_makes_no_partition(bench: Bench) -> None:
    bench.configure()
    for day in ("2001-01-01", "2099-01-01"):
        assert bench.sql("select {s}.ensure_metrics_partition(?::date)", (day,)) == [(False,)]


def test_wrong_credentials_and_places_are_told(bench: Bench) -> None:
    bench.user = "nobody_at_all"
    bench.write()
    done = bench.run("configure-database")
    assert done.code == 6
    assert "refuses our login" in done.err
    bench.user = bench.engines.postgres.user
    bench.write(servers='["127.0.0.1:1"]')
    done = bench.run("configure-database")
    assert done.code == 6
    assert "Kafka at 127.0.0.1:1 can't be reached" in done.err
    bench.write()
    done = bench.run("start-consumer", "--once")
    assert done.code == 4
    assert "Kafka has no topic" in done.err
    assert "configure-database CONFIG` creates it" in done.err
