"""What it costs to account for a run's rows where they lie, beside the plain count in the same run.

The rows are made in the engine, and lie as a route lands them: in batches that come by turns from
three partitions. Compared is one look of the reader, which tells identity,
duplicates, digests and foreign rows of all, and values of 10,000, with `select count(*),
count(distinct seq)` over the same rows. Each size is measured in a client of its own, whose most
memory is printed. One table is right; of the other's rows one in 5,000 is missing, one doubled and
one changed, and the look has to list exactly these.

    python ci/bench/reconcile.py [--rounds 3] [--engines postgres,trino] [--rows 1000000,10000000]

Exit code 1 when a figure is missed: the ratios count at the largest size, since looking has a part
that does not grow; memory counts at each. Trino is measured with the first of the sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pytest_vdkprobe.accounting.account import reconcile
from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.readers.table import TableReader
from pytest_vdkprobe.waiting import Deadline

RUN = "0123abcd"
RATE_PER_S = 1e6
COMPARED = 10_000
START_US = 1_795_000_000_000_000
EVERY = 5000
WANTED_RIGHT, WANTED_WRONG, WANTED_MB = 2.0, 5.0, 60.0
LIMIT_S = 600.0
BODY = {"postgres": "'{\"n\":' || n || '}'", "trino": "concat('{\"n\":', cast(n as varchar), '}')"}
DIGEST = {"postgres": "md5({body})", "trino": "lower(to_hex(md5(to_utf8({body}))))"}
BY_TURNS = " order by numbers.n / 1500, mod(numbers.n, 3), numbers.n"
"""Three partitions, 500 records at a time."""
NUMBERS = {
    "postgres": "select generate_series(0::bigint, {last}::bigint) as n",
    "trino": "select cast(a * 1000 + b as bigint) as n"
    " from unnest(sequence(0, {thousands})) as x(a) cross join unnest(sequence(0, 999)) as y(b)",
}


def reader(engine: str, host: str, port: int, table: str) -> TableReader:
    """A reader that may create the table."""
    if engine == "postgres":
        from pytest_vdkprobe.readers.postgres import (  # noqa: PLC0415 - one driver a client
            PostgresReader,
            PostgresReaderSettings,
        )

        return PostgresReader(
            PostgresReaderSettings(
                host=host,
                port=port,
                user="postgres",
                database="postgres",
                table=table,
                create=True,
                statement_timeout_s=LIMIT_S,
                compare=COMPARED,
            )
        )
    from pytest_vdkprobe.readers.trino import (  # noqa: PLC0415 - as above
        TrinoReader,
        TrinoReaderSettings,
    )

    return TrinoReader(
        TrinoReaderSettings(
            host=host,
            port=port,
            catalog="memory",
            schema="default",
            table=table,
            create=True,
            statement_timeout_s=LIMIT_S,
            compare=COMPARED,
        )
    )


def fill(engine: str, database: Any, right: str, wrong: str, rows: int) -> None:
    """The rows of a run in `right`, and in `wrong` the same with faults."""
    body = BODY[engine]
    numbers = NUMBERS[engine].format(last=rows - 1, thousands=rows // 1000 - 1)
    columns = "run_id, seq, sent_at_us, body, digest, n"
    right_rows = (
        f"insert into {right} ({columns}) select '{RUN}', n, {START_US} + n, {body},"
        f" {DIGEST[engine].format(body=body)}, n from ({numbers}) as numbers" + BY_TURNS
    )
    wrong_rows = (
        f"insert into {wrong} ({columns}) select run_id, seq, sent_at_us,"
        f" case when mod(seq, {EVERY}) = 9 then 'changed' else body end, digest, n"
        f" from {right} where mod(seq, {EVERY}) <> 7"
        f" union all select {columns} from {right} where mod(seq, {EVERY}) = 8"
    )
    for sql in (right_rows, wrong_rows):
        database.run(sql, deadline=Deadline.after(LIMIT_S))
    if engine == "postgres":
        for table in (right, wrong):
            database.run(f"analyze {table}", deadline=Deadline.after(LIMIT_S))


def expected(rows: int) -> Expectation:
    from pyroaring import BitMap64  # noqa: PLC0415 - as in the package

    sent = BitMap64()
    sent.add_range(0, rows)
    return Expectation(
        RUN,
        profile("bulk"),
        sent=sent,
        acknowledged=sent,
        refused=BitMap64(),
        start_us=START_US,
        rate_per_s=RATE_PER_S,
        within_s=1.0,
        late_s=1.0,
    )


def look(engine: str, host: str, port: int, table: str, rows: int, *, right: bool) -> float:
    """Seconds of one look, which has to be exact."""
    expectation = expected(rows)
    with reader(engine, host, port, table) as one:
        one.prepare(profile("bulk").columns)
        # What lies there before a run is not the run's: here it is.
        one._before = 0
        started = time.perf_counter()
        observation = one.observe(expectation, deadline=Deadline.after(LIMIT_S))
        took_s = time.perf_counter() - started
    account = reconcile(expectation, observation, now_us=expectation.closes_us + 1)
    some = 0 if right else rows // EVERY
    seen = (account.lost, account.duplicate, account.corrupted, account.foreign)
    if seen != (some, some, some, 0):
        raise SystemExit(f"not exact: {seen}, not {some} each\n{account}")
    if not right:
        lost = sorted(expectation.sent - observation.seen)
        if lost != list(range(7, rows, EVERY)) or sorted(observation.duplicated) != list(
            range(8, rows, EVERY)
        ):
            raise SystemExit("other numbers are listed than were planted")
    return took_s


def plain(engine: str, host: str, port: int, table: str) -> float:
    """Seconds of the plain count."""
    with reader(engine, host, port, table) as one:
        database = one._database
        database.run("select 1", deadline=Deadline.after(LIMIT_S))
        started = time.perf_counter()
        database.run(
            f"select count(*), count(distinct seq) from {table}", deadline=Deadline.after(LIMIT_S)
        )
        return time.perf_counter() - started


def child(engine: str, host: str, port: int, rows: int, rounds: int) -> None:
    """One size in a process of its own."""
    right, wrong = f"right_{rows}", f"wrong_{rows}"
    with reader(engine, host, port, right) as one, reader(engine, host, port, wrong) as other:
        for each in (one, other):
            each.prepare(profile("bulk").columns)
        fill(engine, one._database, right, wrong, rows)
        times: dict[str, list[float]] = {"plain": [], "right": [], "wrong": []}
        for _ in range(rounds):
            times["plain"].append(plain(engine, host, port, right))
            times["right"].append(look(engine, host, port, right, rows, right=True))
            times["wrong"].append(look(engine, host, port, wrong, rows, right=False))
        status = Path("/proc/self/status").read_text()
        mb = float(status.partition("VmHWM:")[2].split()[0]) / 1024
        for each in (one, other):
            each.remove()
    told = {name: statistics.median(found) for name, found in times.items()} | {"mb": mb}
    print(json.dumps(told))


def measure(engine: str, sizes: list[int], rounds: int) -> list[str]:
    """Start the engine, measure each size; the names of the figures missed."""
    from pytest_vdkprobe.sandbox.engines import catalogue  # noqa: PLC0415 - not in clients

    catalogue.fetch((engine,), progress=print)
    missed = []
    with catalogue.engine_class(engine)() as running:
        for rows in sizes:
            address = running.address
            command = [sys.executable, __file__, "--child", engine, address.host, str(address.port)]
            command += [str(rows), str(rounds)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            told = json.loads(done.stdout)
            right, wrong = told["right"] / told["plain"], told["wrong"] / told["plain"]
            print(
                f"{engine:<9} {rows:>11,} rows   plain {told['plain']:6.2f} s"
                f"   right {told['right']:6.2f} s = {right:.2f}x"
                f"   to list {told['wrong']:6.2f} s = {wrong:.2f}x   client {told['mb']:.0f} MB",
                flush=True,
            )
            largest = rows == max(sizes)
            if largest and right > WANTED_RIGHT:
                missed.append(f"{engine} {rows} right")
            if largest and wrong > WANTED_WRONG:
                missed.append(f"{engine} {rows} wrong")
            if told["mb"] > WANTED_MB:
                missed.append(f"{engine} {rows} memory")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", default="postgres,trino")
    parser.add_argument("--rows", default="1000000,10000000")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        engine, host, port, rows, rounds = options.child
        child(engine, host, int(port), int(rows), int(rounds))
        return 0
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, medians of {options.rounds}")
    sizes = [int(text) for text in options.rows.split(",")]
    missed = []
    for engine in options.engines.split(","):
        chosen = sizes[:1] if engine == "trino" else sizes
        missed += measure(engine, chosen, options.rounds)
    limits = f"wanted at most {WANTED_RIGHT:g}x, {WANTED_WRONG:g}x, {WANTED_MB:g} MB"
    print(f"{limits}; " + ("missed: " + ", ".join(missed) if missed else "all within"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
