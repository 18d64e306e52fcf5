"""What goes into the sandbox comes out of real engines, typed and exact; or wrong, if asked."""

from __future__ import annotations

import gc
import itertools
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
import requests

from pytest_vdkprobe.sandbox.engines.addresses import Address
from pytest_vdkprobe.sandbox.ingestion.topics import load_driver
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.ingesting import LIMIT_S, PROBE, Ingested, named, probe_rows
from tests.integration.shared_engines import SharedEngines

TYPED = (
    "id bigint, amount decimal(38,10), ratio double precision, flag boolean, day date,"
    " at_time timestamp(6), instant timestamp(6) with time zone, words varchar, nested json"
)
TYPED_ROW: dict[str, Any] = {
    "id": 2**63 - 1,
    "amount": "-1234567890123456789012345678.0123456789",
    "ratio": 5e-324,
    "flag": True,
    "day": "2026-03-29",
    "at_time": "2026-03-29T02:30:00.000001",
    "instant": "2026-10-25T02:30:00.123456+02:00",
    "words": 'it\'s "q", \\ back, % percent, Ελληνικά \U0001f600\te\u0301',
    "nested": {"a": [1, None, {"b": "ü"}]},
}
PATIENCE_S = 60.0
AT_ONCE_S = 9.0
"""Less than the ten seconds that a call to Kafka and the end of a sink are given."""
INSTANT = datetime(2026, 10, 25, 0, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def ingested(engines: SharedEngines) -> Iterator[Ingested]:
    before = set(threading.enumerate())
    sandbox = Sandbox(engines=engines.run, sink_topics=f"{engines.topic_prefix}to-", team="team-a")
    with sandbox:
        yield Ingested(sandbox, engines)
    assert sandbox.bugs == []
    wait_for_the_end(lambda thread: thread not in before)


def wait_for_the_end(wanted: Callable[[threading.Thread], bool]) -> None:
    """Of such threads: a stop waits for its own, but not for long, and they may be in a call."""
    wait_until(
        "the end of threads",
        lambda: [thread.name for thread in threading.enumerate() if wanted(thread)],
        done=lambda names: names == [],
        deadline=Deadline.after(PATIENCE_S),
    )


@pytest.fixture
def tabled(ingested: Ingested) -> Ingested:
    ingested.probe_table()
    return ingested


# PostgreSQL


def test_typed_values_reach_postgresql_exactly(ingested: Ingested) -> None:
    ingested.sql("create table {t} (" + TYPED + ")")
    nulls = dict.fromkeys(TYPED_ROW)
    special = {"id": 1, "ratio": "NaN", "words": ""}
    answer = ingested.post(ingested.postgres, named(ingested.table, [TYPED_ROW, nulls, special]))
    assert (answer.status_code, answer.json()["landed"]) == (200, 3)
    row, third, nothing = ingested.sql("select * from {t} order by id desc nulls last")
    assert row[:5] == (
        2**63 - 1,
        Decimal("-1234567890123456789012345678.0123456789"),
        5e-324,
        True,
        datetime(2026, 3, 29).date(),  # noqa: DTZ001 - a day
    )
    assert row[5].isoformat() == "2026-03-29T02:30:00.000001"
    assert row[6] == INSTANT
    assert row[7:] == (TYPED_ROW["words"], TYPED_ROW["nested"])
    assert set(nothing) == {None}
    assert third[2] != third[2]
    assert third[7] == ""


def test_packed_and_single_objects_are_taken(tabled: Ingested) -> None:
    rows = probe_rows(3)
    assert tabled.post(tabled.postgres, named(tabled.table, rows[:2]), packed=True).ok
    path = f"{tabled.postgres}?table={tabled.table}"
    assert tabled.post(path, rows[2], headers={"Content-Type": "application/json"}).ok
    assert tabled.seqs() == [0, 1, 2]


def test_a_batch_lands_wholly_or_not_at_all(tabled: Ingested) -> None:
    rows = named(tabled.table, probe_rows(1200))
    rows[1100]["amount"] = "1.00000000001"
    answer = tabled.post(tabled.postgres, rows)
    assert answer.status_code == 400
    assert tabled.seqs() == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"extra": 1}, ["no column 'extra'", "run_id"], id="unknown-column"),
        pytest.param({"seq": "one"}, ["'one'", "column seq", "bigint"], id="wrong-type"),
        pytest.param({"seq": 2**63}, ["column seq", "64 bits"], id="too-large"),
        pytest.param({"word": 7}, ["column word", "no text"], id="number-for-text"),
        pytest.param({"word": "a\0b"}, ["column word", "NUL"], id="nul"),
        pytest.param({"instant": "2026-03-29T01:00:00"}, ["column instant", "zone"], id="no-zone"),
        pytest.param({"@table": "nowhere"}, ["no table nowhere"], id="missing-table"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    tabled: Ingested, change: dict[str, object], told: list[str]
) -> None:
    rows = named(tabled.table, probe_rows(2))
    rows[1] |= change
    answer = tabled.post(tabled.postgres, rows)
    problem = answer.json()
    assert answer.status_code == 400
    assert all(part in problem["why"] for part in told), problem
    assert tabled.seqs() == []


