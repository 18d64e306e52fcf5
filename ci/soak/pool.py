"""Many heartbeats, a few at a time, that end cleanly when their user has seen enough.

Each is a process of its own, so threads are enough to drive them. On Ctrl-C or SIGTERM nothing new
begins, those under way are interrupted as well, so that they clean up after themselves, and all is
waited for.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

INTERRUPTED = 130
"""128 + SIGINT, as shells count."""


def add_options(parser: argparse.ArgumentParser, *, runs: int) -> argparse.ArgumentParser:
    """How many, how many at a time, and from which seed on."""
    parser.add_argument("--runs", type=int, default=runs, metavar="N", help=f"default: {runs}")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="at a time (default 2)")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the first run; the next has one more"
    )
    return parser


def first_seed(options: argparse.Namespace) -> int:
    """As given, or any."""
    return random.randrange(1_000_000) if options.seed is None else int(options.seed)


def each(tasks: Iterable[T], work: Callable[[T], R], *, workers: int) -> Iterator[R]:
    """What `work` makes of each task, as they finish."""
    with suppress(ValueError):  # only the main thread may
        # SIGINT too: a shell starts what it puts in the background with SIGINT ignored, and all
        # that we start would inherit that.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="soak")
    futures: list[Future[R]] = [pool.submit(work, task) for task in tasks]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        # Also when the one who iterates stops, or when work has raised.
        pool.shutdown(wait=False, cancel_futures=True)
        if not all(future.done() for future in futures):
            _interrupt_children()
        pool.shutdown()


def _interrupt_children() -> None:
    """Send SIGINT to the processes that we started; nothing where the system can't tell them."""
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for pid in listing.read_text().split():
                os.kill(int(pid), signal.SIGINT)


class Progress:
    """A line on standard error, replaced on a terminal, and now and then elsewhere."""

    def __init__(self, total: int, *, every_s: float = 10.0) -> None:
        self.total = total
        self.done = 0
        self._every_s = 0.1 if sys.stderr.isatty() else every_s
        self._started = self._told = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._started

    def tell(self, what: str) -> None:
        """One more is done; `what` is the state of the whole."""
        self.done += 1
        now = time.monotonic()
        if now - self._told < self._every_s and self.done not in (1, self.total):
            return
        self._told = now
        start, end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "\n")
        if self.done == self.total:
            end = "\n"
        line = f"{self.done}/{self.total} after {self.elapsed_s:.0f} s: {what}"
        print(f"{start}{line}", end=end, file=sys.stderr, flush=True)
