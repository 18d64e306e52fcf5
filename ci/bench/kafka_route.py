"""The Kafka route with full accounting, beside a bare producer and consumer in the same run.

Full accounting is everything that a route does for each record: made from its number, noted in the
durable ledger, sent with its delivery report awaited, settled, read, decoded, told by identity,
compared column by column with its digest, and timed. The bare pair sends the same bytes and counts
what comes. They take turns, so that both meet the same machine; what counts is the ratio of their
medians, and that the route keeps up its rate.

    python ci/bench/kafka_route.py [--seconds 60] [--rate 5000] [--servers HOST:PORT]

Without --servers, the sandbox's own Kafka is started. Exit code 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pytest_vdkprobe.accounting.account import Account, reconcile
from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection
from pytest_vdkprobe.readers.kafka import KafkaReader, KafkaReaderSettings
from pytest_vdkprobe.records import wire_json
from pytest_vdkprobe.targets.kafka import KafkaTarget, KafkaTargetSettings
from pytest_vdkprobe.waiting import Deadline, pause

PROFILE = "small"
ROUNDS = 5
ROUND_RECORDS = 20_000
WANTED_RATE = 5000.0
WANTED_SHARE = 0.7
PARTITIONS = 3


@contextmanager
def brokers(servers: str | None) -> Iterator[str]:
    """A Kafka to measure with."""
    if servers:
        yield servers
        return
    from pytest_vdkprobe.sandbox.engines.kafka import Kafka  # noqa: PLC0415 - without --servers only

    with Kafka() as kafka:
        yield kafka.address.endpoint


def route(servers: str, *, records: int, rate_per_s: float, folder: Path) -> tuple[Account, float]:
    """The account of a passage, and the seconds from the first record's time to the last's."""
    topic = f"bench-{secrets.token_hex(4)}"
    run_id = f"run-{secrets.token_hex(4)}"
    target = KafkaTarget(
        KafkaTargetSettings(
            servers=(servers,), topic=topic, create=True, partitions=PARTITIONS, batch=2000
        )
    )
    reader = KafkaReader(KafkaReaderSettings(servers=(servers,), topic=topic))
    columns = profile(PROFILE).columns
    with target, reader:
        try:
            target.prepare(columns)
            reader.prepare(columns)
            return passage(target, reader, run_id, records, rate_per_s, folder)
        finally:
            reader.remove()
            target.remove()


def passage(
    target: KafkaTarget,
    reader: KafkaReader,
    run_id: str,
    records: int,
    rate_per_s: float,
    folder: Path,
) -> tuple[Account, float]:
    """Send on a fixed schedule, as a route does, and read to the last record."""
    started = time.monotonic()
    deadline = Deadline.after(10 + 10 * records / rate_per_s)
    with Ledger.create(
        folder / f"{run_id}.ledger",
        run_id=run_id,
        profile=PROFILE,
        start_us=time.time_ns() // 1000,
        rate_per_s=rate_per_s,
    ) as ledger:
        done = 0
        while done < records:
            due = min(records, int((time.monotonic() - started) * rate_per_s))
            if due == done:
                pause(0.005)
                continue
            seqs = range(done, min(due, done + target.batch))
            expectation = ledger.expectation(within_s=30, late_s=30)
            batch = [expectation.record(seq) for seq in seqs]
            ledger.intend(seqs)
            ledger.settle(seqs, target.send(batch, deadline=deadline))
            done = seqs.stop
            reader.observe(ledger.expectation(within_s=30, late_s=30), deadline=deadline)
        while True:
            expectation = ledger.expectation(within_s=30, late_s=30)
            observation = reader.observe(expectation, deadline=deadline)
            if len(observation.seen) >= records or deadline.expired:
                break
            pause(0.002)
        took_s = time.monotonic() - started
        return reconcile(expectation, observation, now_us=time.time_ns() // 1000), took_s


def bare(servers: str, *, records: int) -> float:
    """Seconds for a producer and a consumer of kafka-python to move the same bytes."""
    clients = KafkaClients(KafkaConnection(servers=(servers,)))
    topic = f"bench-{secrets.token_hex(4)}"
    make = profile(PROFILE).make
    values = [
        msgspec.json.encode(wire_json(make("run-12345678", seq, sent_at_us=time.time_ns() // 1000)))
        for seq in range(records)
    ]
    admin = clients.admin()
    admin.create_topics({topic: {"num_partitions": PARTITIONS}}, wait_for_metadata=True)
    try:
        consumer = clients.consumer(auto_offset_reset="earliest")
        consumer.subscribe([topic])
        seen = 0
        first_poll = threading.Event()

        def read() -> None:
            nonlocal seen
            while seen < records:
                seen += sum(map(len, consumer.poll(timeout_ms=100).values()))
                first_poll.set()

        reading = threading.Thread(target=read)
        reading.start()
        first_poll.wait()
        producer = clients.producer(
            acks="all", retries=0, enable_idempotence=False, linger_ms=5, batch_size=65536
        )
        started = time.monotonic()
        for value in values:
            producer.send(topic, value)
        producer.flush()
        reading.join()
        took_s = time.monotonic() - started
        producer.close()
        consumer.close()
        return took_s
    finally:
        admin.delete_topics([topic])
        admin.close()


def main() -> int:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of the sustained part")
    parser.add_argument("--rate", type=float, default=WANTED_RATE, help="events/s of it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--servers", help="HOST:PORT of a Kafka that is there")
    options = parser.parse_args()
    missed = []
    with brokers(options.servers) as servers, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        rates: dict[str, list[float]] = {"bare": [], "route": []}
        for _ in range(options.rounds):
            rates["bare"].append(ROUND_RECORDS / bare(servers, records=ROUND_RECORDS))
            account, took_s = route(servers, records=ROUND_RECORDS, rate_per_s=1e6, folder=folder)
            account.require()
            rates["route"].append(ROUND_RECORDS / took_s)
        medians = {name: statistics.median(found) for name, found in rates.items()}
        share = medians["route"] / medians["bare"]
        for name, found in rates.items():
            print(f"{name:6} {medians[name]:8,.0f} events/s  ({min(found):,.0f}-{max(found):,.0f})")
        print(f"share  {share:8.2f} of the bare pair (wanted: {WANTED_SHARE})")
        if share < WANTED_SHARE:
            missed.append("share")
        records = int(options.seconds * options.rate)
        account, took_s = route(servers, records=records, rate_per_s=options.rate, folder=folder)
        print(f"sustained {records / took_s:,.0f} events/s for {took_s:.1f} s: {account}")
        account.require()
        # The last record is read a moment after its time.
        if records / took_s < 0.98 * options.rate:
            missed.append("rate")
    if missed:
        print("missed:", ", ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
