"""The website-availability pipeline: consumer beside a bare one, producer, latency, kills.

    python ci/bench/pipeline.py consumer [--messages 100000] [--rounds 3]
    python ci/bench/pipeline.py producer [--sites 2000] [--interval 10] [--seconds 40]
    python ci/bench/pipeline.py latency  [--rate 500] [--seconds 30]
    python ci/bench/pipeline.py kills    [--kills 200] [--seed 0]

Each starts a real Kafka and PostgreSQL of its own. Exit code 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_vdkprobe.connections.kafka import KafkaClients
from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.connections.sql import SqlError
from pytest_vdkprobe.pipeline import schema, topics
from pytest_vdkprobe.pipeline.configuration import load_pipeline
from pytest_vdkprobe.pipeline.consumer import Consumer
from pytest_vdkprobe.pipeline.message import Check, decoded, encoded, key_of
from pytest_vdkprobe.pipeline.stopping import Stop
from pytest_vdkprobe.sandbox.engines.kafka import Kafka
from pytest_vdkprobe.sandbox.engines.postgres import Postgres
from pytest_vdkprobe.waiting import Deadline, pause, wait_until

PIPELINE = [sys.executable, "-m", "pytest_vdkprobe.cli.main", "pipeline"]
WEBSITES = (
    "import sys, threading; from pytest_vdkprobe.pipelines.websites import Websites;"
    "w = Websites(); w.open(); print(w.port, flush=True); sys.stdin.read()"
)
WANTED_RATE = 10_000
WANTED_SHARE = 0.6
WANTED_MB = 300
WANTED_SCHEDULE_S = 0.1
WANTED_LATENCY_S = 1.0
TABLE = "availability_monitor_metrics"


class Place:
    """A Kafka, a PostgreSQL, and a configured pipeline on them."""

    def __init__(self, folder: Path, kafka: Kafka, postgres: Postgres) -> None:
        self.kafka, self.postgres = kafka, postgres
        self.config = folder / "pipeline.toml"
        where = postgres.address
        self.config.write_text(
            "[pipeline]\nsites_per_producer = 100000\ntimeout_s = 5\n"
            f'kafka = {{ servers = ["{kafka.address.endpoint}"], session_timeout_s = 1.0 }}\n'
            f'database = {{ host = "{where.host}", port = {where.port}, user = "{where.user}",'
            ' database = "postgres" }\n'
        )
        self.loaded = load_pipeline(str(self.config), environ={})
        self.settings = self.loaded.settings
        self.clients = KafkaClients(self.settings.kafka)
        self.database = PostgresDatabase(self.settings.database)
        schema.configure(self.settings, self.database, base_dir=folder)
        topics.configure(self.settings.kafka, self.clients)

    def sql(self, statement: str) -> list[Any]:
        """The rows of a statement on the pipeline's schema."""
        text = statement.replace("{s}", f'"{self.settings.database.schema}"')
        try:
            return self.database.run(text, deadline=Deadline.after(120))
        except SqlError as exc:
            if not exc.gone:
                raise
            # It was restarted since; the next connection is a new one.
            return self.database.run(text, deadline=Deadline.after(120))

    def send(self, checks: list[Check]) -> None:
        """All of them, acknowledged."""
        producer = self.clients.producer(acks="all", linger_ms=20, batch_size=131072)
        for check in checks:
            producer.send(self.settings.kafka.topic, key=key_of(check.site), value=encoded(check))
        producer.flush()
        producer.close()

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """One of the pipeline's processes."""
        words = [*PIPELINE, command, str(self.config), *arguments]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    def add_sites(self, count: int, *, port: int, interval_s: float) -> None:
        """So many websites that answer."""
        self.sql(
            "insert into {s}.availability_monitor_config (amc_url_with_schema, amc_regexp,"
            f" amc_interval_s) select 'http://127.0.0.1:{port}/well/' || n, 'well', {interval_s}"
            f" from generate_series(1, {count}) as n returning 1"
        )


@contextmanager
def place() -> Iterator[Place]:
    """Everything, and its end."""
    with tempfile.TemporaryDirectory() as folder, Kafka() as kafka, Postgres() as postgres:
        made = Place(Path(folder), kafka, postgres)
        try:
            yield made
        finally:
            made.database.close()


