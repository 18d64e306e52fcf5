"""Who runs a deployed job: the seam between the Control Service and what stands for the cluster.

The service knows jobs, deployments and executions; it does not know how code runs. An executor
does: `instant` in this process, `vdk` by the real command line in its own environment, a test by
a script. So the same service answers in milliseconds for a benchmark and truthfully for a user.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

FinalStatus = Literal["succeeded", "user_error", "platform_error", "skipped"]
"""How a job can end by itself, as its termination message says it; only the service cancels."""

JSONObject = dict[str, Any]
"""A JSON object as users hand it over: arguments, properties. Its values are theirs, not ours."""


class BuildError(Exception):
    """The sources can't be made runnable: the build fails, so the deployment never appears."""


@dataclass(frozen=True)
class JobRun:
    """One execution to run."""

    execution_id: str
    job_name: str
    team: str
    op_id: str
    sources: Path
    """The unpacked job folder, named after the job. All runs of the version share it: read only."""
    arguments: JSONObject
    control_service_url: str
    """Where the job reads and writes its properties and secrets; without `/data-jobs`."""
    python_version: str
    vdk_version: str
    token: str | None = None
    """A bearer token for `control_service_url` where the service wants one."""
    ca_file: Path | None = None
    """The authority to trust where `control_service_url` speaks TLS."""


@dataclass(frozen=True)
class Outcome:
    """How a job ended, as its termination message says it."""

    status: FinalStatus
    message: str | None = None
    """What the service shows; None: its own text for the status."""
    vdk_version: str = ""
    """The version that ran, reported at the end; empty: nothing was reported."""


class RunningJob(Protocol):
    """One execution under way."""

    def poll(self) -> Outcome | None:
        """The outcome once there is one, None before. Never blocks; called often."""

    def log(self) -> str:
        """What the job has logged so far. Callable during and after the run, from any thread."""

    def cancel(self) -> None:
        """End it and whatever it started. Idempotent; returns without waiting for long."""


class Executor(Protocol):
    """Runs jobs. One instance serves one service; its methods are called from several threads."""

    def prepare(self, sources: Path) -> None:
        """Make a version runnable (install its requirements); raises BuildError. May be slow."""

    def start(self, run: JobRun) -> RunningJob:
        """Start the job and return at once; raises OSError if it can't be started at all."""

    def close(self) -> None:
        """End every run. Idempotent."""
