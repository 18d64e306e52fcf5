"""How soon the sandbox's engines are ready from a warm cache, alone and all together.

Medians of several starts each, with the archives of classes and without. All together go through
the supervisor, as in a run. The machine's load is printed beside them, since it decides them.

    python ci/bench/engines.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from pytest_vdkprobe.sandbox.engines import catalogue, sharing
from pytest_vdkprobe.sandbox.engines.addresses import ENGINES
from pytest_vdkprobe.sandbox.engines.java import JavaEngine

LIMITS_S = {"postgres": 1.0, "kafka": 4.0, "trino": 12.0}
"""What each may take; all together a third more than the slowest alone."""


def start_s(name: str, *, archive: bool) -> float:
    engine = catalogue.engine_class(name)()
    if isinstance(engine, JavaEngine):
        engine.use_archive = archive
    started = time.monotonic()
    with engine:
        return time.monotonic() - started


def together_s() -> float:
    run = sharing.begin()
    started = time.monotonic()
    try:
        sharing.acquire(ENGINES, run=run)
        return time.monotonic() - started
    finally:
        sharing.end(run)


def median_s(measure: Callable[[], float], rounds: int) -> float:
    return statistics.median(measure() for _ in range(rounds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    catalogue.fetch(ENGINES, progress=print)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, medians of {rounds}")
    missed = []
    slowest_s = 0.0
    for name in ENGINES:
        with_s = median_s(partial(start_s, name, archive=True), rounds)
        without_s = median_s(partial(start_s, name, archive=False), rounds)
        slowest_s = max(slowest_s, with_s)
        print(f"{name:<10} {with_s:6.2f} s   without archive {without_s:6.2f} s", flush=True)
        if with_s > LIMITS_S[name]:
            missed.append(name)
    all_s = median_s(together_s, rounds)
    limit_s = slowest_s * 4 / 3
    print(
        f"{'together':<10} {all_s:6.2f} s   at most {limit_s:.2f} s; load {os.getloadavg()[0]:.1f}"
    )
    if all_s > limit_s:
        missed.append("together")
    print(f"missed: {', '.join(missed)}" if missed else "all within their limits")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
