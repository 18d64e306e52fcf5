"""What the plugin costs a pytest that does not use it: at most 3 ms, measured where it is spent.

From outside the difference drowns: the same environment against itself differs by as much. So the
figure that counts is taken inside the process: the time our entry point takes to load, and the
time spent in each of our hooks. The paired runs beside it (with the plugin, without it, and without
it once more as a control) show that nothing is hidden elsewhere.

    python ci/bench/startup.py [--pairs 30] [--inside 15] [--limit-ms 3]
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

WITHOUT = ["-p", "no:vdkprobe"]

PROBE = '''
import functools, importlib.metadata, inspect, json, sys, time
import pytest

spent = {"import": 0.0, "hooks": 0.0}
clock = time.perf_counter

def timed(function):
    """The same hook, its time added up; pluggy reads the arguments through __wrapped__."""
    if inspect.isgeneratorfunction(function):
        @functools.wraps(function)
        def wrapper(*args):
            hook = function(*args)
            step, value = hook.__next__, None
            while True:
                start = clock()
                try:
                    wanted = step()
                except StopIteration as stop:
                    return stop.value
                finally:
                    spent["hooks"] += clock() - start
                try:
                    value = yield wanted
                except BaseException as exc:
                    step = functools.partial(hook.throw, exc)
                else:
                    step = functools.partial(hook.send, value)
    else:
        @functools.wraps(function)
        def wrapper(*args):
            start = clock()
            try:
                return function(*args)
            finally:
                spent["hooks"] += clock() - start
    return wrapper

load = importlib.metadata.EntryPoint.load
def timed_load(self):
    if self.name != "vdkprobe":
        return load(self)
    start = clock()
    module = load(self)
    spent["import"] += clock() - start
    for name, function in list(vars(module).items()):
        if name.startswith("pytest_") and inspect.isfunction(function):
            setattr(module, name, timed(function))
    return module
importlib.metadata.EntryPoint.load = timed_load

code = pytest.main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump({"code": int(code), "loaded": spent["import"] > 0, **spent}, file)
'''


def pytest_arguments(folder: Path) -> list[str]:
    """A bare run of one empty test."""
    return ["-q", "-p", "no:cacheprovider", str(folder)]


def inside_ms(folder: Path) -> tuple[float, float]:
    """Milliseconds one run spends importing our modules, and in our hooks."""
    result = folder / "spent.json"
    command = [sys.executable, "-c", PROBE, str(result), *pytest_arguments(folder)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    spent = json.loads(result.read_text())
    if not spent["loaded"]:
        raise SystemExit("the plugin is not installed here: pip install -e . first")
    return spent["import"] * 1000, spent["hooks"] * 1000


def outside_ms(folder: Path, extra: list[str]) -> float:
    """Milliseconds a whole process takes."""
    command = [sys.executable, "-m", "pytest", *extra, *pytest_arguments(folder)]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) * 1000


def main() -> int:
    """Measure, print, and say by the exit code whether the limit holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=30, help="paired runs from outside")
    parser.add_argument("--inside", type=int, default=15, help="runs measured inside")
    parser.add_argument("--limit-ms", type=float, default=3.0, help="limit of the inside figure")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its byte code
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")

        inside_ms(folder)  # the first run also writes byte code
        runs = [inside_ms(folder) for _ in range(options.inside)]
        imported = statistics.median(run[0] for run in runs)
        hooked = statistics.median(run[1] for run in runs)
        total = statistics.median(sum(run) for run in runs)
        met = total <= options.limit_ms
        print(f"inside, median of {len(runs)} runs")
        print(f"  import of our modules   {imported:7.2f} ms")
        print(f"  time in our hooks       {hooked:7.2f} ms")
        verdict = "met" if met else "MISSED"
        print(f"  together                {total:7.2f} ms   limit {options.limit_ms} ms: {verdict}")

        if options.pairs:
            report_pairs(folder, options.pairs)
    return 0 if met else 1


def report_pairs(folder: Path, pairs: int) -> None:
    """Each round runs all three variants in a new random order, so that drift hits each alike."""
    variants = {"with": [], "without": WITHOUT, "control": WITHOUT}
    walls: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(pairs):
        for variant in random.sample(sorted(variants), len(variants)):
            walls[variant].append(outside_ms(folder, variants[variant]))
    print(f"outside, {pairs} paired runs")
    for variant, values in walls.items():
        print(f"  median {variant:<16} {statistics.median(values):7.1f} ms")
    for label, variant in (("with - without", "with"), ("control - without", "control")):
        differences = [
            one - other for one, other in zip(walls[variant], walls["without"], strict=True)
        ]
        print(f"  median {label:<16} {statistics.median(differences):+7.2f} ms")


if __name__ == "__main__":
    sys.exit(main())
