"""Our heartbeat against vdk-heartbeat, on the same service, which answers at once.

Both check the same data job's life on one instant sandbox, which runs in this process and so is in
nobody's figures. They take turns, in pairs, whole processes: wall time, CPU (user and system, of
all processes together) and the peak memory of the largest process come from the kernel (wait4). How
many processes each starts is counted in one more run that is not timed.

Compared is what both do: log in, create, list, fetch the keytab, upload, deploy, start an execution
and follow it, read its log and what it wrote to the properties, delete. vdk-heartbeat also flips
the deployment's flag, without looking what that does; our steps that prove that the schedule fires,
stops and starts again are in the line `all steps`, with the rest.

    python ci/bench/heartbeat.py [--runs 5] [--target 50]

The vdk-heartbeat measured is the pinned one of `vdkprobe sandbox fetch --conformance`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_vdkprobe.sandbox import environment
from pytest_vdkprobe.sandbox.server import Sandbox

TICK_S = 0.5
"""A cron minute: vdk-heartbeat's scheduled run is done before it first looks for it."""

BOTH_DO = ("reach", "create", "list", "keytab", "upload", "deploy", "run", "log", "proof", "delete")

JOB = '''
def run(job_input):
    """What vdk-heartbeat's own `simple` job does, without the package that it imports for show."""
    job_input.set_all_properties({**job_input.get_all_properties(), "succeeded": "true"})
'''

INI = """
[DEFAULT]
CONTROL_API_URL = {url}
VDKCLI_OAUTH2_URI = {token_url}
VDKCLI_OAUTH2_REFRESH_TOKEN = {token}
JOB_TEAM = {team}
JOB_NAME = bench-theirs
DATAJOB_DIRECTORY_PARENT = {jobs}
DATAJOB_DIRECTORY_NAME = simple
JOB_RUN_TEST_MODULE_NAME = vdk.internal.heartbeat.simple_run_test
JOB_RUN_TEST_CLASS_NAME = SimpleRunTest
RUN_TEST_TIMEOUT_SECONDS = 120
"""

TOML = """
[control]
url = "{url}"
team = "{team}"
keytab = "{keytab}"
cron_minute_s = {tick_s}
auth = {{ kind = "api-token", url = "{token_url}", token = {{ env = "BENCH_TOKEN" }} }}

[[jobs]]
name = "bench-ours"

[run]
lease_folder = "{leases}"
"""

NOT_OURS = ("hypothesispytest", "anyio", "platformdirs")
"""pytest plugins of the development environment, which a user's does not have: hypothesis alone
takes a third of a second to load."""

COUNTER = """
import os, sys
def count(event, _):
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"):
        with open(os.environ["BENCH_PROCESSES"], "a") as file:
            file.write("x")
sys.addaudithook(count)
"""
"""A `sitecustomize` that every Python of the tree loads: one letter for each process started."""