def test_a_table_that_is_made_anew_is_looked_up_again(tabled: Ingested) -> None:
    assert tabled.post(tabled.postgres, named(tabled.table, probe_rows(1))).ok
    tabled.sql("drop table {t}")
    gone = tabled.post(tabled.postgres, named(tabled.table, probe_rows(1)))
    assert (gone.status_code, "no table" in gone.text) == (400, True)
    tabled.sql("create table {t} (seq varchar)")
    assert tabled.post(tabled.postgres, named(tabled.table, [{"seq": "x"}])).ok


def test_names_need_no_quotes(ingested: Ingested) -> None:
    ingested.sql('create table "Straße-{t}" (a bigint, "b%s ""c""" varchar default \'d\')')
    table = f"public.Straße-{ingested.table}"
    rows: list[dict[str, Any]] = [{"a": 1, 'b%s "c"': "x"}, {"a": 2}]
    assert ingested.post(ingested.postgres, named(table, rows)).json()["landed"] == 2
    assert ingested.sql('select * from "Straße-{t}" order by a') == [(1, "x"), (2, "d")]


def test_two_thousand_records_a_second(tabled: Ingested) -> None:
    tabled.post(tabled.postgres, named(tabled.table, probe_rows(500)))
    firsts = itertools.count(500, 2000)

    def seconds() -> float:
        first = next(firsts)
        starts = range(first, first + 2000, 500)
        batches = [named(tabled.table, probe_rows(500, start=start)) for start in starts]
        started = time.monotonic()
        assert all(tabled.post(tabled.postgres, batch).ok for batch in batches)
        return time.monotonic() - started

    # How quick it can be, whatever else the machine has to do.
    wait_until(
        "two thousand within a second",
        seconds,
        done=lambda took_s: took_s < 1,
        deadline=Deadline.after(LIMIT_S),
        longest_pause_s=0.1,
    )
    assert tabled.seqs() == list(range(next(firsts)))


# Trino


def test_typed_values_reach_trino_exactly(ingested: Ingested) -> None:
    ingested.trino_sql("create table {t} (" + TYPED.replace("double precision", "double") + ")")
    rows = [TYPED_ROW, dict.fromkeys(TYPED_ROW), {"id": 1, "ratio": "NaN", "words": "\0"}]
    answer = ingested.post(ingested.trino, named(ingested.table, rows))
    assert answer.json() == {"landed": 3, "places": {ingested.table: 3}}
    row, third, nothing = ingested.trino_sql(
        "select id, amount, ratio, flag, cast(day as varchar), cast(at_time as varchar),"
        " instant, words, json_format(nested) from {t} order by id desc nulls last"
    )
    assert row[:6] == [
        2**63 - 1,
        Decimal("-1234567890123456789012345678.0123456789"),
        5e-324,
        True,
        "2026-03-29",
        "2026-03-29 02:30:00.000001",
    ]
    assert row[6] == INSTANT
    assert row[7] == TYPED_ROW["words"]
    assert json.loads(row[8]) == TYPED_ROW["nested"]
    assert (third[2] != third[2], third[7]) == (True, "\0")
    assert set(nothing) == {None}


def test_trino_refuses_by_name(ingested: Ingested) -> None:
    ingested.trino_sql("create table {t} (seq bigint, amount decimal(5,2))")
    for row, told in (
        ({"seq": 1, "b": 1}, "no column 'b'"),
        ({"seq": 1, "amount": "1.234"}, "column amount (decimal(5,2))"),
    ):
        answer = ingested.post(ingested.trino, named(ingested.table, [row]))
        assert (answer.status_code, told in answer.json()["why"]) == (400, True), answer.text
    answer = ingested.post(ingested.trino, named("nowhere", [{"seq": 1}]))
    assert (answer.status_code, "no table nowhere" in answer.text) == (400, True)


