"""vdk-heartbeat on the same faults: what it says of a platform that is wrong in a known way.

Its simple run, with the pinned packages of `vdkprobe sandbox fetch --conformance`. Some of its
calls have no end of their own, so each run is cut off after a while; that is its verdict then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ci.bench.heartbeat import INI, JOB
from pytest_vdkprobe.sandbox import environment
from tests.integration.fault_table import Planted
from tests.integration.faulted import create_foreign_job
from tests.integration.heartbeats import leftovers, sandbox

STEP_LIMIT_S = 30
CUT_OFF_S = 120.0
JOB_NAME = "hello-platform"
VERDICTS = {0: "pass", 1: "fail"}
VERSIONS = {
    "vdk_version": "VDK_HEARTBEAT_DEPLOY_JOB_VDK_VERSION",
    "python_version": "DATAJOB_DEPLOYMENT_PYTHON_VERSION",
}


@dataclass(frozen=True)
class Theirs:
    """What vdk-heartbeat said, how long it took, and the jobs that it left."""

    verdict: str
    seconds: float
    left: list[str]


def fetch() -> environment.Environment:
    """The environment that vdk-heartbeat runs in, built if it is not there."""
    return environment.fetch("conformance", progress=lambda line: print(line, file=sys.stderr))


def run_theirs(row: Planted, folder: Path, made: environment.Environment) -> Theirs:
    """Plant the row's faults on a sandbox of its own and run vdk-heartbeat there."""
    job = folder / "jobs" / "simple"
    job.mkdir(parents=True)
    (job / "10_simple.py").write_text(JOB)
    environ = {
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PATH": f"{made.folder / 'bin'}{os.pathsep}{os.defpath}",
        "OAUTHLIB_INSECURE_TRANSPORT": "1",
    }
    with sandbox(**{**row.knobs, "auth": True}) as platform:
        ini = folder / "heartbeat.ini"
        facts = {"token": platform.tokens.api_token, "team": platform.team}
        text = INI.format(
            **facts, url=platform.url, token_url=platform.token_url, jobs=folder / "jobs"
        )
        text = text.replace("bench-theirs", row.foreign_job or JOB_NAME)
        text = text.replace("SECONDS = 120", f"SECONDS = {STEP_LIMIT_S}")
        key = row.job.partition(" = ")[0]
        if key in VERSIONS:
            text += f"{VERSIONS[key]} = {tomllib.loads(row.job)[key]}\n"
        ini.write_text(text)
        if row.foreign_job:
            create_foreign_job(platform, row.foreign_job)
        for plant in row.plants:
            platform.plant(**plant)
        started = time.monotonic()
        verdict = _run([str(made.script("vdk-heartbeat")), "-f", str(ini)], environ, folder)
        seconds = time.monotonic() - started
        platform.faults.clear()
        left = [] if row.for_good else leftovers(platform, folder)
        if row.foreign_job and row.foreign_job not in left:
            left = ["the foreign job is DELETED"]
        return Theirs(verdict, seconds, left)


def _run(command: list[str], environ: dict[str, str], folder: Path) -> str:
    with (folder / "theirs.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(CUT_OFF_S)
        except subprocess.TimeoutExpired:
            # Its own session: the CLIs that it has spawned go with it.
            os.killpg(process.pid, 9)
            process.wait()
            return f"cut off at {CUT_OFF_S:.0f} s"
        except BaseException:
            os.killpg(process.pid, 9)
            process.wait()
            raise
    return VERDICTS.get(code, f"exit {code}")
