"""Heartbeats that are stopped and killed at any moment: the next one leaves nothing of theirs.

Half are hit while a certain call hangs, each call of a run in turn, before or after it had its
effect; the others at a random moment. By SIGINT, SIGTERM or SIGKILL, sent to the process that was
started or to all of its session, alone or with `-n2`. On the platform stand decoys: a job of our
prefix made by hand, one that carries a lease which is not in our store, and the job of a run that
is still alive. After each, the next run or `--vdk-sweep` must leave these and nothing else.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ci.soak.pool import Progress, add_options, each, first_seed
from pytest_vdkprobe.errors import WaitFailure
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import pause
from tests.integration.faulted import SOMEBODYS, create_foreign_job
from tests.integration.heartbeats import configuration, heartbeat, leftovers, sandbox
from tests.integration.running import Running

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
GRACE_S = 15.0
LIMITS = f"step_timeout_s = 30\ncleanup_timeout_s = 8\ngrace_s = {GRACE_S:.0f}"
LONGEST_RUN_S = {False: 2.5, True: 6.0}
"""By whether it is full: about how long a run takes, so the latest moment to hit one."""
BY_HAND, FOREIGN, ALIVE = "hello-platform-mine", "hello-platform-theirs", "hello-platform-alive"
DECOYS = (ALIVE, BY_HAND, FOREIGN)


@dataclass(frozen=True)
class Kill:
    """One run and its end, to be repeated by its seed."""

    seed: int
    number: signal.Signals
    full: bool
    workers: int
    everybody: bool
    """Whether the signal goes to all of its session, not to the one process."""
    call: int | None
    """The call that hangs, counted from 0; None for a random moment."""
    when: str
    after_s: float

    def __str__(self) -> str:
        where = f"call {self.call}, {self.when} its effect" if self.call is not None else ""
        return (
            f"--seed {self.seed}: {self.number.name} {where or f'after {self.after_s:.2f} s'}"
            f"{', full' * self.full}{', -n2' * (self.workers > 0)}"
            f"{', to its whole session' * self.everybody}"
        )


@dataclass(frozen=True)
class Killed:
    """What became of one."""

    kill: Kill
    left: list[str]
    """Of ours, after the next run or sweep."""
    touched: list[str]
    """Decoys that are gone."""
    ended: bool
    """Whether it ended in time after its signal."""
    dirty: bool
    """Whether the run left anything itself, for the next one to remove."""
    output: str

    @property
    def clean(self) -> bool:
        """Whether it ended, nothing is left and nothing was touched."""
        return self.ended and not self.left and not self.touched


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add the command `kills`."""
    parser = commands.add_parser(
        "kills", help="leftovers of runs that were stopped or killed", description=__doc__
    )
    return add_options(parser, runs=500)


def run(options: argparse.Namespace) -> int:
    """Run them, count leftovers and decoys touched, print each; 1 if there was any."""
    seed = first_seed(options)
    print(f"{options.runs} heartbeats to be stopped or killed, from --seed {seed} on")
    progress = Progress(options.runs)
    left = touched = dirty = late = 0
    signals: Counter[str] = Counter()
    try:
        for done in soak(options.runs, seed=seed, workers=options.workers):
            left += len(done.left)
            touched += len(done.touched)
            dirty += done.dirty
            late += not done.ended
            signals[done.kill.number.name] += 1
            if not done.clean:
                print(f"\nNOT CLEAN, {done.kill}")
                print(f"ended {done.ended}, left {done.left}, touched {done.touched}")
                print(done.output)
            progress.tell(f"{left} leftovers, {touched} decoys touched, {dirty} had to be swept")
    finally:
        told = ", ".join(f"{count} {name}" for name, count in sorted(signals.items()))
        print(
            f"{progress.done} kills ({told}) in {progress.elapsed_s:.0f} s: {left} leftovers, "
            f"{touched} decoys touched, {late} did not end in time; "
            f"{dirty} left something for the next run to remove"
        )
    return 1 if left or touched or late else 0