def test_a_batch_longer_than_a_statement_reaches_trino(ingested: Ingested) -> None:
    ingested.trino_sql("create table {t} (" + PROBE + ")")
    rows = [{**row, "word": "x" * 2000} for row in probe_rows(1000)]
    assert ingested.post(ingested.trino, named(ingested.table, rows)).ok
    assert ingested.trino_sql("select count(*), count(distinct seq) from {t}") == [[1000, 1000]]


# Kafka


def test_kafka_ends_in_postgresql(tabled: Ingested) -> None:
    for start in (0, 500):
        answer = tabled.post(f"kafka/{tabled.topic}", probe_rows(500, start=start))
        assert (answer.status_code, answer.json()["landed"]) == (200, 500), answer.text
    tabled.until_seqs(list(range(1000)))
    amounts = tabled.sql("select amount, instant from {t} where seq = 7")
    assert amounts == [(Decimal("7.25"), datetime(2026, 3, 28, 23, 30, 7, 500000, tzinfo=UTC))]


def test_kafka_ends_in_trino(ingested: Ingested) -> None:
    ingested.trino_sql("create table {t} (" + PROBE + ")")
    assert ingested.post(f"kafka/{ingested.trino_topic}", probe_rows(50)).ok
    wait_until(
        "the rows",
        lambda: ingested.trino_sql("select count(*), count(distinct seq) from {t}"),
        done=lambda rows: rows == [[50, 50]],
        deadline=Deadline.after(LIMIT_S),
    )


def test_the_sink_begins_when_somebody_else_fills_a_topic(tabled: Ingested) -> None:
    with somebody_elses_topic(tabled, partitions=3):
        from kafka import KafkaProducer

        producer = KafkaProducer(bootstrap_servers=tabled.engines.kafka.endpoint)
        for row in probe_rows(30):
            producer.send(tabled.topic, json.dumps(row).encode(), key=str(row["seq"]).encode())
        producer.close()
        tabled.until_seqs(list(range(30)))


@contextmanager
def somebody_elses_topic(tabled: Ingested, *, partitions: int) -> Iterator[None]:
    """The topic that ends in this test's table, which no sandbox removes."""
    load_driver()
    from kafka.admin import KafkaAdminClient

    with closing(KafkaAdminClient(bootstrap_servers=tabled.engines.kafka.endpoint)) as admin:
        wanted = {"num_partitions": partitions, "replication_factor": 1}
        admin.create_topics({tabled.topic: wanted})
        try:
            yield
        finally:
            admin.delete_topics([tabled.topic])


def test_a_new_sink_goes_on_where_the_last_one_ended(tabled: Ingested) -> None:
    engines = tabled.engines
    with somebody_elses_topic(tabled, partitions=1):
        assert tabled.post(f"kafka/{tabled.topic}", probe_rows(10)).ok
        tabled.until_seqs(list(range(10)))
        # Two sinks at once would both land what comes.
        tabled.sandbox.stop()
        with Sandbox(engines=engines.run, sink_topics=f"{engines.topic_prefix}to-") as other:
            again = Ingested(other, engines, tabled.table)
            assert again.post(f"kafka/{tabled.topic}", probe_rows(1, start=10)).ok
            again.until_seqs(list(range(11)))


def test_a_message_that_can_not_land_is_noted_and_left_out(tabled: Ingested) -> None:
    rows = probe_rows(4)
    rows[1]["seq"] = "none"
    rows[2] = {"nonsense": 1}
    assert tabled.post(f"kafka/{tabled.topic}", rows).ok
    tabled.until_seqs([0, 3])
    failures = tabled.failures()
    assert any("'none'" in why for why in failures)
    assert any("no column 'nonsense'" in why for why in failures)


# The list


def test_the_list_tells_what_came(ingested: Ingested) -> None:
    ingested.post("list", named("t", [{"a": 1, "f": 0.1}, {"a": 2}]))
    ingested.post("list", {"a": "NaN", "b": {"c": "ü"}})
    found = ingested.received()
    assert found["tables"] == ["t", "t", "list"]
    assert found["records"] == [{"a": 1, "f": 0.1}, {"a": 2}, {"a": "NaN", "b": {"c": "ü"}}]
    assert (found["first"], found["next"]) == (0, 3)
    assert ingested.received(since=2)["records"][0]["a"] == "NaN"
    assert ingested.received(offset=1, table="t")["records"] == [{"a": 2}]


# Faults, on the way into a table


def plant(ingested: Ingested, name: str, **options: object) -> None:
    ingested.sandbox.plant(name, job=ingested.table, **{"times": 1, **options})


