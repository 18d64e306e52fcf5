"""A watch under load: a scrape of a million events, its ledger, memory over time, kills in a loop.

    python ci/bench/watch.py [--scrapes 50] [--events 200000] [--soak 60] [--kills 500]
    python ci/bench/watch.py --scrapes 0 --events 0 --kills 0 --soak 3600

The scrape stands beside one of a recorder without an event, and the ledger, of whose events one in
a hundred is refused, beside one that is never begun anew. Medians. Exit code 1 when a soak of ten
minutes or more has grown: a shorter one has not warmed up.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ci.soak.watch import soak
from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.observe.exposition import Exposition

EVENTS = 1_000_000
LONG_S = 600.0
COUNT = """
import sys
from pathlib import Path
from pytest_vdkprobe.metrics.cells import Cells
from pytest_vdkprobe.metrics.recorder import Recorder
recorder = Recorder(Cells(Path(sys.argv[1])))
counter = recorder.counter("vdkprobe_events_sent_total", check="events[x]")
recorder.cells.publish()
print(int(counter.value), flush=True)
while True:
    counter.inc()
    print(int(counter.value), flush=True)
"""


def scrapes(times: int) -> None:
    """How long a scrape takes, with and without a million events behind it."""
    empty, full = Recorder(), Recorder()
    empty.declare_pipeline("events[x]", sla_s=20.0, app_id="probe")
    flights = full.declare_pipeline("events[x]", sla_s=20.0, app_id="probe")
    latency = full.histogram("vdkprobe_delivery_latency_seconds", sla_s=20.0, check="events[x]")
    now = time.monotonic()
    for number in range(EVENTS):
        at = now - 3600 + 3600 * number / EVENTS
        flights.opened(at)
        if number % 100:
            flights.arrived(at, 0.3)
            latency.observe(0.3)
    for name, recorder in (("no event", empty), (f"{EVENTS:,} events, 1 % in flight", full)):
        exposition = Exposition(recorder.cells.items)
        took = []
        for _ in range(times):
            began = time.perf_counter()
            exposition.text()
            took.append((time.perf_counter() - began) * 1000)
        print(f"scrape, {name}: median {statistics.median(took):.2f} ms, max {max(took):.2f} ms")


def ledgers(events: int) -> None:
    """How large the ledger of so many events gets, and how long it takes to open it again."""
    taken, refused = SendResult(Outcome.ACKNOWLEDGED), SendResult(Outcome.REFUSED, "503")
    for name, folding in (("only added to", False), ("begun anew", True)):
        dice = random.Random(1)
        largest = 0
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ledger"
            with Ledger.create(
                path, run_id="01234567", profile="small", start_us=0, rate_per_s=1.0
            ) as ledger:
                for seq in range(events):
                    ledger.intend(range(seq, seq + 1))
                    ledger.settle([seq], [taken if dice.random() > 0.01 else refused], soon=True)
                    if seq % 100 == 0:
                        largest = max(largest, path.stat().st_size)
                        if folding:
                            ledger.fold()
            took = []
            for _ in range(3):
                began = time.perf_counter()
                Ledger.open(path).close()
                took.append(time.perf_counter() - began)
        print(
            f"ledger of {events:,} events, {name}: at most {largest / 1e6:.2f} MB, "
            f"opened in {statistics.median(took):.3f} s"
        )


def kills(times: int) -> None:
    """Each process counts on from where the one before was killed; what it has said is kept."""
    lost = went_down = 0
    said = 0
    with tempfile.TemporaryDirectory() as name:
        for _ in range(times):
            process = subprocess.Popen(
                [sys.executable, "-c", COUNT, str(Path(name) / "cells")],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            start = int(process.stdout.readline())
            went_down += start < said
            lost += max(0, said - start)
            for _ in range(50):
                said = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            rest = process.stdout.read().splitlines()
            # A last line that was cut short says nothing.
            said = max([said, *(int(line) for line in rest[:-1])])
            process.wait()
            process.stdout.close()
    print(f"kills: {times} times kill -9, {lost} counts lost, {went_down} times gone down")


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scrapes", type=int, default=50)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--soak", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--kills", type=int, default=500)
    known = parser.parse_args()
    if known.scrapes:
        scrapes(known.scrapes)
    if known.events:
        ledgers(known.events)
    grown = False
    if known.soak:
        found = soak(known.soak)
        print(found)
        grown = known.soak >= LONG_S and found.grown
    if known.kills:
        kills(known.kills)
    return 1 if grown else 0


if __name__ == "__main__":
    raise SystemExit(main())
