"""The service's own Prometheus page: what it says about its jobs, for watchers that scrape it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_vdkprobe.sandbox import wire
from pytest_vdkprobe.sandbox.state import State

TERMINATION: dict[wire.Status, int] = {
    "succeeded": 0,
    "platform_error": 1,
    "submitted": 2,
    "user_error": 3,
    "running": 5,
    "cancelled": 6,
}
"""Values of `taurus_datajob_termination_status`; a skipped execution never updates it."""

Sample = tuple[Mapping[str, str], float]


def page(state: State) -> str:
    """The page in Prometheus' text format."""
    with state.lock:
        jobs = list(state.jobs.values())
        ended = {job.name: list(job.executions.values()) for job in jobs}
    info, delay, deployed, terminated = [], [], [], []
    for job in jobs:
        contacts = job.config.contacts or wire.Contacts()
        mails = bool(job.config.enable_execution_notifications)
        info.append(
            (
                {
                    "data_job": job.name,
                    "team": job.team,
                    "email_notified_on_success": _mails(
                        contacts.notified_on_job_success, wanted=mails
                    ),
                    "email_notified_on_user_error": _mails(
                        contacts.notified_on_job_failure_user_error, wanted=mails
                    ),
                    "email_notified_on_platform_error": _mails(
                        contacts.notified_on_job_failure_platform_error, wanted=mails
                    ),
                },
                1.0,
            )
        )
        minutes = job.config.notification_delay_period_minutes
        delay.append(({"data_job": job.name}, float(minutes or 0)))
        deployed.append(({"dataJob": job.name}, float(job.deployment_status)))
        shown = [one for one in ended[job.name] if one.body.status in TERMINATION]
        terminated += [
            (
                {"data_job": job.name, "execution_id": one.body.id},
                float(TERMINATION[one.body.status]),
            )
            for one in shown[-1:]
        ]
    families: list[tuple[str, str, Iterable[Sample]]] = [
        ("taurus_datajob_info", "gauge", info),
        ("taurus_datajob_notification_delay", "gauge", delay),
        ("taurus_datajob_termination_status", "gauge", terminated),
        ("taurus_deployment_status_gauge", "gauge", deployed),
        ("taurus_datajob_watch_task_invocations_counter_total", "counter", [({}, 1.0)]),
    ]
    return "".join(_family(name, kind, samples) for name, kind, samples in families)


def _mails(addresses: list[str] | None, *, wanted: bool) -> str:
    return " ".join(addresses or ()) if wanted else ""


def _family(name: str, kind: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        pairs = {**labels, "service": "data-jobs"}
        text = ",".join(f'{key}="{_escaped(pair)}"' for key, pair in pairs.items())
        lines.append(f"{name}{{{text}}} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
