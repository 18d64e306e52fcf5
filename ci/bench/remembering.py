"""What the history costs a heartbeat run: at most 20 ms.

The shipped heartbeat runs with each of its steps played by a stub that answers after 20 ms, as any
platform takes time to answer. Whole processes take turns: with the history, with
`--vdk-history=off`, and off once more as a control that shows how much two equal runs differ. From
outside that difference drowns the cost, so the figure that counts is taken inside: by how much
loading the modules and our hooks, which wait for what they have written, make the run longer. The
thread that writes has its own share while the run waits for the platform; its CPU time is told
beside.

    python ci/bench/remembering.py [--pairs 15] [--limit-ms 20]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFTEST = """
import threading
import pytest

class Job:
    secrets_offered = True
    def __init__(self, run): self._run = run
    def __getattr__(self, name):
        def step():
            threading.Event().wait(0.02)  # the platform's answer: a network, and a service
            self._run.step.evidence("stub " + name)
        return step

@pytest.fixture(scope="module")
def vdk_job(vdk_run, vdk_subject):
    yield Job(vdk_run)
"""
PLATFORM = """
[control]
url = "http://127.0.0.1:9"
team = "platform"
[[jobs]]
name = "hello-platform"
"""
INSIDE = """
import builtins, functools, json, sys, threading, time
import pytest

spent = {"load": 0.0, "hooks": 0.0, "thread": 0.0}
OURS = ("pytest_vdkprobe.history", "pytest_vdkprobe.store", "pytest_vdkprobe.observe.history",
        "pytest_vdkprobe.journeys.models", "pytest_vdkprobe.journeys.changed",
        "pytest_vdkprobe.remembering", "sqlite3")
load, depth = builtins.__import__, 0
clock = time.perf_counter

def timed_import(name, *rest, **more):
    global depth
    ours = name.startswith(OURS) and name not in sys.modules
    ours = ours and threading.current_thread() is threading.main_thread()
    if not ours or depth:
        return load(name, *rest, **more)
    depth += 1
    start = clock()
    try:
        return load(name, *rest, **more)
    finally:
        depth -= 1
        spent["load"] += clock() - start

def timed(cls, name, into):
    function = getattr(cls, name)
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        start = clock()
        try:
            return function(*args, **kwargs)
        finally:
            spent[into] += clock() - start
    setattr(cls, name, wrapper)

class Inside:
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self):
        from pytest_vdkprobe.journeys import changed
        from pytest_vdkprobe.observe.history import History
        timed(History, "pytest_runtest_logreport", "hooks")
        timed(History, "finish", "hooks")
        timed(changed, "models_of", "hooks")

run = threading.Thread.run
def timed_run(self):
    try:
        run(self)
    finally:
        if self.name == "vdkprobe-history":
            spent["thread"] += time.thread_time()
threading.Thread.run = timed_run
builtins.__import__ = timed_import
code = pytest.main(sys.argv[2:], plugins=[Inside()])
with open(sys.argv[1], "w") as file:
    json.dump({"code": int(code), **spent}, file)
"""
RUN = ("--vdk-config=platform.toml", "--vdk-scenarios=heartbeat", "--vdk-quick", "-q")
PLAIN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio")


def whole(folder: Path, *options: str) -> tuple[float, float]:
    """Wall and CPU milliseconds of one process."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *RUN, *PLAIN, *options],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the heartbeat in {folder} is not green")
    return 1000 * wall_s, 1000 * (usage.ru_utime + usage.ru_stime)


def inside(folder: Path) -> dict[str, float]:
    """Milliseconds spent for the history in one process."""
    result = folder / "result.json"
    subprocess.run(
        [sys.executable, "-c", INSIDE, str(result), *RUN, *PLAIN],
        cwd=folder,
        env={**os.environ, "XDG_STATE_HOME": str(folder / "state")},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seen = json.loads(result.read_text())
    return {name: 1000 * seen[name] for name in ("load", "hooks", "thread")}


def main() -> int:
    """Print the figures; 1 when the history costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--limit-ms", type=float, default=20.0)
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "platform.toml").write_text(PLATFORM)
        (folder / "pytest.ini").write_text("[pytest]\n")
        contenders: dict[str, tuple[str, ...]] = {
            "with the history": (),
            "without": ("--vdk-history=off",),
            "without, once more": ("--vdk-history=off",),
        }
        for options in contenders.values():  # the first of each fills caches, and makes the tables
            whole(folder, *options)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for _ in range(given.pairs):
            for which in random.sample(list(contenders), len(contenders)):
                taken[which].append(whole(folder, *contenders[which]))
        for which, figures in taken.items():
            wall, cpu = (statistics.median(column) for column in zip(*figures, strict=True))
            print(f"{which:<20} wall {wall:7.1f} ms  CPU {cpu:7.1f} ms  (medians)")
        spent = [inside(folder) for _ in range(given.pairs)]
    parts = {part: statistics.median(one[part] for one in spent) for part in spent[0]}
    total = statistics.median(one["load"] + one["hooks"] for one in spent)
    told = ", ".join(f"{part} {ms:.1f} ms" for part, ms in parts.items())
    print(f"inside: {total:.1f} ms of the run for the history ({told} of CPU)")
    return int(total > given.limit_ms)


if __name__ == "__main__":
    sys.exit(main())
