"""Removing what a run created: only what a lease of ours names, and only when it reads that back.

The journey's own end, the controller after its workers, and a later run after a SIGKILL all come
through `remove_job`, so that there is one answer to "is this ours" and one to "is it gone".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import (
    Finding,
    LeaseError,
    PlatformFailure,
    ProbeError,
    WaitFailure,
)
from pytest_vdkprobe.leases import clean_url
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.control.models import DataJob
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.leases import Lease, LeaseStore

UNFINISHED = ("submitted", "running")
CREATE_SETTLES_S = 5.0
"""So long after its lease a job may still come: its create was cut off here, and went on there."""


def remove_job(client: ControlClient, lease: Lease, *, deadline: Deadline) -> str:
    """Delete the job that `lease` names and see it gone; returns what was done, in a few words.

    A job that does not carry the lease's mark is somebody else's, whatever its name: it stays.
    """
    previous, client.deadline = client.deadline, deadline
    try:
        return _remove_job(client, lease, deadline)
    finally:
        client.deadline = previous


def _remove_job(client: ControlClient, lease: Lease, deadline: Deadline) -> str:
    name = lease.name
    job = client.read_job(name)
    if job is None:
        job = _await_late_create(client, lease, deadline)
    if job is None:
        lease.release()
        return f"job {name} was gone already"
    if job.job_name != name:
        # Nothing is known about our job then: the lease stays, and a later sweep tries again.
        raise PlatformFailure(
            f"Reading the job {name} answered another one.",
            seen=f"job {job.job_name}",
            expected=f"job {name}, or 404",
            checked=f"GET .../jobs/{name}",
        )
    if lease.mark not in (job.description or ""):
        lease.release()
        return f"job {name} does not carry {lease.mark}: not ours, left alone"
    _quietly(lambda: _cancel_unfinished(client, name))
    # Properties outlive their job on the real service, and would greet the next job of that name.
    _quietly(lambda: client.put_properties(name, {}))
    _quietly(lambda: client.undeploy(name))
    client.delete_job(name)
    wait_until(
        f"job {name} to be gone",
        lambda: client.read_job(name),
        done=lambda found: found is None,
        deadline=deadline,
        describe=lambda found: "404" if found is None else "still there",
        expected="404",
        checked=f"GET .../jobs/{name}",
        to_try="the delete was answered but not done: delete the job by hand, and its cron job",
    )
    lease.release()
    return f"job {name} deleted"


def _await_late_create(client: ControlClient, lease: Lease, deadline: Deadline) -> DataJob | None:
    """The job of a young lease, if it comes; an old one's create has had its time."""
    age_s = (datetime.now(UTC) - lease.created_at).total_seconds()
    if not 0 <= age_s < CREATE_SETTLES_S:
        return None
    with suppress(WaitFailure):
        return wait_until(
            f"job {lease.name}, in case its create is still under way",
            lambda: client.read_job(lease.name),
            done=lambda found: found is not None,
            deadline=deadline.within(CREATE_SETTLES_S - age_s),
            describe=lambda found: "404" if found is None else "there",
        ).value
    return None


def _cancel_unfinished(client: ControlClient, name: str) -> None:
    for execution in client.executions(name, statuses=UNFINISHED):
        if execution.id:
            client.cancel_execution(name, execution.id)


def _quietly(call: Callable[[], object]) -> None:
    """Run a step of the cleanup that must not keep the later ones from running."""
    try:
        call()
    except Finding:
        return


def sweep_run(run: Run) -> list[str]:
    """What this run's processes left: for the end of a run, after xdist's workers are gone."""
    return _sweep(run, run.leases.of_run(run.run_id))


def sweep(run: Run) -> list[str]:
    """What earlier runs left that are no longer alive."""
    done = _sweep(run, run.leases.stale())
    _require_undamaged(run.leases)
    return done


def sweep_before(run: Run, client: ControlClient | None = None) -> list[str]:
    """What earlier runs left, before this one creates anything; trouble is the later sweep's.

    With a `client` their jobs, else what they left at the ends of routes. A store that can't be
    relied on is no such trouble: LeaseError, and nothing is created.
    """
    _require_undamaged(run.leases)
    stale = run.leases.stale()
    done, _ = _sweep_ends(run, stale) if client is None else _sweep_jobs(run, stale, client)
    return done


