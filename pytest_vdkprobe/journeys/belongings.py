"""What belongs to a job beside its code: its fields, its place in the list, keytab, properties.

Each function checks one of them on the platform and returns its evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.journeys.compare import differences, leaves, short
from pytest_vdkprobe.journeys.proof import SETTLES_S
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_vdkprobe.journeys.live_job import LiveJob

CHECK_PROPERTY = "vdkprobe_check"
REPLACED_PROPERTY = "vdkprobe_replaced"
AWKWARD_TEXT = 'quote " backslash \\ snow \u2603'
"""What a store that builds its JSON by hand gets wrong."""


def require_read_back(job: LiveJob) -> str:
    """Every field that was sent is what the service holds."""
    sent, found = job.sent, job.client.read_job(job.name)
    where = f"GET .../jobs/{job.name}"
    if found is None or sent is None:
        raise PlatformFailure(
            "The job that was created can't be read.", seen="404", expected="the job", checked=where
        )
    wrong = differences(sent.to_dict(), found.to_dict())
    if wrong:
        raise PlatformFailure(
            "The job does not read back as it was created.",
            seen="; ".join(f"{path} {seen!r}" for path, _, seen in wrong),
            expected="; ".join(f"{path} {want!r}" for path, want, _ in wrong),
            checked=where,
        )
    return f"{len(leaves(sent.to_dict()))} fields equal"


def require_listed(job: LiveJob) -> str:
    """The GraphQL list of the team holds the job, once, and in this team."""
    team = job.client.settings.team
    rows = [row for row in job.client.list_jobs(team) if row.job_name == job.name]
    if len(rows) != 1:
        raise PlatformFailure(
            "The job stands in its team's list more than once."
            if rows
            else "The job is not in its team's list.",
            seen=f"{len(rows)} rows named {job.name}",
            expected="exactly one",
            checked=f"GET .../jobs?query=... (team {team})",
            to_try="compare with `vdk list -t TEAM`: reading one job works, listing them does not",
        )
    listed = rows[0].config.team if rows[0].config else None
    if listed != team:
        raise PlatformFailure(
            "The list shows the job in another team.",
            seen=f"team {listed!r}",
            expected=f"team {team!r}",
            checked="GET .../jobs?query=...",
        )
    return f"listed once, in team {team}"


def require_keytab(job: LiveJob) -> str:
    """The keytab is what the configuration says that this platform gives."""
    keytab = job.client.keytab(job.name)
    seen = "absent" if keytab is None else ("bytes" if keytab else "empty")
    wanted = job.settings.keytab or job.client.settings.keytab
    if wanted not in {"any", seen}:
        raise PlatformFailure(
            "The keytab is not what this platform is configured to give.",
            seen=seen,
            expected=str(wanted),
            checked=f"GET .../jobs/{job.name}/keytab",
            to_try="set control.keytab if the platform is right: bytes, empty, absent or any",
        )
    return f"{seen}, {len(keytab)} bytes" if keytab else seen


def require_properties_kept(job: LiveJob) -> str:
    """Properties round trip, and replace those before; what is written stays for the job to find.

    A service that only ever adds would keep what a job meant to remove, so one is left out again.
    """
    written = {
        **job.client.properties(job.name),
        CHECK_PROPERTY: job.run.run_id,
        "vdkprobe_number": 7,
        "vdkprobe_text": AWKWARD_TEXT,
    }
    before = {**written, REPLACED_PROPERTY: job.run.run_id}
    job.client.put_properties(job.name, before)
    _require_equal(job, "properties", before, job.client.properties(job.name))
    job.client.put_properties(job.name, written)
    found = job.client.properties(job.name)
    evidence = _require_equal(job, "properties", written, found)
    if REPLACED_PROPERTY in found:
        raise PlatformFailure(
            "Writing properties adds to the old ones instead of replacing them.",
            seen=f"{REPLACED_PROPERTY}, which the last write left out",
            expected="the properties of the last write, and no others",
            checked=f"PUT, then GET .../jobs/{job.name}/deployments/.../properties",
            to_try="or the first of two writes is what is read: look for a cache before the store",
        )
    return evidence


def require_check_property(job: LiveJob) -> None:
    """What was written before the job ran is still there after it."""
    kept = job.client.properties(job.name).get(CHECK_PROPERTY)
    if kept != job.run.run_id:
        raise PlatformFailure(
            "A property that was written before the run is not what it was.",
            seen=f"{CHECK_PROPERTY}: {short(kept)}",
            expected=f"{CHECK_PROPERTY}: {job.run.run_id}",
            checked=f"GET .../jobs/{job.name}/deployments/.../properties",
        )


def require_properties(job: LiveJob, wanted: Mapping[str, Any], *, deadline: Deadline) -> str:
    """The properties that the configuration says a user's own job writes."""
    wait_until(
        f"the properties that {job.name} must write",
        lambda: job.client.properties(job.name),
        done=lambda found: all(found.get(key) == value for key, value in wanted.items()),
        deadline=deadline.within(SETTLES_S, "time for properties to settle"),
        describe=lambda found: short({key: found.get(key) for key in wanted}),
        expected=short(wanted),
        checked=f"GET .../jobs/{job.name}/deployments/.../properties",
    )
    return f"{len(wanted)} properties as configured"


def require_secrets_kept(job: LiveJob) -> str:
    """Secrets round trip, and are written away again."""
    written = {"vdkprobe_secret": f"nonce-{job.run.run_id}"}
    job.client.put_secrets(job.name, written)
    evidence = _require_equal(job, "secrets", written, job.client.secrets(job.name))
    job.client.put_secrets(job.name, {})
    return evidence


def _require_equal(job: LiveJob, kind: str, written: dict[str, Any], read: dict[str, Any]) -> str:
    wrong = sorted(key for key in written if read.get(key) != written[key])
    if wrong:
        raise PlatformFailure(
            f"The {kind} that were written do not read back.",
            seen=", ".join(f"{key}: {short(read.get(key))}" for key in wrong),
            expected=", ".join(f"{key}: {short(written[key])}" for key in wrong),
            checked=f"PUT, then GET .../jobs/{job.name}/deployments/.../{kind}",
        )
    return f"{len(written)} {kind} equal"
