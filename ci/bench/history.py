"""What the history costs: files hashed and kept, steps compared, one command; and if it is right.

Each figure is taken beside what it is measured against, in the same run: `sha256sum` over the same
files, `python -c 'import sqlalchemy'`. Files are small, as models are, and lie in the page cache
after a first reading. Change detection is judged on generated histories whose edits are known.

    python ci/bench/history.py [--files 100000] [--rounds 3] [--histories 1000] [--postgres]

Exit code 1 when a figure is missed. The machine's load is printed first, since it decides them.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_vdkprobe.history import changes, executions, steps
from pytest_vdkprobe.history.changes import Kind
from pytest_vdkprobe.history.executions import Status
from pytest_vdkprobe.history.schema import open_history
from pytest_vdkprobe.sandbox.engines.postgres import Postgres
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import Work

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.unit.history.repositories import STEPS, Repository, Truth, as_truth

FACTOR, SLACK_S = 1.5, 10.0
COMPARE_S, COMMAND_S, MEMORY_MB = 2.0, 0.5, 150.0
VDKPROBE = [sys.executable, "-m", "pytest_vdkprobe.cli.main", "history", "-l", "ERROR"]


class Spent:
    """What a process took, as the kernel counts it."""

    def __init__(self, *command: str, folder: Path) -> None:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        self.out = process.stdout.read().strip()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{shlex.join(command)}: exit code {process.returncode}")
        self.wall_s = time.monotonic() - started
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.memory_mb = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def medians(spent: list[Spent]) -> tuple[float, float]:
    """Of the time on the clock and of the time on a processor."""
    return (
        statistics.median(one.wall_s for one in spent),
        statistics.median(one.cpu_s for one in spent),
    )


class Figures:
    """Prints each figure with its limit, and remembers those that were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def tell(self, what: str, value: float, limit: float, unit: str, beside: str = "") -> None:
        met = value <= limit
        if not met:
            self.missed.append(what)
        print(
            f"{what:<44} {value:8.2f} {unit:<3} at most {limit:7.2f} {unit:<3}"
            f" {'met' if met else 'MISSED':<7} {beside}",
            flush=True,
        )


