"""Endpoint tasks and events with full accounting, beside bare loops over the same libraries.

Three figures, in one run, since they take turns on the same machine:

- tasks a second, each made on the schedule, called, held against its conditions, tracked and
  recorded as metrics; beside a loop of `requests` that calls the same server and reads the answer;
- events a second over a local websocket, each noted in the ledger, sent, heard, told by identity,
  compared and timed; beside a loop that sends and one that receives the same over `websockets`;
- how far p50 and p99 of events are from the delays that the sandbox injects.

    python ci/bench/probes.py [--rounds 11] [--count 2000]

Exit code 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import requests
from websockets.sync.client import ClientConnection, connect

from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.clock import now_us
from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.endpoints.conditions import Conditions
from pytest_vdkprobe.endpoints.instruments import TaskMetrics
from pytest_vdkprobe.endpoints.loop import TaskLoop
from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings
from pytest_vdkprobe.events.books import Books
from pytest_vdkprobe.events.find import Pipeline
from pytest_vdkprobe.events.stream import EventStream
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.readers.websocket import WebsocketReader, WebsocketReaderSettings
from pytest_vdkprobe.records import wire_json
from pytest_vdkprobe.sandbox.routes import events as event_tables
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.targets.http import event_of
from pytest_vdkprobe.waiting import Deadline, wait_until

WANTED_SHARE = 0.7
WANTED_TASKS = 300.0
WANTED_ERROR_S, WANTED_ERROR_SHARE = 0.001, 0.02
LIMIT_S = 120.0
EVENTS = 5
"""Events for each task."""
BATCH = 100
"""What a route has due is noted together, sent one by one, and settled together."""
ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)

SERVER = """
import asyncio, sys
from websockets.asyncio.server import broadcast, serve

BODY = b'{"Type": "Dataset", "Id": "a", "title": "Probe"}'
ANSWER = (b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
          b"Content-Length: %d\\r\\n\\r\\n" % len(BODY)) + BODY

