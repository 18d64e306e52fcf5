"""Ten faults, one line each: planted, seen at, verdict, message. `ci/try faults` shows it."""

from __future__ import annotations

import argparse
import tempfile
import textwrap
from pathlib import Path

from ci.soak.pool import Progress, each
from tests.integration.fault_table import Planted, named
from tests.integration.faulted import Faulted, run_faulted

TEN = (
    "info not json",
    "name taken by a foreign job",
    "list-omits-job",
    "properties-merged",
    "run-vanished",
    "logs-foreign",
    "start-not-exclusive",
    "failure-as-success",
    "deploy-old-code",
    "disable-ineffective",
)
"""From the first step to the last, and such as answer every call with 2xx where that is possible:
who looks at statuses only passes with eight of these."""

SHORT = 120


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add the command `show`."""
    parser = commands.add_parser("show", help="ten faults, one line each", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="at a time (default 2)")
    return parser


def run(options: argparse.Namespace) -> int:
    """Plant each, run a heartbeat, say what it saw; 1 if one was not seen where it must be."""
    rows = named(*TEN)
    print(f"Each of {len(rows)} faults is planted on a sandbox of its own; then a heartbeat runs.")
    print(_line("planted", "seen at", "verdict", "took", "message"), flush=True)
    progress = Progress(len(rows))
    missed, left = [], []
    for done in each(rows, _run, workers=options.workers):
        step, verdict = done.heard.first_bad
        if not done.as_expected:
            missed.append(f"{done.row.name} (expected {done.row.step}, {done.row.verdict})")
        left += [name for name in done.left if name != done.row.foreign_job]
        message = textwrap.shorten(done.short, SHORT, placeholder=" ...")
        print(_line(done.row.name, step or "NOT SEEN", verdict, f"{done.seconds:.1f} s", message))
        progress.done += 1
    seen = len(rows) - len(missed)
    print(
        f"{seen} of {len(rows)} faults seen at their step in {progress.elapsed_s:.0f} s; "
        f"left behind: {', '.join(left) or 'nothing'}"
        + (f"; MISSED: {', '.join(missed)}" if missed else "")
    )
    return 1 if missed or left else 0


def _run(row: Planted) -> Faulted:
    with tempfile.TemporaryDirectory(prefix="vdkprobe-show-") as folder:
        return run_faulted(row, Path(folder))


def _line(planted: str, step: str, verdict: str, took: str, message: str) -> str:
    return f"{planted:<28} {step:<10} {verdict:<7} {took:>6}  {message}"
