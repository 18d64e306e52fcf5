"""Journeys that mostly wait, side by side: `-n 8` against `-n 1`.

A real platform takes seconds to start a job and minutes to build one, and a heartbeat that waits
costs nothing; so several jobs should take hardly longer than one. Here a sandbox, in a process of
its own, takes its time for every deployment and every start. All steps run but those of the
schedule (`--vdk-quick`), whole processes are timed, and both runs must be green.

    python ci/bench/journeys.py [--journeys 32] [--workers 8] [--delay-s 1] [--target 6]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOT_OURS = ("hypothesispytest", "anyio", "platformdirs")
"""pytest plugins of the development environment, which a user's does not have, and each worker
would load."""

RUN = """
[run]
lease_folder = "{leases}"
"""


@dataclass(frozen=True)
class Took:
    """What a run took, and where its journeys spent their time."""

    wall_s: float
    cpu_s: float
    journeys_s: float
    """Of all steps together."""


@contextmanager
def slow_sandbox(delay_s: float) -> Iterator[dict[str, Any]]:
    """A sandbox that takes `delay_s` for each deployment and each start; its configuration."""
    knobs = {"executor": "instant", "deploy_delay_s": delay_s, "start_delay_s": delay_s}
    with subprocess.Popen(
        [sys.executable, "-m", "pytest_vdkprobe.sandbox", json.dumps(knobs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield json.loads(process.stdout.readline())["configuration"]
        finally:
            process.stdin.close()  # which is when it stops
            process.wait()


def write_configuration(tables: dict[str, Any], folder: Path, journeys: int) -> None:
    """A platform.toml with as many jobs."""
    control = "\n".join(
        f"{key} = {json.dumps(value)}" for key, value in tables["control"].items() if key != "auth"
    )
    jobs = "\n".join(f'[[jobs]]\nname = "journey-{number:02}"' for number in range(journeys))
    text = f"[control]\n{control}\n{RUN.format(leases=folder / 'leases')}\n{jobs}\n"
    (folder / "platform.toml").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")


def run(folder: Path, workers: int) -> Took:
    """All journeys with so many workers; raises SystemExit with the output if one is not green."""
    command = [sys.executable, "-m", "pytest", "-q", "--vdk-config=platform.toml", "--vdk-quick"]
    command += [f"-n{workers}", "--vdk-report=report.json", "-p", "no:cacheprovider"]
    command += [f"-pno:{plugin}" for plugin in NOT_OURS]
    log = folder / "output.txt"
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "VDKPROBE_HISTORY": "off"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"-n{workers} is not green:\n{log.read_text()[-3000:]}")
    report = json.loads((folder / "report.json").read_text())
    steps = [step for journey in report["journeys"] for step in journey["steps"]]
    journeys_s = sum(step["duration_s"] or 0.0 for step in steps)
    return Took(wall_s, usage.ru_utime + usage.ru_stime, journeys_s)


def main() -> int:
    """Measure, print, and say by the exit code whether the target is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--journeys", type=int, default=32, help="how many jobs (default 32)")
    parser.add_argument("--workers", type=int, default=8, help="processes side by side (default 8)")
    parser.add_argument("--delay-s", type=float, default=1.0, help="of deployments and starts")
    parser.add_argument("--target", type=float, default=6.0, help="how many times faster to be")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as name, slow_sandbox(options.delay_s) as tables:
        folder = Path(name)
        write_configuration(tables, folder, options.journeys)
        took: dict[int, Took] = {}
        for workers in (options.workers, 1):
            print(f"{options.journeys} journeys with -n{workers} ...", file=sys.stderr)
            took[workers] = run(folder, workers)
            one = took[workers]
            each_s = one.journeys_s / options.journeys
            print(
                f"-n{workers:<3} {one.wall_s:>7.1f} s wall {one.cpu_s:>6.1f} s CPU, "
                f"{each_s:.1f} s a journey",
                flush=True,
            )
    faster = took[1].wall_s / took[options.workers].wall_s
    met = faster >= options.target
    print(
        f"{faster:.1f} times faster; target {options.target:g}: {'met' if met else 'MISSED'} "
        f"({options.workers} would be perfect)"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
