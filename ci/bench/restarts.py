"""Kill -9 in a loop: a stream of events that is taken over again and again, and what it invents.

A sandbox stays up; processes post to its pipeline and listen, each going on with the books of the
one before it, until they are killed at a random moment. The last one runs until every window has
closed. What the pipeline delivered it delivered once and in full, so whatever is lost or double in
the books is an invention of ours.

    python ci/bench/restarts.py [--kills 500] [--seed 0]

Exit code 1 when anything was invented.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.events.books import Books
from pytest_vdkprobe.events.find import Pipeline
from pytest_vdkprobe.events.stream import EventStream
from pytest_vdkprobe.sandbox.routes import events as event_tables
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, pause, wait_until

LIMIT_S = 60.0
INTERVAL_S = 0.02
WINDOW_S = 2.0


def child(folder: Path, until_closed: bool) -> None:
    """Go on with the books in `folder`; say when the first event came, and at the end what is."""
    tables = json.loads((folder / "tables.json").read_text())
    pipeline = Pipeline(from_tables("bench", tables, environ={}), 0)
    books = Books.kept(pipeline.settings, folder, "pipeline", totals={})
    stream = EventStream(
        pipeline.settings,
        books,
        make_end=lambda side, run_id: pipeline.make(side, run_id, leases=None),
        limit=None,
    )
    with closing(stream):
        stream.open()
        stream.start()
        before = stream.look().seen
        wait_until(
            "an event",
            stream.look,
            done=lambda account: account.seen > before,
            deadline=Deadline.after(LIMIT_S),
            longest_pause_s=0.02,
        )
        print("listening", flush=True)
        if until_closed:
            last = stream.books.ledger.next_seq
            wait_until(
                "all windows to close",
                stream.look,
                done=lambda account: account.closed >= last,
                deadline=Deadline.after(LIMIT_S),
            )
            account = stream.look()
            names = ("sent", "delivered", "late", "lost", "duplicate", "unknown", "refused")
            print(json.dumps({name: getattr(account, name) for name in names}), flush=True)
            return
        pause(LIMIT_S)


def started(folder: Path, *, until_closed: bool = False) -> subprocess.Popen[str]:
    """A child that listens."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--child", str(folder), *(["--last"] if until_closed else [])],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != "listening":
        raise SystemExit("a process that took over did not come so far")
    return process


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path)
    parser.add_argument("--last", action="store_true")
    arguments = parser.parse_args()
    if arguments.child is not None:
        child(arguments.child, arguments.last)
        return 0
    dice = random.Random(arguments.seed)
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (entry,) = event_tables(url=sandbox.url, login=sandbox.client_login(), ca_file=None)
        entry |= {"interval_s": INTERVAL_S, "within_s": WINDOW_S, "late_s": WINDOW_S}
        entry["reader"]["stagger_s"] = 0.0
        (folder / "tables.json").write_text(json.dumps({"events": [entry]}))
        begun = time.monotonic()
        for _ in range(arguments.kills):
            process = started(folder)
            pause(dice.uniform(0, 0.2))
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        last = started(folder, until_closed=True)
        assert last.stdout is not None
        found = json.loads(last.stdout.readline())
        last.communicate()
    took_s = time.monotonic() - begun
    print(f"{arguments.kills} kills in {took_s:.0f} s: {found}")
    invented = found["lost"] + found["duplicate"]
    print("nothing was invented" if not invented else f"MISSED: {invented} invented")
    return 1 if invented else 0


if __name__ == "__main__":
    sys.exit(main())
