"""A watch that goes on: what it holds in memory, exports and keeps on the disk must not grow.

A sandbox of its own gets an event and a task every tenth of a second, and is right but for a share
of them: lost, late, doubled, refused, unavailable. Resident memory is that of the watch and of its
scenarios' processes, and not the sandbox's. The first fifth is for warming up; of the rest, the
last quarter is held against the first, medians.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pytest_vdkprobe.config.toml import as_toml
from pytest_vdkprobe.sandbox.faults import Fault
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import pause
from tests.plugin.watching import Watch, children
from tests.unit.events.streams import table

INTERVAL_S = 0.1
ROUND_S = 1.0
SAMPLES = 200
ALLOWED = 0.05
"""By so much resident memory may have grown."""
WRONG = (
    Fault(name="events-loses", share=0.005),
    Fault(name="events-late", share=0.005, delay_s=1.5),
    Fault(name="events-duplicates", share=0.005),
    Fault(name="status", status=503, share=0.01, method="POST", path="^/sandbox/events/collect"),
    Fault(name="status", status=503, share=0.05, method="GET", path="^/metadata/"),
)


class Sample(NamedTuple):
    """What a watch takes up at one moment."""

    at_s: float
    resident_mb: float
    series: int
    state_kb: float
    """Its state folder on the disk."""


class Soak(NamedTuple):
    """All samples of a run, and how much it had to do in it."""

    samples: list[Sample]
    events: int
    tasks: int

    @property
    def growth(self) -> float:
        """Of resident memory, as a share; the warm-up left out."""
        warm = self.samples[len(self.samples) // 5 :]
        quarter = math.ceil(len(warm) / 4)
        first = statistics.median(sample.resident_mb for sample in warm[:quarter])
        last = statistics.median(sample.resident_mb for sample in warm[-quarter:])
        return last / first - 1

    @property
    def series(self) -> set[int]:
        """How many series there were; of a flat number there is one."""
        return {sample.series for sample in self.samples}

    @property
    def grown(self) -> bool:
        """Whether there is more than is allowed."""
        return len(self.series) > 1 or self.growth > ALLOWED

    def __str__(self) -> str:
        first, last = self.samples[len(self.samples) // 5], self.samples[-1]
        counts = " or ".join(str(count) for count in sorted(self.series))
        return (
            f"soak: {last.at_s:.0f} s, {self.events} events, {self.tasks} tasks, {counts} series, "
            f"{first.resident_mb:.1f} MB then {last.resident_mb:.1f} MB ({self.growth:+.1%}), "
            f"state {first.state_kb:.0f} kB then {last.state_kb:.0f} kB"
        )


def add_parser(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """Add the command `watch`."""
    parser = commands.add_parser(
        "watch", help="memory of a watch that goes on", description=__doc__
    )
    parser.add_argument("--seconds", type=float, default=3600.0)
    return parser


def run(options: argparse.Namespace) -> int:
    """Soak, print what came of it; 1 if anything grew."""
    found = soak(options.seconds)
    print(found)
    return 1 if found.grown else 0


def soak(seconds: float) -> Soak:
    """Watch for so long once every check has had its first verdict."""
    with Sandbox(executor="instant") as sandbox, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _configure(sandbox, folder)
        chosen = "--vdk-scenarios=events,endpoints"
        with Watch(folder, "--vdk-watch", chosen) as watch:
            for check in ("events[pipeline]", "endpoints[local]"):
                watch.wait_for(f"{check}  PASS")
            for fault in WRONG:
                sandbox.faults.plant(fault)
            began = time.monotonic()
            samples: list[Sample] = []
            while not samples or samples[-1].at_s < seconds:
                pause(max(0.5, seconds / SAMPLES))
                samples.append(_sample(watch, time.monotonic() - began))
            found = watch.metrics()
            watch.end()
        return Soak(
            samples,
            int(found['vdkprobe_events_sent_total{check="events[pipeline]"}']),
            int(found['vdkprobe_tasks_created_total{check="endpoints[local]"}']),
        )


def _configure(sandbox: Sandbox, folder: Path) -> None:
    many = 10**9
    allow = dict.fromkeys(("lost", "late", "duplicate", "refused"), many)
    pipeline = table(sandbox, interval_s=INTERVAL_S, within_s=1.0, late_s=1.0, allow=allow)
    endpoint = {
        "name": "local",
        "url": f"{sandbox.url}/metadata/sandbox",
        "interval_s": INTERVAL_S,
        # Tasks are tracked for a day unless told otherwise, and would fill up memory that long.
        "dismiss_s": 5.0,
        "clean_s": 1.0,
        "allow": {"failed": many},
    }
    tables = {
        "events": [pipeline],
        "endpoints": [endpoint],
        "watch": {"interval_s": ROUND_S, "state_folder": str(folder / "state")},
        "metrics": {"address": "127.0.0.1"},
    }
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "platform.toml").write_text(as_toml(tables))


def _sample(watch: Watch, at_s: float) -> Sample:
    pids = [watch.process.pid, *children(watch.process.pid)]
    state = map(_bytes, watch.folder.glob("state/**/*"))
    return Sample(at_s, sum(map(_resident_mb, pids)), len(watch.metrics()), sum(state) / 1024)


def _bytes(path: Path) -> int:
    """Of a file; a file that is written anew has another for a moment, which then is gone."""
    with suppress(FileNotFoundError):
        return path.stat().st_size if path.is_file() else 0
    return 0


def _resident_mb(pid: int) -> float:
    """Of a process; one that ended meanwhile has none."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0.0