def send(ingested: Ingested, count: int = 10) -> None:
    assert ingested.post(ingested.postgres, named(ingested.table, probe_rows(count))).ok


@pytest.mark.parametrize(
    ("name", "options", "seqs"),
    [
        pytest.param("ingest-loses", {"skip": 4}, [0, 1, 2, 3, 5, 6, 7, 8, 9], id="one-lost"),
        pytest.param("ingest-loses", {}, [1, 2, 3, 4, 5, 6, 7, 8, 9], id="first-lost"),
        pytest.param(
            "ingest-loses", {"skip": 7, "times": 3}, [0, 1, 2, 3, 4, 5, 6], id="last-three-lost"
        ),
        pytest.param("ingest-duplicates", {"skip": 2}, [0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9], id="two"),
        pytest.param("ingest-acknowledges-nothing", {}, [], id="nothing"),
    ],
)
def test_records_are_lost_and_doubled(
    tabled: Ingested, name: str, options: dict[str, int], seqs: list[int]
) -> None:
    plant(tabled, name, **options)
    send(tabled)
    assert tabled.seqs() == seqs
    assert tabled.sandbox.faults.planted() == {name: options.get("times", 1)}


@pytest.mark.parametrize(
    ("name", "column", "seen"),
    [
        ("ingest-truncates", "body", '{"seq":3,"wo'),
        ("ingest-rounds", "amount", Decimal("3.2")),
        ("ingest-lowercases", "word", "probe 3"),
        ("ingest-shifts-time", "at_time", datetime(2026, 3, 29, 2, 30, 3, 500000)),  # noqa: DTZ001
    ],
)
def test_one_value_of_one_record_is_changed(
    tabled: Ingested, name: str, column: str, seen: object
) -> None:
    tabled.sql("create table {t}_right (" + PROBE + ")")
    tabled.post(tabled.postgres, named(f"{tabled.table}_right", probe_rows(10)))
    plant(tabled, name, skip=3)
    send(tabled)
    wrong = tabled.sql("select * from {t} except select * from {t}_right")
    assert [row[1] for row in wrong] == [3]
    assert tabled.sql(f"select {column} from {{t}} where seq = 3") == [(seen,)]
    right = tabled.sql("select * from {t}_right where seq = 3")[0]
    assert sum(one != other for one, other in zip(wrong[0], right, strict=True)) == 1
    assert tabled.sandbox.faults.planted() == {name: 1}


def test_a_late_record_lands_late(tabled: Ingested) -> None:
    plant(tabled, "ingest-late", skip=5, delay_s=1.0)
    started = time.monotonic()
    send(tabled)
    tabled.until_seqs(list(range(10)))
    assert time.monotonic() - started >= 1.0
    in_order = [seq for (seq,) in tabled.sql("select seq from {t} order by ctid")]
    assert in_order == [0, 1, 2, 3, 4, 6, 7, 8, 9, 5]


def test_a_foreign_record_lands_beside(tabled: Ingested) -> None:
    plant(tabled, "ingest-foreign", skip=5)
    send(tabled)
    assert tabled.sql("select count(*) from {t} where run_id = 'run-1'") == [(10,)]
    assert tabled.sql("select count(*) from {t} where run_id like 'foreign-%%'", 1) == [(1,)]


def test_a_refused_batch_lands(tabled: Ingested) -> None:
    plant(tabled, "ingest-refuses-but-lands", status=422)
    answer = tabled.post(tabled.postgres, named(tabled.table, probe_rows(3)))
    assert answer.status_code == 422
    assert tabled.seqs() == [0, 1, 2]
    assert tabled.post(tabled.postgres, named(tabled.table, probe_rows(1, start=3))).ok


def test_swapped_records_are_seen_in_a_topic(ingested: Ingested) -> None:
    topic = f"{ingested.engines.topic_prefix}{ingested.table}"
    ingested.sandbox.plant("ingest-swaps", job=topic, skip=2, times=1)
    assert ingested.post(f"kafka/{topic}", probe_rows(5)).ok
    assert ingested.consumed(topic, 5) == [0, 1, 3, 2, 4]


def test_swapped_records_of_two_batches_are_seen_in_the_list(ingested: Ingested) -> None:
    ingested.sandbox.plant("ingest-swaps", job="t", times=1)
    for row in probe_rows(3):
        ingested.post("list", named("t", [row]))
    seen = [record["seq"] for record in ingested.received()["records"]]
    assert seen == [1, 0, 2]


