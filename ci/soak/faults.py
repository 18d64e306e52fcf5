"""The table fault x (verdict, step, seconds), as Markdown; vdk-heartbeat's verdicts beside it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ci.soak.beside import Theirs, fetch, run_theirs
from ci.soak.pool import Progress, each
from tests.integration.fault_table import TABLE, Planted
from tests.integration.faulted import Faulted, run_faulted

RESULT = Path("build") / "soak" / "faults.md"


@dataclass(frozen=True)
class Row:
    """One fault, and what both have seen of it."""

    planted: Planted
    ours: Faulted | None = None
    theirs: Theirs | None = None


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add the command `faults`."""
    parser = commands.add_parser(
        "faults", help="every fault: verdict, step, seconds", description=__doc__
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of these faults (default: all)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="at a time (default 2)")
    parser.add_argument(
        "--beside", action="store_true", help="run vdk-heartbeat too, up to two minutes each"
    )
    parser.add_argument(
        "--beside-workers", type=int, default=6, metavar="N", help="at a time; it mostly sleeps"
    )
    parser.add_argument(
        "--result", type=Path, default=RESULT, metavar="FILE", help=f"default: {RESULT}"
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Run the table; 1 if a fault was not seen at its step."""
    rows = [row for row in TABLE if not options.only or row.name in options.only]
    unknown = set(options.only or ()) - {row.name for row in rows}
    if unknown:
        print(f"no such fault: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    found = {row.name: Row(row) for row in rows}
    progress = Progress(len(rows))
    wrong = 0
    for ours in each(rows, _ours, workers=options.workers):
        found[ours.row.name] = Row(ours.row, ours)
        wrong += not ours.as_expected
        progress.tell(f"{ours.row.name}: {' '.join(reversed(ours.heard.first_bad))}, {wrong} wrong")
    if options.beside:
        made = fetch()
        progress = Progress(len(rows))

        def theirs(row: Planted) -> tuple[Planted, Theirs]:
            with tempfile.TemporaryDirectory(prefix="vdkprobe-soak-") as folder:
                return row, run_theirs(row, Path(folder), made)

        for row, their in each(rows, theirs, workers=options.beside_workers):
            found[row.name] = Row(row, found[row.name].ours, their)
            progress.tell(f"vdk-heartbeat on {row.name}: {their.verdict}")
    text = table(list(found.values()))
    options.result.parent.mkdir(parents=True, exist_ok=True)
    options.result.write_text(text, encoding="utf-8")
    print(text)
    print(f"{len(rows) - wrong} of {len(rows)} as expected; written to {options.result}")
    return 1 if wrong else 0


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table; only a fault that was not seen where it must be is in bold."""
    lines = [
        "| fault | seen at | verdict | s | message | vdk-heartbeat | s | it left |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row.planted.name, "", "", "", "", "", "", ""]
        if row.ours is not None:
            step, verdict = row.ours.heard.first_bad
            verdict = verdict if row.ours.as_expected else f"**{verdict}**"
            message = row.ours.message or row.planted.unseen
            cells[1:5] = [step or "-", verdict, f"{row.ours.seconds:.1f}", message[:100]]
        if row.theirs is not None:
            left = [_shown(name) for name in row.theirs.left if name != row.planted.foreign_job]
            cells[5:] = [row.theirs.verdict, f"{row.theirs.seconds:.0f}", ", ".join(left) or "-"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _shown(left: str) -> str:
    return left if " " in left else "the job"


def _ours(row: Planted) -> Faulted:
    with tempfile.TemporaryDirectory(prefix="vdkprobe-soak-") as folder:
        return run_faulted(row, Path(folder))