def sweep_ends_once(run: Run) -> None:
    """`sweep_before` for ends of routes, by whoever opens the first of them; told in its step."""
    if run.ends_swept:
        return
    run.ends_swept = True
    for line in sweep_before(run):
        run.swept.append(line)
        if run.step is not None:
            run.step.evidence(f"of an earlier run: {line}")


def _require_undamaged(store: LeaseStore) -> None:
    """Raise LeaseError when what a lease named can't be known any more: a person must look."""
    damaged = [found for found in store.unreadable() if found.damaged]
    if damaged:
        raise LeaseError(
            "A lease can't be read, so what its run left can't be removed.",
            seen="; ".join(f"{found.path.name}: {found.why}" for found in damaged),
            expected="whole leases",
            checked=f"lease store {store.folder}",
            to_try="look on the platform for jobs of that run (its id begins the file's name), "
            "remove them by hand, then remove the file",
        )


def _sweep(run: Run, leases: list[Lease]) -> list[str]:
    """Remove what these leases name, with clients of its own; raises when something stays."""
    done, problems = _sweep_ends(run, leases)
    jobs = [lease for lease in leases if lease.kind == "job"]
    if jobs and "control" in run.configuration:
        with run.open_control() as client:
            client.op_id = f"{run.run_id}-sweep"
            of_jobs = _sweep_jobs(run, jobs, client)
        done, problems = done + of_jobs[0], problems + of_jobs[1]
    if problems:
        platforms = any(isinstance(finding, PlatformFailure) for _, finding in problems)
        # A platform that was never reached, or a lease that can't be released, is ours.
        raise (PlatformFailure if platforms else ProbeError)(
            "Something that a run created could not be removed.",
            seen="; ".join(
                f"{it.kind} {it.name} (lease {it.id}): {found.what}" for it, found in problems
            ),
            expected="everything leased deleted and gone",
            to_try="run again with --vdk-sweep once the platform answers",
        )
    return done


Swept = tuple[list[str], list[tuple["Lease", Finding]]]
"""What was removed, and what stays and why."""


def _sweep_ends(run: Run, leases: list[Lease]) -> Swept:
    others = [lease for lease in leases if lease.kind != "job"]
    if not others:
        return [], []
    from pytest_vdkprobe.connections.leftovers import remove_all  # noqa: PLC0415 - if there are any

    ends = _ends(run.configuration, run.placeholders)
    return remove_all(ends, others, base_dir=run.configuration.base_dir)


def _ends(configuration: Configuration, placeholders: Mapping[str, str]) -> Iterator[object]:
    """Every place outside of the Control Service where runs of this configuration make things."""
    if "routes" in configuration:
        from pytest_vdkprobe.routes.leftovers import ends  # noqa: PLC0415 - if there are any

        yield from ends(configuration, placeholders)
    if "events" in configuration:
        from pytest_vdkprobe.events.find import ends as of_events  # noqa: PLC0415 - as above

        yield from of_events(configuration, placeholders)
    if "tables" in configuration:
        from pytest_vdkprobe.tables.settings import places  # noqa: PLC0415 - if there are any

        yield from places(configuration, placeholders)
    if "pipelines" in configuration:
        from pytest_vdkprobe.pipelines.find import ends as of_pipelines  # noqa: PLC0415 - as above

        yield from of_pipelines(configuration, placeholders)


def _sweep_jobs(run: Run, leases: list[Lease], client: ControlClient) -> Swept:
    done: list[str] = []
    problems: list[tuple[Lease, Finding]] = []
    here = clean_url(client.settings.url)
    for lease in leases:
        if lease.kind != "job" or lease.where.get("url") != here:
            continue
        deadline = Deadline.after(run.cleanup_timeout_s, "time for the cleanup")
        try:
            if lease.claim():
                team = client.for_team(lease.where["team"])
                done.append(remove_job(team, lease, deadline=deadline))
        except Finding as finding:
            problems.append((lease, finding))
    return done, problems