def write_models(folder: Path, count: int) -> None:
    """Files of 0.1 to 1 KB, 100 in a folder."""
    chance = random.Random(8)
    for start in range(0, count, 100):
        inside = folder / str(start // 10_000) / str(start // 100)
        inside.mkdir(parents=True)
        for number in range(start, min(start + 100, count)):
            text = f"select {number}\nfrom   t{number}\n" + "where x = 1\n" * chance.randint(5, 60)
            (inside / f"m{number}.sql").write_text(text)


def measure_models(url: str, name: str, folder: Path, rounds: int, figures: Figures) -> None:
    """Steps of many files: kept, and compared with the step before."""
    hashed: list[Spent] = []
    kept: list[Spent] = []
    compared: list[Spent] = []
    previous = "NO_LAST_SUCCESSFUL_EXECUTION"
    for _ in range(rounds):
        bare = Spent(
            "sh",
            "-c",
            "find models -type f -print0 | xargs -0 sha256sum > /dev/null",
            folder=folder,
        )
        hashed.append(bare)
        execution = Spent(*VDKPROBE, url, "init-execution", folder=folder).out
        step = Spent(
            *VDKPROBE, url, "init-step", execution, "LOAD", "models", "**/*.sql", folder=folder
        )
        kept.append(step)
        if previous.count("-"):
            one = Spent(*VDKPROBE, url, "compare-step-models", step.out, previous, folder=folder)
            compared.append(one)
            assert one.out == "", "nothing has changed"
        Spent(*VDKPROBE, url, "complete-execution", execution, folder=folder)
        previous = execution
    bare_s, bare_cpu_s = medians(hashed)
    kept_s, kept_cpu_s = medians(kept)
    beside = f"sha256sum {bare_s:.2f} s; CPU {kept_cpu_s:.2f} s against {bare_cpu_s:.2f} s"
    figures.tell(f"{name}: hash and keep", kept_s, FACTOR * bare_s + SLACK_S, "s", beside)
    compared_s, compared_cpu_s = medians(compared)
    beside = f"CPU {compared_cpu_s:.2f} s"
    figures.tell(f"{name}: compare two such steps", compared_s, COMPARE_S, "s", beside)
    memory = max(one.memory_mb for one in (*kept, *compared))
    figures.tell(f"{name}: most memory", memory, MEMORY_MB, "MB")


def measure_command(folder: Path, rounds: int, figures: Figures) -> None:
    """One command from start to exit, beside importing SQLAlchemy alone."""
    url = "sqlite:///command.db"
    Spent(*VDKPROBE, url, "init-execution", folder=folder)
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(Spent(sys.executable, "-c", "import sqlalchemy", folder=folder))
        ours.append(Spent(*VDKPROBE, url, "get-last-successful-execution", folder=folder))
    bare_s, bare_cpu_s = medians(bare)
    ours_s, ours_cpu_s = medians(ours)
    beside = (
        f"python -c 'import sqlalchemy' {bare_s:.2f} s;"
        f" CPU {ours_cpu_s:.2f} s against {bare_cpu_s:.2f} s"
    )
    figures.tell("SQLite: one command", ours_s, COMMAND_S, "s", beside)


def judge_changes(folder: Path, histories: int) -> dict[Kind, tuple[float, float]]:
    """Precision and recall of each kind over generated histories of two rounds of edits."""
    right: Counter[Kind] = Counter()
    told: Counter[Kind] = Counter()
    done: Counter[Kind] = Counter()
    database = open_history(Address.parse(f"sqlite:///{folder}/changes.db", source="bench"))
    for seed in range(histories):
        repository = Repository(1_000_000 + seed)
        with database.begin() as work:
            before = _execute(work, repository)
            for _ in range(2):
                truth: Truth = repository.edit()
                after = _execute(work, repository)
                found = as_truth(changes.between(work, before, after))
                right.update(kind for kind, *_ in found & truth)
                told.update(kind for kind, *_ in found)
                done.update(kind for kind, *_ in truth)
                before = after
    database.close()
    return {kind: (right[kind] / told[kind], right[kind] / done[kind]) for kind in Kind}


def _execute(work: Work, repository: Repository) -> str:
    execution = executions.begin(work)
    for step in STEPS:
        steps.begin(work, execution, step, repository.models(step))
    executions.end(work, execution, Status.COMPLETED)
    return execution


@contextmanager
def _postgres() -> Iterator[str]:
    with Postgres() as engine:
        yield f"postgresql://{engine.address.user}@{engine.address.endpoint}/postgres"


def main() -> int:
    """Measure, print, and say by the exit code whether all figures are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--postgres", action="store_true", help="also on the real PostgreSQL")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, medians of {options.rounds}")
    figures = Figures()
    folder = Path(tempfile.mkdtemp(prefix="vdkprobe-bench-"))
    try:
        measure_command(folder, 5 * options.rounds, figures)
        for kind, (precision, recall) in judge_changes(folder, options.histories).items():
            both = f"precision {precision:.4f}, recall {recall:.4f}"
            wrong = 1 - min(precision, recall)
            figures.tell(f"{options.histories} histories: wrong {kind}", wrong, 0.0, "", both)
        write_models(folder / "models", options.files)
        of = f", {options.files} files"
        measure_models("sqlite:///models.db", f"SQLite{of}", folder, options.rounds, figures)
        if options.postgres:
            with _postgres() as url:
                measure_models(url, f"PostgreSQL{of}", folder, options.rounds, figures)
    finally:
        shutil.rmtree(folder)
    print("missed: " + ", ".join(figures.missed) if figures.missed else "all met")
    return 1 if figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
