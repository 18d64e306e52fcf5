"""The proof that an execution leaves of itself, and the wait for it.

The platform's status is a claim. The `proof` job writes a property that only it, in this run, with
the nonce of this start, can have written: that is what a claim is checked against.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.journeys.executions import Started

PROOF_PROPERTY = "vdkprobe_proof"
SCHEDULED_NONCE = "scheduled"
"""The nonce of a run that nobody started: a schedule gives no arguments."""
SETTLES_S = 10.0
"""A job writes its properties before it ends; what comes later than this is counted as lost."""


LOG_SETTLES_S = 10.0
"""Logs are collected beside the job: the last lines may follow its end."""


def read_proof(client: ControlClient, job: str) -> dict[str, Any]:
    """The newest proof of a job; anything that is not one is an empty one."""
    try:
        decoded = json.loads(client.properties(job).get(PROOF_PROPERTY) or "{}")
    except (TypeError, ValueError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def await_proof(
    client: ControlClient, started: Started, *, run_id: str, deadline: Deadline
) -> dict[str, Any]:
    """Wait for the proof that this execution wrote, known by run id and nonce."""
    waited = wait_until(
        f"the property {PROOF_PROPERTY}, written by {started.id}",
        lambda: read_proof(client, started.job),
        done=lambda proof: (proof.get("run_id"), proof.get("nonce")) == (run_id, started.nonce),
        deadline=deadline.within(SETTLES_S, "time for properties to settle"),
        describe=_describe,
        expected=f"run {run_id}, nonce {started.nonce}",
        checked=f"GET .../jobs/{started.job}/deployments/.../properties; {started.checked}",
        to_try=f"the status says it ran and nothing else does: look for the pod of {started.id}",
    )
    return waited.value


def _describe(proof: dict[str, Any]) -> str:
    if not proof:
        return "property missing"
    return f"run {proof.get('run_id')}, nonce {proof.get('nonce')}"


def require_log(
    client: ControlClient, started: Started, wanted: tuple[str, ...], *, deadline: Deadline
) -> str:
    """Wait for a log that holds every text in `wanted`, or anything; returns the evidence."""
    waited = wait_until(
        f"the log of {started.id}",
        lambda: client.logs(started.job, started.id),
        done=lambda text: bool(text.strip()) and not _missing(text, wanted),
        deadline=deadline.within(LOG_SETTLES_S, "time for the log to settle"),
        describe=lambda text: _describe_log(text, wanted),
        expected=" and ".join(wanted) or "a log that is not empty",
        checked=f"GET .../executions/{started.id}/logs",
        to_try="a pod that was never started leaves no log: did this execution run at all?",
    )
    shown = f", with {' and '.join(wanted)}" if wanted else ""
    return f"{len(waited.value.splitlines())} lines{shown}"


def _missing(text: str, wanted: tuple[str, ...]) -> list[str]:
    return [marker for marker in wanted if marker not in text]


def _describe_log(text: str, wanted: tuple[str, ...]) -> str:
    if not text.strip():
        return "log empty"
    missing = _missing(text, wanted)
    lines = f"{len(text.splitlines())} lines"
    return f"{lines}, without {' and '.join(missing)}" if missing else lines