def soak(runs: int, *, seed: int, workers: int) -> Iterator[Killed]:
    """The kills, as they finish. Calls are hit in turn: with enough runs, every one of them."""
    calls = {full: count_calls(full=full) for full in (False, True)}
    tasks = [_kill(number, calls) for number in range(seed, seed + runs)]
    return each(tasks, run_killed, workers=workers)


def count_calls(*, full: bool) -> int:
    """How many calls a run makes."""
    with (
        tempfile.TemporaryDirectory(prefix="vdkprobe-soak-") as folder,
        sandbox() as platform,
    ):
        platform.plant("slow", delay_s=0)
        path = configuration(platform, Path(folder))
        heard = heartbeat(path, *_options(full=full))
        if heard.exit_code:
            raise SystemExit(f"A clean run is not green:\n{heard.output}")
        return platform.faults.planted()["slow"]


def run_killed(kill: Kill) -> Killed:
    """One heartbeat, hit as `kill` says, and what the next one leaves."""
    with (
        tempfile.TemporaryDirectory(prefix="vdkprobe-soak-") as name,
        sandbox() as platform,
    ):
        folder = Path(name)
        path = configuration(platform, folder, run=LIMITS)
        lease_file = put_decoys(platform, folder)
        options = [*_options(full=kill.full), *(["-n2"] if kill.workers else [])]
        if kill.call is not None:
            platform.plant("hang", skip=kill.call, times=1, when=kill.when)
        with Running(path, *options) as running:
            ended = _hit(running, platform, kill)
            output = running.output
        platform.faults.clear()
        known = {*DECOYS, lease_file}
        dirty = bool(set(leftovers(platform, folder)) - known)
        output += _next(path, sweeps=kill.seed % 2 == 0)
        there = leftovers(platform, folder)
        left = sorted(set(there) - known)
        return Killed(kill, left, sorted(known - set(there)), ended, dirty, output)


def put_decoys(platform: Sandbox, folder: Path) -> str:
    """Jobs that are not the run's, whatever they look like; the file of the living lease."""
    create_foreign_job(platform, BY_HAND)
    create_foreign_job(platform, FOREIGN, "Heartbeat [vdkprobe lease 0123456789abcdef]")
    store = LeaseStore(folder / "leases", run_id="still-alive")
    where = {"url": platform.url, "team": platform.team}
    lease = store.take("job", ALIVE, where=where)
    create_foreign_job(platform, ALIVE, f"{SOMEBODYS} {lease.mark}")
    return lease.path.name


def _kill(seed: int, calls: dict[bool, int]) -> Kill:
    dice = random.Random(seed)
    full = dice.random() < 0.3
    return Kill(
        seed=seed,
        number=SIGNALS[seed % 3],
        full=full,
        workers=2 if dice.random() < 0.25 else 0,
        everybody=dice.random() < 0.5,
        # A third number in turn beside that of the signals, so that each call meets each signal.
        call=(seed // 6) % calls[full] if seed // 3 % 2 else None,
        when=dice.choice(("before", "after")),
        after_s=dice.uniform(0.1, LONGEST_RUN_S[full]),
    )


def _hit(running: Running, platform: Sandbox, kill: Kill) -> bool:
    """Wait for the moment, send the signal; whether it then ended in time."""
    if kill.call is None:
        pause(kill.after_s)
    else:
        # A run that makes fewer calls this time ends by itself, which is as good.
        running.until(
            "the call", lambda: platform.faults.planted()["hang"] or running.process.poll() == 0
        )
    if running.process.poll() is None:
        running.signal_all(kill.number) if kill.everybody else running.signal(kill.number)
    try:
        running.end(within_s=2 * GRACE_S)
    except WaitFailure:
        return False
    return True


def _next(path: Path, *, sweeps: bool) -> str:
    """What comes after: a sweep, or an ordinary run."""
    if not sweeps:
        return heartbeat(path, "heartbeat[hello-platform]::reach").output
    with Running(path, "--vdk-sweep") as running:
        running.end()
        return running.output


def _options(*, full: bool) -> list[str]:
    return [] if full else ["--vdk-quick"]
