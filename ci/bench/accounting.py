"""How quickly events are accounted for, in how much memory, and that every class is exact.

What is timed is the observer alone: arrivals lie ready, as a reader hands them over. Beside each
figure stands a bare loop over the same arrivals, which only puts numbers into a set (and, beside
the second, takes the digest of each body). The schedules are planted: each is made from its seed by
deciding for every record what happens to it, so that the truth is known by construction.

    python ci/bench/accounting.py [--rounds 5] [--schedules 10000] [--events 10000000]

Exit code 1 when a figure is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pyroaring import BitMap64

from pytest_vdkprobe.accounting.account import reconcile
from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.outcomes import Outcome
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.accounting.stream import Arrival, StreamObserver

RUN = "0123abcd"
START_US = 1_795_000_000_000_000
RATE_PER_S = 1000.0
WITHIN_S = 1.0
LATE_S = 2.0
TIMED = 1_000_000
COMPARED = 250_000
CHUNK = 10_000
WANTED_PER_S = {"identity, lateness, order": 1_000_000, "with digests, latency": 250_000}
WANTED_MB = 200


def expectation(name: str, sent: BitMap64, outcomes: dict[int, Outcome]) -> Expectation:
    by_outcome = {outcome: BitMap64() for outcome in Outcome}
    for seq, outcome in outcomes.items():
        by_outcome[outcome].add(seq)
    return Expectation(
        RUN,
        profile(name),
        sent=sent,
        acknowledged=sent - by_outcome[Outcome.REFUSED] - by_outcome[Outcome.UNKNOWN],
        refused=by_outcome[Outcome.REFUSED],
        start_us=START_US,
        rate_per_s=RATE_PER_S,
        within_s=WITHIN_S,
        late_s=LATE_S,
    )


def all_of(count: int) -> BitMap64:
    sent = BitMap64()
    sent.add_range(0, count)
    return sent


def arrivals(expected: Expectation, seqs: range) -> Iterator[Arrival]:
    """As they were sent, 10 ms after their intended time."""
    name = expected.profile.name
    make = profile(name)
    for seq in seqs:
        body = make.body(RUN, seq)
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        yield Arrival(RUN, seq, body, digest, None, expected.intended_us(seq) + 10_000, "0")


def observed_s(expected: Expectation, ready: list[Arrival], *, everything: bool) -> float:
    observer = StreamObserver(expected, compared=everything, measured=everything)
    started = time.perf_counter()
    observer.see_many(ready)
    observation = observer.observation
    took_s = time.perf_counter() - started
    found = reconcile(expected, observation, now_us=expected.closes_us + 1)
    if found.delivered != len(ready) or found.corrupted:
        raise SystemExit(f"not exact: {found}")
    return took_s


def bare_s(ready: list[Arrival], *, digests: bool) -> float:
    seen: set[object] = set()
    started = time.perf_counter()
    for arrival in ready:
        seen.add(arrival.seq)
        if digests:
            body = str(arrival.body).encode()
            if hashlib.md5(body, usedforsecurity=False).hexdigest() != arrival.digest:
                raise SystemExit("a wrong digest")
    return time.perf_counter() - started


def speed(rounds: int) -> list[str]:
    """Both figures, each beside its bare loop; the names of those missed."""
    missed = []
    for (title, wanted), count in zip(WANTED_PER_S.items(), (TIMED, COMPARED), strict=True):
        everything = count == COMPARED
        expected = expectation("small", all_of(count), {})
        ready = list(arrivals(expected, range(count)))
        times: dict[str, list[float]] = {"ours": [], "bare": []}
        measures: dict[str, Callable[[], float]] = {
            "ours": partial(observed_s, expected, ready, everything=everything),
            "bare": partial(bare_s, ready, digests=everything),
        }
        for _ in range(rounds):
            for name, measure in measures.items():
                times[name].append(count / measure())
        ours, bare = (statistics.median(times[name]) for name in ("ours", "bare"))
        print(
            f"{title:<27} {ours:12,.0f} events/s   bare loop {bare:12,.0f}   "
            f"ratio {ours / bare:.2f}   wanted {wanted:,}",
            flush=True,
        )
        if ours < wanted:
            missed.append(title)
    return missed


def memory_mb(events: int) -> float:
    """The most that a process of its own took to account for so many events, digests and all."""
    command = [sys.executable, __file__, "--memory-child", str(events)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(told)


def peak_mb() -> float:
    """The most memory that this process has had. (What getrusage says counts its parent's too.)"""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def memory_child(events: int) -> None:
    expected = expectation("bulk", all_of(events), {})
    observer = StreamObserver(expected)
    for first in range(0, events, CHUNK):
        observer.see_many(arrivals(expected, range(first, min(first + CHUNK, events))))
    found = reconcile(expected, observer.observation, now_us=expected.closes_us + 1)
    if found.delivered != events:
        raise SystemExit(f"not exact: {found}")
    print(peak_mb())


@dataclass
class Truth:
    """What was planted, by number."""

    classes: dict[str, set[int]] = field(
        default_factory=lambda: {
            name: set()
            for name in (
                "delivered",
                "late",
                "lost",
                "refused",
                "unknown",
                "in_flight",
                "contradicted",
                "corrupted",
                "duplicated",
                "displaced",
            )
        }
    )
    duplicate: int = 0
    foreign: int = 0


def schedule(seed: int) -> tuple[Expectation, list[Arrival], int, Truth]:
    """What was sent, what came in which order, the moment of judging, and the truth."""
    rng = random.Random(seed)
    count = rng.randint(1, 300)
    chances = {
        name: rng.choice((0.0, 0.01, 0.1, 0.5))
        for name in ("refused", "unknown", "lost", "doubled", "slow", "changed", "foreign")
    }
    hit = {name: partial(_hit, rng, chance) for name, chance in chances.items()}
    outcomes = {
        seq: Outcome.REFUSED if hit["refused"]() else Outcome.UNKNOWN
        for seq in range(count)
        if hit["refused"]() or hit["unknown"]()
    }
    expected = expectation("small", all_of(count), outcomes)
    came: list[tuple[int, int, bool, str]] = []
    scopes = [str(number) for number in range(rng.randint(1, 3))]
    jitter_us = rng.choice((1, 1000, 20_000, 400_000))
    for seq in range(count):
        if hit["lost"]():
            continue
        copies = 1 + sum(hit["doubled"]() for _ in range(3))
        for _ in range(copies):
            delay_us = rng.randrange(jitter_us)
            if hit["slow"]():
                delay_us = rng.choice((999_999, 1_000_000, 1_000_001, 2_900_000))
            came.append(
                (expected.intended_us(seq) + delay_us, seq, hit["changed"](), rng.choice(scopes))
            )
        if hit["foreign"]():
            came.append((expected.intended_us(seq), count + rng.randrange(5), False, "0"))
    came.sort()
    now_us = rng.choice((expected.closes_us + 1, rng.randint(START_US, expected.closes_us)))
    came = [one for one in came if one[0] <= now_us]
    return expected, [_made(expected, *one) for one in came], now_us, _truth(expected, came, now_us)


def _hit(rng: random.Random, chance: float) -> bool:
    return rng.random() < chance


def _made(expected: Expectation, at_us: int, seq: int, changed: bool, scope: str) -> Arrival:
    record = expected.record(seq)
    body = record.body + " " if changed else record.body
    return Arrival(RUN, seq, body, record.digest, None, at_us, scope)


def _truth(expected: Expectation, came: list[tuple[int, int, bool, str]], now_us: int) -> Truth:
    truth, classes = Truth(), Truth().classes
    truth.classes = classes
    first: dict[int, int] = {}
    for position, (at_us, seq, changed, scope) in enumerate(came):
        if seq not in expected.sent:
            truth.foreign += 1
            continue
        if changed:
            classes["corrupted"].add(seq)
        if seq in first:
            truth.duplicate += 1
            classes["duplicated"].add(seq)
            continue
        first[seq] = at_us
        firsts_before = {
            other for _, other, _, where in came[:position] if where == scope and other in first
        }
        # Only first arrivals tell of order, and only within their scope.
        if any(other > seq and _first_in(came, other) == scope for other in firsts_before):
            classes["displaced"].add(seq)
    for seq in expected.sent:
        if seq in first:
            late = first[seq] > expected.due_us(seq)
            classes["late" if late else "delivered"].add(seq)
            if seq in expected.refused:
                classes["contradicted"].add(seq)
        elif seq in expected.refused:
            classes["refused"].add(seq)
        elif seq in expected.unknown:
            classes["unknown"].add(seq)
        else:
            closed = now_us > expected.due_us(seq) + expected.late_us
            classes["lost" if closed else "in_flight"].add(seq)
    return truth


def _first_in(came: list[tuple[int, int, bool, str]], seq: int) -> str:
    return next(scope for _, other, _, scope in came if other == seq)


def judged_wrong(seed: int) -> str:
    """What the account says otherwise than was planted; empty where all is exact."""
    expected, ready, now_us, truth = schedule(seed)
    observer = StreamObserver(expected)
    observer.see_many(ready)
    observation = observer.observation
    found = reconcile(expected, observation, now_us=now_us)
    wanted: dict[str, object] = {
        name: len(seqs)
        for name, seqs in truth.classes.items()
        if name not in ("duplicated", "displaced")
    }
    wanted |= {
        "duplicate": truth.duplicate,
        "foreign": truth.foreign,
        "reordered": len(truth.classes["displaced"]),
    }
    seen: dict[str, object] = {name: getattr(found, name) for name in wanted}
    for name in ("late", "corrupted", "duplicated", "displaced"):
        wanted[f"{name} numbers"] = sorted(truth.classes[name])
        seen[f"{name} numbers"] = sorted(getattr(observation, name) or ())
    wrong = [
        f"{name}: {seen[name]}, not {wanted[name]}" for name in wanted if seen[name] != wanted[name]
    ]
    return "; ".join(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=10_000_000, help="of the memory's part")
    parser.add_argument("--memory-child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_child:
        memory_child(options.memory_child)
        return 0
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, medians of {options.rounds}")
    missed = speed(options.rounds)
    mb = memory_mb(options.events)
    print(f"{options.events:,} events with digests and latency: {mb:.0f} MB, wanted {WANTED_MB}")
    if mb > WANTED_MB:
        missed.append("memory")
    wrong = {seed: said for seed in range(options.schedules) if (said := judged_wrong(seed))}
    exact = options.schedules - len(wrong)
    print(f"{exact:,} of {options.schedules:,} schedules exact in every class")
    for seed, said in list(wrong.items())[:5]:
        print(f"  seed {seed}: {said}")
    if wrong:
        missed.append("schedules")
    print("missed: " + ", ".join(missed) if missed else "all within their limits")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