async def http(reader, writer):
    try:
        while True:
            await reader.readuntil(b"\\r\\n\\r\\n")
            writer.write(ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

listeners = set()

async def socket(connection):
    if connection.request.path == "/listen":
        listeners.add(connection)
        await connection.wait_closed()
        listeners.discard(connection)
        return
    async for message in connection:
        broadcast(listeners, message)

async def main():
    web = await asyncio.start_server(http, "127.0.0.1", 0)
    ws = await serve(socket, "127.0.0.1", 0, compression=None)
    print(web.sockets[0].getsockname()[1], ws.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""
"""In a process of its own: it must not share a lock with what is measured."""


@contextmanager
def server() -> Iterator[tuple[str, str]]:
    """The addresses of an HTTP server and of a websocket's."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        web, ws = process.stdout.readline().split()
        yield f"http://127.0.0.1:{web}/metadata/a", f"ws://127.0.0.1:{ws}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def bare_tasks(url: str, count: int) -> float:
    """Calls a second of a plain loop."""
    with requests.Session() as session:
        begun = time.perf_counter()
        for _ in range(count):
            answer = session.get(url, timeout=30)
            if answer.status_code != 200 or answer.json()["Type"] != "Dataset":
                raise SystemExit("the bare loop got another answer")
        return count / (time.perf_counter() - begun)


def our_tasks(url: str, count: int) -> float:
    """Tasks a second of the loop, as fast as one at a time can go."""
    settings = EndpointTasksSettings(
        name="bench",
        url=url,
        interval_s=0.0005,
        tasks=count,
        at_once=1,
        expect=Conditions(status=(200,), json={"$.Type": "Dataset"}),
    )
    metrics = TaskMetrics(Recorder(), check="endpoints[bench]", app_id="bench", sla_s=1.0)
    loop = TaskLoop(settings, run_id="bench", key="endpoints.0", limit=count, instruments=metrics)
    with closing(loop):
        begun = time.perf_counter()
        loop.start()
        tally = loop.finish(deadline=Deadline.after(LIMIT_S))
        took_s = time.perf_counter() - begun
    if tally.succeeded != count:
        raise SystemExit(f"not all tasks succeeded: {tally}")
    return count / took_s


def bare_events(url: str, count: int) -> float:
    """Events a second of a loop that sends beside one that receives: each is taken as it comes."""
    small = profile("small")
    heard: list[int] = []

    def receive(connection: ClientConnection) -> None:
        while len(heard) < count:
            heard.append(msgspec.json.decode(connection.recv())["seqno"])

    with (
        connect(f"{url}/listen", compression=None) as listening,
        connect(f"{url}/send", compression=None) as sender,
    ):
        thread = threading.Thread(target=receive, args=(listening,))
        begun = time.perf_counter()
        thread.start()
        for seq in range(count):
            record = small.make("bench", seq, sent_at_us=0)
            sender.send(msgspec.json.encode(event_of(record) | wire_json(record)).decode())
        thread.join()
        took_s = time.perf_counter() - begun
    if heard != list(range(1, count + 1)):
        raise SystemExit("the bare loop got other events")
    return count / took_s


def our_events(url: str, count: int, folder: Path) -> float:
    """The same with full accounting."""
    small = profile("small")
    settings = WebsocketReaderSettings(url=f"{url}/listen", listeners=1)
    run_id = secrets.token_hex(4)
    reader = WebsocketReader(settings)
    path = folder / f"{run_id}.ledger"
    with reader, connect(f"{url}/send", compression=None) as sender:
        reader.prepare(small.columns)
        begun = time.perf_counter()
        ledger = Ledger.create(
            path, run_id=run_id, profile="small", start_us=now_us(), rate_per_s=10_000.0
        )
        with ledger:
            for start in range(0, count, BATCH):
                seqs = range(start, min(count, start + BATCH))
                ledger.intend(seqs)
                for seq in seqs:
                    sent_at_us = ledger.start_us + seq * 100
                    record = small.make(run_id, seq, sent_at_us=sent_at_us)
                    sender.send(msgspec.json.encode(event_of(record) | wire_json(record)).decode())
                ledger.settle(seqs, [ACKNOWLEDGED] * len(seqs))
            expectation = ledger.expectation(within_s=60, late_s=60)
            deadline = Deadline.after(LIMIT_S)
            found = wait_until(
                "events",
                lambda: reader.observe(expectation, deadline=deadline),
                done=lambda observation: len(observation.seen) == count,
                deadline=deadline,
                longest_pause_s=0.01,
            ).value
        took_s = time.perf_counter() - begun
    if found.duplicate or found.foreign or found.corrupted:
        raise SystemExit(f"the account is wrong: {found}")
    return count / took_s


def latency_errors(count: int, folder: Path) -> list[tuple[str, float, float]]:
    """For p50 and p99: what was injected, and what was measured, in seconds."""
    with Sandbox() as sandbox:
        (entry,) = event_tables(url=sandbox.url, login=sandbox.client_login(), ca_file=None)
        entry |= {"interval_s": 0.05, "events": count, "within_s": 30.0}
        configuration = from_tables("bench", {"events": [entry]}, environ={})
        pipeline = Pipeline(configuration, 0)
        run_id = secrets.token_hex(4)
        stream = EventStream(
            pipeline.settings,
            Books(pipeline.settings, folder / f"{run_id}.ledger", run_id=run_id),
            make_end=lambda side, of: pipeline.make(side, of, leases=None),
            limit=count,
        )
        with closing(stream):
            stream.open()
            sandbox.plant("events-late", delay_s=1.2, skip=count // 2, times=count // 20)
            sandbox.plant("events-late", delay_s=0.3)
            stream.start()
            found = stream.finish(deadline=Deadline.after(LIMIT_S))
    latency = found.account.observation.latency
    if latency is None or found.account.delivered != count:
        raise SystemExit(f"not every event was delivered: {found}")
    return [("p50", 0.3, latency.at(50)), ("p99", 1.2, latency.at(99))]


def compare(what: str, bare: list[float], ours: list[float], unit: str) -> float:
    """Print both medians and their ratio."""
    one, other = statistics.median(bare), statistics.median(ours)
    print(f"{what:<18} bare {one:>8.0f} {unit}/s   ours {other:>8.0f} {unit}/s   {other / one:.2f}")
    return other / one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--count", type=int, default=2000)
    arguments = parser.parse_args()
    missed = []
    with server() as (web, ws), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tasks: tuple[list[float], list[float]] = ([], [])
        events: tuple[list[float], list[float]] = ([], [])
        for _ in range(arguments.rounds):
            tasks[0].append(bare_tasks(web, arguments.count))
            tasks[1].append(our_tasks(web, arguments.count))
            # More of these, or the waits for the disk at both ends of the books would count.
            events[0].append(bare_events(ws, EVENTS * arguments.count))
            events[1].append(our_events(ws, EVENTS * arguments.count, folder))
        if compare("endpoint tasks", *tasks, "tasks") < WANTED_SHARE:
            missed.append(f"tasks below {WANTED_SHARE} of the bare loop")
        if statistics.median(tasks[1]) < WANTED_TASKS:
            missed.append(f"fewer than {WANTED_TASKS:.0f} tasks/s")
        if compare("websocket events", *events, "events") < WANTED_SHARE:
            missed.append(f"events below {WANTED_SHARE} of the bare loop")
        for quantile, injected, measured in latency_errors(200, folder):
            error = measured - injected
            print(
                f"latency {quantile:<10} injected {injected * 1000:.0f} ms, "
                f"measured {measured * 1000:.1f} ms, error {error * 1000:+.1f} ms "
                f"({abs(error) / injected:.1%})"
            )
            if abs(error) > max(WANTED_ERROR_S, WANTED_ERROR_SHARE * injected):
                missed.append(f"{quantile} is {error * 1000:.1f} ms off")
    for what in missed:
        print(f"MISSED: {what}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
