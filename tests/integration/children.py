"""Runs of pytest as a user starts them, also where the system gives a process less than us.

Beside what a heartbeat printed and reported, this keeps its JUnit cases, and it bears runs that
never came to write anything. A command can be put in front: one that takes away root's right to
write everywhere, or one that fills a folder's file system up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.integration.heartbeats import Heard

NO_OVERRIDE = """
import ctypes, os, sys
# PR_CAPBSET_DROP (24) of CAP_DAC_OVERRIDE (1), see capabilities(7): root then obeys permissions.
if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).prctl(24, 1, 0, 0, 0):
    sys.exit("can't give up CAP_DAC_OVERRIDE: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""
OBEYS_PERMISSIONS = (sys.executable, "-c", NO_OVERRIDE)
"""In front of a command: root has no more rights to files than others."""

FULL = 'mount -t tmpfs -o size=4k tmpfs "$0" && head -c 4096 /dev/zero > "$0/.filler" && exec "$@"'
NO_ROOM = """
import resource
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
def pytest_runtest_setup():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, most))
def pytest_runtest_teardown():
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
"""
"""A conftest: while a step runs, no file can have more than a byte (ulimit -f, for any user)."""


LEAN = ("-p", "no:hypothesispytest", "-p", "no:anyio")
"""Development's own plugins, which a user does not have and each run would pay for."""


@cache
def private_mounts() -> tuple[str, ...]:
    """The command that gives a process mounts of its own; empty where that is not permitted."""
    command = ("unshare", "-m" if os.geteuid() == 0 else "-rm")
    attempt = [*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        done = subprocess.run(attempt, capture_output=True, check=False)
    except OSError:
        return ()
    return command if done.returncode == 0 else ()


def on_a_full_disk(folder: Path) -> tuple[str, ...]:
    """In front of a command: in `folder` files can be made, and nothing written into them.

    Where a process may not mount, a conftest beside it takes the room away instead.
    """
    folder.mkdir(exist_ok=True)
    if private_mounts():
        return (*private_mounts(), "sh", "-c", FULL, str(folder))
    (folder.parent / "conftest.py").write_text(NO_ROOM)
    return ()


@dataclass(frozen=True)
class Case:
    """One case of a JUnit file: its form, and what it says."""

    form: str
    message: str = ""
    text: str = ""


@dataclass(frozen=True)
class Ended(Heard):
    """What became of a run."""

    cases: dict[str, Case] = field(default_factory=dict)
    """Step to case, of the first journey in the file; of a teardown `STEP (teardown)`."""


def run_pytest(
    configuration: Path,
    *options: str,
    before: Sequence[str] = (),
    env: dict[str, str] | None = None,
    report: Path | None = None,
    junit: Path | None = None,
    timeout_s: float = 120,
) -> Ended:
    """Run pytest with a configuration, in the configuration's folder."""
    folder = configuration.parent
    report = report or folder / "report.json"
    junit = junit or folder / "tests.xml"
    done = subprocess.run(
        [
            *(*before, sys.executable, "-m", "pytest", f"--vdk-config={configuration}"),
            *(f"--vdk-report={report}", f"--junitxml={junit}", "-p", "no:cacheprovider"),
            *LEAN,
            *options,
        ],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    document = json.loads(report.read_text()) if report.is_file() else {}
    cases = read_cases(junit) if junit.is_file() else {}
    return Ended(done.returncode, done.stdout + done.stderr, document, cases)


def read_cases(path: Path) -> dict[str, Case]:
    """The cases of a JUnit file that stand for steps."""
    found: dict[str, Case] = {}
    for case in ElementTree.parse(path).iter("testcase"):
        name = case.get("name", "")
        forms = [child for child in case if child.tag in ("failure", "error", "skipped")]
        found.setdefault(name, _case(forms[0]) if forms else Case("passed"))
        for further in forms[1:]:
            found[f"{name} (teardown)"] = _case(further)
    return found


def _case(element: ElementTree.Element) -> Case:
    kind = element.get("type") if element.tag == "error" else None
    form = element.tag + (f" {kind}" if kind else "")
    return Case(form, element.get("message", ""), element.text or "")


def steps_of(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The first journey's steps by name; none where no run came to have one."""
    journeys = report.get("journeys") or [{"steps": []}]
    return {step["step"]: step for step in journeys[0]["steps"]}