def test_the_sink_can_be_wrong_too(tabled: Ingested) -> None:
    table = f"{tabled.engines.database}.public.{tabled.table}"
    tabled.sandbox.plant("ingest-loses", job=table, skip=1, times=1)
    assert tabled.post(f"kafka/{tabled.topic}", probe_rows(5)).ok
    tabled.until_seqs([0, 2, 3, 4])


def test_trino_can_be_wrong_too(ingested: Ingested) -> None:
    ingested.trino_sql("create table {t} (" + PROBE + ")")
    plant(ingested, "ingest-rounds", skip=1)
    ingested.post(ingested.trino, named(ingested.table, probe_rows(3)))
    seen = ingested.trino_sql("select amount from {t} order by seq")
    assert seen == [[Decimal("0.25")], [Decimal("1.2")], [Decimal("2.25")]]


# Its own engines, and their end


def own_postgres(sandbox: Sandbox) -> Address:
    assert sandbox._service is not None
    address = sandbox._service._ingestion._engines.running("postgres")
    assert address is not None
    return address


def test_a_sandbox_by_itself_has_its_own_engine_until_it_stops() -> None:
    sandbox = Sandbox()
    with sandbox:
        one = Ingested(sandbox)
        answer = one.post("postgres", named("pg_catalog.nothing", [{"a": 1}]))
        assert (answer.status_code, "no table" in answer.text) == (400, True)
        address = own_postgres(sandbox)
        psycopg2.connect(host=address.host, port=address.port, user=address.user).close()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(host=address.host, port=address.port, user=address.user)


def test_an_engine_that_is_down_is_a_503() -> None:
    with Sandbox() as sandbox:
        one = Ingested(sandbox)
        one.post("postgres", named("nothing", [{"a": 1}]))
        address = own_postgres(sandbox)
        os.kill(address.pid, signal.SIGKILL)
        wait_until(
            "the end of PostgreSQL",
            lambda: one.post("postgres", named("nothing", [{"a": 1}])),
            done=lambda answer: answer.status_code == 503,
            deadline=Deadline.after(LIMIT_S),
        )


def test_a_token_is_needed_where_ingestion_needs_a_login() -> None:
    with Sandbox(ingest_auth=True) as sandbox:
        one = Ingested(sandbox)
        assert one.post("list", {"a": 1}).status_code == 401
        token = sandbox.tokens.issue("somebody")
        assert one.post("list", {"a": 1}, headers={"Authorization": f"Bearer {token}"}).ok


def test_a_stop_does_not_wait_for_a_batch_that_hangs(engines: SharedEngines) -> None:
    load_driver()
    sandbox = Sandbox(engines=engines.run)
    sandbox.start()
    one = Ingested(sandbox, engines)
    one.probe_table()
    address = engines.postgres
    with closing(
        psycopg2.connect(
            host=address.host, port=address.port, user=address.user, dbname=engines.database
        )
    ) as other:
        other.cursor().execute(f"lock table {one.table}")
        sending = threading.Thread(target=_ignore_the_end, args=(one,))
        sending.start()
        wait_until(
            "a batch that waits for the table",
            lambda: one.sql(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
                f" and query like 'insert into%{one.table}%'"
            ),
            done=lambda rows: rows == [(1,)],
            deadline=Deadline.after(LIMIT_S),
        )
        started = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - started < AT_ONCE_S
        sending.join(LIMIT_S)
    wait_for_the_end(lambda thread: "sandbox" in thread.name)
    assert one.seqs() == []


def _ignore_the_end(one: Ingested) -> None:
    with suppress(requests.RequestException):
        one.post(one.postgres, named(one.table, probe_rows(1)))


def test_a_sandbox_stops_when_its_kafka_has_died(caplog: pytest.LogCaptureFixture) -> None:
    # Records of its log would keep its exceptions, and these its sockets.
    caplog.set_level(logging.CRITICAL, logger="kafka")
    _stop_after_the_death_of_kafka()
    gc.collect()
    wait_for_the_end(lambda thread: "kafka" in thread.name)


def _stop_after_the_death_of_kafka() -> None:
    with Sandbox() as sandbox:
        one = Ingested(sandbox)
        assert one.post("kafka/some", {"a": 1}).ok
        assert sandbox._service is not None
        address = sandbox._service._ingestion._engines.running("kafka")
        assert address is not None
        os.kill(address.pid, signal.SIGKILL)
        assert one.post("kafka/some", {"a": 1}).status_code == 503
        started = time.monotonic()
    assert time.monotonic() - started < AT_ONCE_S
