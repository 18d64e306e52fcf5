"""What the database says no to: rows that it never takes, and times at which it lets nobody in."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pytest_vdkprobe.connections.kafka_topics import remove_topic
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.databases import own_database
from tests.integration.pipelines import Bench, checks
from tests.integration.shared_engines import SharedEngines

CYRILLIC = "closed: дальше"
LATIN = "closed: fermé"


@pytest.fixture
def bench(engines: SharedEngines, tmp_path: Path) -> Iterator[Bench]:
    """A configured pipeline."""
    made = Bench(engines, tmp_path)
    made.configure()
    yield made
    made.close()


def test_rows_that_the_database_refuses_are_dead_letters_and_the_rest_lands(bench: Bench) -> None:
    bench.sql(
        "alter table {s}.availability_monitor_metrics"
        " add constraint no_teapots check (amd_response_code <> 418)"
    )
    good = checks(300)
    bad = [msgspec.structs.replace(check, returned_code=418) for check in checks(3, first=300)]
    bench.send(*good[:100], bad[0], *good[100:250], *bad[1:], *good[250:])
    account = bench.run("start-consumer", "--once").account
    assert account == {"messages": 303, "rows": 300, "known": 0, "dead": 3}
    reasons = [dict(one.headers)["reason"] for one in bench.messages(f"{bench.topic}.dead")]
    assert len(reasons) == 3
    assert all(b"no_teapots" in reason and b"23514" in reason for reason in reasons)
    assert bench.run("start-consumer", "--once").account["messages"] == 0


def test_dead_letters_that_can_t_be_written_wait_for_their_topic(bench: Bench) -> None:
    remove_topic(bench.clients, f"{bench.topic}.dead")
    good = checks(4)
    bench.send(good[0], b"{", *good[1:])
    consumer = bench.start("start-consumer", "--duration", "300")
    try:
        wait_for_word(bench, "start-consumer", "the dead-letter topic is away")
        wait_for_word(bench, "start-consumer", "configure-database CONFIG` creates the topic")
        assert len(bench.rows()) == 4
        bench.configure()
        wait_for_word(bench, "start-consumer", "what was away is back")
        bench.send(*checks(2, first=4))
        wait_until("rows", bench.rows, done=lambda rows: len(rows) == 6, deadline=_soon())
        assert '"rows":6,"known":0,"dead":1' in end(consumer)
    finally:
        consumer.kill()
        consumer.communicate()
    assert [letter.value for letter in bench.messages(f"{bench.topic}.dead")] == [b"{"]


@pytest.mark.parametrize(("encoding", "dead"), [("LATIN1", 1), ("SQL_ASCII", 0)])
def test_a_database_without_unicode_takes_what_it_can(
    engines: SharedEngines, tmp_path: Path, encoding: str, dead: int
) -> None:
    options = f"encoding '{encoding}' template template0 locale 'C'"
    with own_database(engines, options=options) as url:
        bench = Bench(engines, tmp_path)
        bench.use(url.rpartition("/")[2])
        bench.configure()
        (first, second) = checks(2)
        bench.send(
            msgspec.structs.replace(first, error=LATIN),
            msgspec.structs.replace(second, error=CYRILLIC),
        )
        account = bench.run("start-consumer", "--once").account
        assert account == {"messages": 2, "rows": 2 - dead, "known": 0, "dead": dead}
        assert [row[-1] for row in bench.rows()] == [LATIN, CYRILLIC][: 2 - dead]
        for letter in bench.messages(f"{bench.topic}.dead"):
            assert b'has no equivalent in encoding "LATIN1"' in dict(letter.headers)["reason"]
        assert bench.run("start-consumer", "--once").account["messages"] == 0
        bench.close()


@pytest.fixture
def role(bench: Bench) -> Iterator[str]:
    """The processes' own user, which can be kept out: a superuser can't."""
    name = f"role_{bench.name}"
    bench.more = f'refresh_s = 0.3\nrole = {{ name = "{name}" }}'
    bench.write()
    bench.configure()
    bench.user = name
    bench.write()
    yield name
    bench.sql("drop schema {s} cascade")
    bench.sql(f'drop owned by "{name}"; drop role "{name}"')


def keep_out(bench: Bench, role: str) -> None:
    """As if the server were full: no new connection, and the open ones are ended."""
    bench.sql(f'alter role "{role}" connection limit 0')
    bench.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = ?", (role,))


def wait_for_word(bench: Bench, command: str, word: str) -> None:
    (log,) = bench.folder.glob(f"{command}-*.log")
    wait_until(
        f"{word!r} in the log of {command}",
        log.read_text,
        done=lambda text: word in text,
        deadline=Deadline.after(60),
    )


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return out


def test_a_full_database_is_waited_for_by_a_consumer(bench: Bench, role: str) -> None:
    keep_out(bench, role)
    bench.send(*checks(10))
    consumer = bench.start("start-consumer", "--duration", "300")
    try:
        wait_for_word(bench, "start-consumer", "too many connections for role")
        bench.sql(f'alter role "{role}" connection limit -1')
        wait_for_word(bench, "start-consumer", "is ready")
        wait_until("rows", bench.rows, done=lambda rows: len(rows) == 10, deadline=_soon())
        keep_out(bench, role)
        bench.send(*checks(10, first=10))
        wait_for_word(bench, "start-consumer", "the database is away")
        bench.sql(f'alter role "{role}" connection limit -1')
        wait_until("rows", bench.rows, done=lambda rows: len(rows) == 20, deadline=_soon())
        assert '"rows":20' in end(consumer)
    finally:
        consumer.kill()
        consumer.communicate()


def test_a_full_database_is_waited_for_by_a_producer(bench: Bench, role: str) -> None:
    bench.add_site("http://127.0.0.1:1/", interval_s=0.3)
    keep_out(bench, role)
    producer = bench.start("start-producer", "1", "--duration", "300")
    try:
        wait_for_word(bench, "start-producer", "too many connections for role")
        bench.sql(f'alter role "{role}" connection limit -1')
        wait_for_word(bench, "start-producer", "producer 1 checks 1 websites")
        keep_out(bench, role)
        wait_for_word(bench, "start-producer", "the known go on")
        wait_until("checks", bench.messages, done=lambda found: len(found) > 2, deadline=_soon())
        end(producer)
    finally:
        producer.kill()
        producer.communicate()


def test_who_waits_for_a_full_database_ends_when_told_to(bench: Bench, role: str) -> None:
    keep_out(bench, role)
    for command, arguments in (("start-consumer", ()), ("start-producer", ("1",))):
        process = bench.start(command, *arguments)
        try:
            wait_for_word(bench, command, "too many connections for role")
            assert '"' in end(process)
        finally:
            process.kill()
            process.communicate()


def _soon() -> Deadline:
    return Deadline.after(90)