@contextmanager
def websites() -> Iterator[int]:
    """The port of websites in a process of their own."""
    process = subprocess.Popen(
        [sys.executable, "-c", WEBSITES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def checks(count: int, *, first: int = 0) -> list[Check]:
    """Checks of a thousand websites from this hour on."""
    start = time.time() // 3600 * 3600
    return [
        Check(
            site=number % 1000 + 1,
            unix_timestamp=start + number // 1000,
            returned_code=200,
            response_time=0.123,
            regexp=True,
        )
        for number in range(first, first + count)
    ]


def consumer(options: argparse.Namespace) -> list[str]:
    """Messages per second into the table, beside kafka-python and psycopg2 alone."""
    rates: dict[str, list[float]] = {"bare": [], "ours": []}
    with place() as here:
        here.send(checks(options.messages))
        for turn in range(options.rounds):
            for name in rates if turn % 2 else reversed(rates):
                here.sql(f"truncate {{s}}.{TABLE}; select 1")
                settings = here.settings.but(
                    kafka=type(here.settings.kafka)(
                        servers=here.settings.kafka.servers, group=f"{name}-{turn}"
                    )
                )
                took_s = (bare if name == "bare" else ours)(here, settings, options.messages)
                ((rows,),) = here.sql(f"select count(*) from {{s}}.{TABLE}")
                assert rows == options.messages, (name, rows)
                rates[name].append(options.messages / took_s)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    share = medians["ours"] / medians["bare"]
    for name, found in rates.items():
        print(f"{name}  {medians[name]:9,.0f} messages/s ({min(found):,.0f}-{max(found):,.0f})")
    print(f"share {share:.2f} of the bare one (wanted: {WANTED_SHARE}, and {WANTED_RATE:,}/s)")
    missed = ["share"] if share < WANTED_SHARE else []
    return missed + (["rate"] if medians["ours"] < WANTED_RATE else [])


def ours(here: Place, settings: Any, _messages: int) -> float:
    """Seconds from joining the group to the last row, as `start-consumer --once` does it."""
    one = Consumer(settings, base_dir=here.config.parent)
    started = time.monotonic()
    one.run(Stop(600), once=True)
    return time.monotonic() - started


def bare(here: Place, settings: Any, messages: int) -> float:
    """The same with the two drivers and nothing else."""
    import psycopg2  # noqa: PLC0415 - for this alone
    from psycopg2.extras import execute_values  # noqa: PLC0415 - for this alone

    where = settings.database
    connection = psycopg2.connect(
        host=where.host, port=where.port, user=where.user, dbname="postgres"
    )
    started = time.monotonic()
    reader = here.clients.consumer(
        group_id=settings.kafka.group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    reader.subscribe([settings.kafka.topic])
    seen = 0
    while seen < messages:
        found = [
            decoded(record.value)
            for records in reader.poll(timeout_ms=200, max_records=5000).values()
            for record in records
        ]
        if not found:
            continue
        seen += len(found)
        with connection, connection.cursor() as cursor:
            execute_values(
                cursor,
                f"insert into {where.schema}.{TABLE} (amm_site, amm_checked_at, amm_unix_timestamp,"
                " amd_response_code, amd_response_time, amm_regexp_found, amm_error) values %s",
                [
                    (
                        *(one.site, one.unix_timestamp, one.unix_timestamp, one.returned_code),
                        *(one.response_time, one.regexp, one.error),
                    )
                    for one in found
                ],
                template="(%s, to_timestamp(%s), %s, %s, %s, %s, %s)",
                page_size=1000,
            )
        reader.commit()
    took_s = time.monotonic() - started
    reader.close()
    connection.close()
    return took_s


def producer(options: argparse.Namespace) -> list[str]:
    """Many websites in one process: its memory, and how exactly it keeps its schedule."""
    with place() as here, websites() as port:
        here.add_sites(options.sites, port=port, interval_s=options.interval)
        process = here.start("start-producer", "1", "--duration", str(options.seconds))
        highest_kb = 0
        while process.poll() is None:
            highest_kb = max(highest_kb, _peak_kb(process.pid))
            pause(0.5)
        told = json.loads((process.communicate()[0] or "{}").splitlines()[-1])
    print(
        f"{told['sites']:,} websites every {options.interval:g} s: {told['checks']:,} checks,"
        f" {told['missed']} missed, {highest_kb / 1024:.0f} MB,"
        f" schedule error p99 {told['schedule_error_p99_s'] * 1000:.1f} ms"
    )
    missed = ["memory"] if highest_kb > WANTED_MB * 1024 else []
    missed += ["schedule"] if told["schedule_error_p99_s"] > WANTED_SCHEDULE_S else []
    return missed + (["checks"] if told["missed"] else [])


def _peak_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return 0
    return next((int(x.split()[1]) for x in text.splitlines() if x.startswith("VmHWM")), 0)


def latency(options: argparse.Namespace) -> list[str]:
    """From the moment a check was due to its row, at a rate."""
    with place() as here, websites() as port:
        here.add_sites(options.rate, port=port, interval_s=1.0)
        writer = here.start("start-consumer", "--duration", str(options.seconds + 15))
        maker = here.start("start-producer", "1", "--duration", str(options.seconds))
        maker.communicate()
        writer.communicate()
        found = here.sql(
            "select extract(epoch from amm_stored_at) - amm_unix_timestamp"
            f" from {{s}}.{TABLE} where amm_checked_at >"
            # While the processes load, nothing is measured.
            f" (select min(amm_checked_at) + interval '5 s' from {{s}}.{TABLE}) order by 1"
        )
        delays = [float(row[0]) for row in found]
    p50, p99 = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    rate = len(delays) / max(1.0, options.seconds - 5)
    print(f"{len(delays):,} checks, {rate:.0f}/s: check to row p50 {p50:.3f} s, p99 {p99:.3f} s")
    return ["latency"] if p99 >= WANTED_LATENCY_S else []


def kills(options: argparse.Namespace) -> list[str]:
    """Kills and restarts while checks flow: lost and doubled rows at the end."""
    dice = random.Random(options.seed)
    with place() as here:
        sent: list[Check] = []
        over = threading.Event()
        sending = threading.Thread(target=_send, args=(here, sent, over))
        sending.start()
        running = [here.start("start-consumer"), here.start("start-consumer")]
        done = {"consumer": 0, "broker": 0, "database": 0}
        try:
            for number in range(options.kills):
                pause(dice.uniform(0.2, 2.0))
                what = dice.choices(["consumer", "broker", "database"], [6, 1, 3])[0]
                done[what] += 1
                if what == "consumer":
                    victim = running.pop(dice.randrange(len(running)))
                    victim.kill()
                    victim.communicate()
                    running.append(here.start("start-consumer"))
                elif what == "broker":
                    here.kafka.restart()
                else:
                    here.postgres.restart()
                print(f"\r{number + 1} of {options.kills}", end="", file=sys.stderr, flush=True)
            over.set()
            sending.join()
            wait_until(
                "all rows",
                lambda: here.sql(f"select count(*) from {{s}}.{TABLE}")[0][0],
                done=lambda count: count >= len(sent),
                deadline=Deadline.after(120),
                longest_pause_s=1.0,
            )
            rows = here.sql(
                f"select amm_site, round(amm_unix_timestamp * 1000000)::bigint from {{s}}.{TABLE}"
            )
        finally:
            over.set()
            for process in running:
                process.send_signal(signal.SIGTERM)
                process.communicate()
    wanted = {(check.site, check.slot_us) for check in sent}
    kept = [(int(site), int(slot)) for site, slot in rows]
    lost, doubled = len(wanted - {*kept}), len(kept) - len({*kept})
    foreign = len({*kept} - wanted)
    what = ", ".join(f"{count} of the {name}" for name, count in done.items())
    print(f"\n{options.kills} kills and restarts ({what}): {len(wanted):,} checks, {lost} lost,")
    print(f"{doubled} doubled, {foreign} foreign")
    return ["rows"] if lost or doubled or foreign else []


def _send(here: Place, sent: list[Check], over: threading.Event) -> None:
    """A steady flow of checks; each is sent again until it is acknowledged, as a producer does."""
    producer = here.clients.producer(acks="all", enable_idempotence=True, linger_ms=20)
    topic = here.settings.kafka.topic
    waiting: list[tuple[Check, Any]] = []
    while not over.is_set() or waiting:
        if not over.is_set():
            for check in checks(100, first=len(sent)):
                sent.append(check)
                waiting.append((check, None))
        left = []
        for check, future in waiting:
            if future is not None and future.succeeded():
                continue
            if future is None or future.failed():
                try:
                    future = producer.send(  # noqa: PLW2901 - the try that counts
                        topic, key=key_of(check.site), value=encoded(check)
                    )
                except Exception:  # noqa: BLE001 - the broker is away: the next round tries again
                    future = None  # noqa: PLW2901 - as above
            left.append((check, future))
        waiting = left
        pause(0.2)
    producer.close()


def main() -> int:
    """Measure one of the four."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_subparsers(required=True)
    one = what.add_parser("consumer")
    one.add_argument("--messages", type=int, default=100_000)
    one.add_argument("--rounds", type=int, default=3)
    one.set_defaults(measure=consumer)
    one = what.add_parser("producer")
    one.add_argument("--sites", type=int, default=2000)
    one.add_argument("--interval", type=float, default=10.0)
    one.add_argument("--seconds", type=float, default=40.0)
    one.set_defaults(measure=producer)
    one = what.add_parser("latency")
    one.add_argument("--rate", type=int, default=500)
    one.add_argument("--seconds", type=float, default=30.0)
    one.set_defaults(measure=latency)
    one = what.add_parser("kills")
    one.add_argument("--kills", type=int, default=200)
    one.add_argument("--seed", type=int, default=0)
    one.set_defaults(measure=kills)
    options = parser.parse_args()
    missed: list[str] = options.measure(options)
    if missed:
        print("missed:", ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
