"""Heartbeats on a platform that is right, but slow or unavailable for a call in twenty: all green.

Each run has a sandbox and dice of its own, seeded from the number of the run. Of the calls, POSTs
included, 1.5 % answer 503 without an effect, 1 % answer 503 although they had theirs, and 2.5 %
are late by a fifth of a second. One run in five goes through all steps; the others are
`--vdk-quick`, which leaves out the schedule and takes a third of the time.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci.soak.pool import Progress, add_options, each, first_seed
from tests.integration.heartbeats import configuration, heartbeat, leftovers, sandbox

UNAVAILABLE, AMBIGUOUS, SLOW = 0.015, 0.01, 0.025
LATE_S = 0.2
FULL_EVERY = 5
LIMITS = "step_timeout_s = 60\ncleanup_timeout_s = 60"
"""A call that is unlucky several times in a row is no failure of the platform."""


@dataclass(frozen=True)
class Run:
    """One clean heartbeat, to be repeated by its seed."""

    seed: int
    full: bool


@dataclass(frozen=True)
class Clean:
    """What became of one."""

    run: Run
    exit_code: int
    output: str
    hits: int
    """How many calls were slow or answered 503."""
    left: list[str]

    @property
    def green(self) -> bool:
        """Whether it raised no false alarm, and left nothing."""
        return self.exit_code == 0 and not self.left


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add the command `clean`."""
    parser = commands.add_parser(
        "clean", help="false alarms on a platform that is right", description=__doc__
    )
    return add_options(parser, runs=1000)


def run(options: argparse.Namespace) -> int:
    """Run them, count false alarms, print the first; 1 if there was any."""
    seed = first_seed(options)
    print(f"{options.runs} clean heartbeats from --seed {seed} on")
    progress = Progress(options.runs)
    alarms = hits = full = 0
    try:
        for done in soak(options.runs, seed=seed, workers=options.workers):
            hits += done.hits
            full += done.run.full
            if not done.green:
                alarms += 1
                if alarms == 1:
                    print(f"\nFALSE ALARM, --seed {done.run.seed}, full: {done.run.full}")
                    print(f"left: {done.left}\n{done.output}")
            progress.tell(f"{alarms} false alarms, {hits} calls hit")
    finally:
        print(
            f"{progress.done} heartbeats ({full} with all steps, {progress.done - full} quick) in "
            f"{progress.elapsed_s:.0f} s: {alarms} false alarms, {hits} calls slow or unavailable"
        )
    return 1 if alarms else 0


def soak(runs: int, *, seed: int, workers: int) -> Iterator[Clean]:
    """The clean heartbeats, as they finish."""
    tasks = [Run(number, full=number % FULL_EVERY == 0) for number in range(seed, seed + runs)]
    return each(tasks, run_clean, workers=workers)


def run_clean(run: Run) -> Clean:
    """One heartbeat on a sandbox with that run's dice."""
    with (
        tempfile.TemporaryDirectory(prefix="vdkprobe-soak-") as name,
        sandbox(seed=run.seed) as platform,
    ):
        folder = Path(name)
        platform.plant("status", share=UNAVAILABLE)
        platform.plant("status", share=AMBIGUOUS, when="after")
        platform.plant("slow", share=SLOW, delay_s=LATE_S)
        path = configuration(platform, folder, run=LIMITS)
        try:
            heard = heartbeat(path, *([] if run.full else ["--vdk-quick"]))
        except (AssertionError, subprocess.TimeoutExpired) as exc:
            # It left no report, or did not end: the worst of false alarms.
            return Clean(run, -1, f"{type(exc).__name__}: {exc}", 0, [])
        hits = sum(platform.faults.planted().values())
        platform.faults.clear()
        bugs = "".join(platform.bugs)
        left = leftovers(platform, folder)
        return Clean(run, heard.exit_code, heard.output + bugs, hits, left)