@dataclass(frozen=True)
class Spent:
    """What one run took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Contender:
    """Something that can be run: its command and its environment."""

    name: str
    command: list[str]
    environ: dict[str, str]

    def run(self, folder: Path, extra: dict[str, str] | None = None) -> Spent:
        """Run it once, whole; raises SystemExit with its output when it is not green."""
        log = folder / f"{self.name.replace(' ', '-')}.log"
        with log.open("wb") as out:
            started = time.perf_counter()
            process = subprocess.Popen(
                self.command,
                cwd=folder,
                env={**self.environ, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.name} is not green:\n{log.read_text()[-3000:]}")
        # macOS counts bytes, Linux kilobytes.
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        return Spent(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)

    def processes(self, folder: Path) -> int:
        """How many processes one run takes, itself included."""
        counted = folder / "processes"
        counted.write_text("")
        self.run(folder, {"PYTHONPATH": str(folder), "BENCH_PROCESSES": str(counted)})
        return 1 + len(counted.read_text())


def contenders(sandbox: Sandbox, folder: Path) -> list[Contender]:
    """Theirs, ours for what both do, ours whole."""
    baseline = environment.fetch("conformance", progress=lambda line: print(line, file=sys.stderr))
    job = folder / "jobs" / "simple"
    job.mkdir(parents=True)
    (job / "10_simple.py").write_text(JOB)
    facts = {
        "url": sandbox.url,
        "token_url": sandbox.token_url,
        "token": sandbox.tokens.api_token,
        "team": sandbox.team,
        "keytab": sandbox.keytab,
        "tick_s": sandbox.tick_s,
        "jobs": folder / "jobs",
        "leases": folder / "leases",
    }
    (folder / "heartbeat.ini").write_text(INI.format(**facts))
    (folder / "platform.toml").write_text(TOML.format(**facts))
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "sitecustomize.py").write_text(COUNTER)
    common = {
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "BENCH_TOKEN": sandbox.tokens.api_token,
        "OAUTHLIB_INSECURE_TRANSPORT": "1",
    }
    theirs = {**common, "PATH": f"{baseline.folder / 'bin'}{os.pathsep}{os.defpath}"}
    ours = {**common, "PATH": os.defpath}
    pytest = [sys.executable, "-m", "pytest", "-q", "--vdk-config=platform.toml"]
    pytest += [f"-pno:{plugin}" for plugin in NOT_OURS]
    selection = [f"heartbeat[bench-ours]::{step}" for step in BOTH_DO]
    script = str(baseline.script("vdk-heartbeat"))
    return [
        Contender("vdk-heartbeat", [script, "-f", str(folder / "heartbeat.ini")], theirs),
        Contender("ours", [*pytest, *selection], ours),
        Contender("ours, all steps", pytest, ours),
    ]


def main() -> int:
    """Measure, print a table and the ratio; the exit code says whether the target is met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="pairs to run (half a minute each)")
    parser.add_argument("--target", type=float, default=50.0, help="how many times faster to be")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as name, instant_sandbox() as sandbox:
        folder = Path(name)
        theirs, ours, whole = everyone = contenders(sandbox, folder)
        processes = {one.name: one.processes(folder) for one in everyone}  # warms up, too
        spent: dict[str, list[Spent]] = {one.name: [] for one in everyone}
        for turn in range(options.runs):
            order = (theirs, ours) if turn % 2 else (ours, theirs)
            for one in (*order, whole):
                spent[one.name].append(one.run(folder))
            print(f"pair {turn + 1} of {options.runs} done", file=sys.stderr)

    print(f"{'median of ' + str(options.runs):<18} {'wall':>9} {'CPU':>9} {'peak':>8} processes")
    for one in everyone:
        runs = spent[one.name]
        wall_s = statistics.median(run.wall_s for run in runs)
        cpu_s = statistics.median(run.cpu_s for run in runs)
        peak_mb = max(run.peak_mb for run in runs)
        row = f"{wall_s:>7.2f} s {cpu_s:>7.2f} s {peak_mb:>5.0f} MB {processes[one.name]:>9}"
        print(f"{one.name:<18} {row}")
    pairs = list(zip(spent[theirs.name], spent[ours.name], strict=True))
    faster = statistics.median(them.wall_s / us.wall_s for them, us in pairs)
    lighter = statistics.median(them.cpu_s / us.cpu_s for them, us in pairs)
    met = faster >= options.target
    print(
        f"wall: {faster:.1f} times faster, median of pairs; target {options.target:.0f}: ", end=""
    )
    print("met" if met else "MISSED")
    print(f"CPU:  {lighter:.1f} times less, median of pairs")
    return 0 if met else 1


def instant_sandbox() -> Sandbox:
    """A service that answers at once, asks for a login and ends jobs at once."""
    return Sandbox(executor="instant", auth=True, tick_s=TICK_S)


if __name__ == "__main__":
    sys.exit(main())
