"""One data job on the platform: created under a lease, deployed, undeployed, deleted.

A journey has one or two of these: the configured job, and, when that is a user's own directory, a
`proof` companion for the steps that a stranger's code can't play.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdkprobe.control.models import (
    DataJob,
    DataJobConfig,
    DataJobContacts,
    DataJobDeployment,
    DataJobDeploymentStatus,
    DataJobSchedule,
)
from pytest_vdkprobe.errors import PlatformFailure, ProbeError
from pytest_vdkprobe.journeys.cleanup import remove_job
from pytest_vdkprobe.journeys.executions import Executions
from pytest_vdkprobe.waiting import Deadline, Waited, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.jobs.settings import JobSettings
    from pytest_vdkprobe.jobs.template import JobTemplate, RenderedJob
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.leases import Lease

REFUSED = frozenset({400, 401, 403, 404, 405, 413, 415, 422})
"""After these a create has certainly had no effect: there is nothing to look for."""
EVERY_MINUTE = "* * * * *"


class LiveJob:
    """A job by its remote name; every method is one change on the platform, seen to be done."""

    def __init__(
        self,
        client: ControlClient,
        run: Run,
        *,
        name: str,
        settings: JobSettings,
        template: JobTemplate,
    ) -> None:
        self.client = client
        self.run = run
        self.name = name
        self.settings = settings
        self.template = template
        self.python_version = template.python_version
        self.vdk_version = settings.vdk_version
        self.lease: Lease | None = None
        self.sent: DataJob | None = None
        self.versions: dict[int, str] = {}
        self.executions = Executions(client, name)

    @property
    def exists(self) -> bool:
        """Whether we created it and have not seen it gone."""
        return self.lease is not None

    def create(self) -> DataJob:
        """Write the lease, then create the job. A name that is taken is refused, never adopted."""
        from pytest_vdkprobe.control.errors import ServiceFailure  # noqa: PLC0415 - loads requests

        settings = self.client.settings
        lease = self.run.leases.take(
            "job", self.name, where={"url": settings.url, "team": settings.team}
        )
        job = DataJob(
            job_name=self.name,
            team=settings.team,
            description=f"{self.settings.description or 'Heartbeat'} {lease.mark}",
            config=DataJobConfig(
                schedule=DataJobSchedule(schedule_cron=self.template.schedule or ""),
                contacts=self._contacts(),
            ),
        )
        self.lease = lease
        try:
            self.client.create_job(job)
        except ServiceFailure as failure:
            if failure.status != 409:
                if failure.status in REFUSED:
                    lease.release()
                    self.lease = None
                raise
            self._refuse_to_adopt(lease, failure)
        self.sent = job
        return job

    def _refuse_to_adopt(self, lease: Lease, refusal: PlatformFailure) -> None:
        """409 means somebody has the name. Whether it is a stranger decides whose fault that is."""
        found = self.client.read_job(self.name)
        if found is not None and lease.mark in (found.description or ""):
            return
        lease.release()
        self.lease = None
        if found is not None:
            raise ProbeError(
                f"A job named {self.name} exists and is not ours; it is left untouched.",
                seen=f"its description: {found.description!r}",
                expected=f"no such job, or one that carries {lease.mark}",
                checked=f"GET .../jobs/{self.name}",
                to_try="choose another name for this job in the configuration",
            ) from refusal
        raise PlatformFailure(
            f"Creating {self.name} was refused as existing, but no such job can be read.",
            seen="409 on create, 404 on read",
            expected="201, or a job that can be read",
            checked=f"POST .../jobs, then GET .../jobs/{self.name}",
            to_try="names are unique over all teams: another team may hold this one",
        ) from refusal

    def _contacts(self) -> DataJobContacts:
        contacts = self.template.contacts
        return DataJobContacts(
            notified_on_job_failure_user_error=list(contacts.notified_on_job_failure_user_error),
            notified_on_job_failure_platform_error=list(
                contacts.notified_on_job_failure_platform_error
            ),
            notified_on_job_success=list(contacts.notified_on_job_success),
            notified_on_job_deploy=list(contacts.notified_on_job_deploy),
        )

    def render(self, revision: int) -> RenderedJob:
        """The job's files for this run; `revision` makes a redeploy visible."""
        return self.template.render({"run_id": self.run.run_id, "revision": revision})

    def upload(self, revision: int) -> str:
        """Upload the sources of that revision; returns the version that the service gave them."""
        packed = self.render(revision).zip(self.name)
        version = self.client.upload_sources(
            self.name, packed, reason=f"vdkprobe run {self.run.run_id} revision {revision}"
        )
        self.versions[revision] = version
        return version

    def deploy(self, version: str, *, deadline: Deadline) -> Waited[DataJobDeploymentStatus | None]:
        """Deploy a version and wait until it, in the wanted Python and VDK, is what is live."""
        self.client.deploy(
            self.name,
            DataJobDeployment(
                job_version=version,
                python_version=self.python_version,
                vdk_version=self.vdk_version,
                enabled=True,
            ),
        )
        return wait_until(
            f"deployment of {self.name} at {version[:12]}",
            self.deployment,
            done=lambda live: live is not None and not self._differences(live, version),
            deadline=deadline,
            describe=lambda live: _describe(live, self._differences(live, version)),
            expected=", ".join(f"{field} {want}" for field, want in self._wanted(version).items()),
            checked=f"GET .../jobs/{self.name}/deployments",
            to_try=f"the build may have failed: look for the builder job builder-{self.name}",
        )

    def _wanted(self, version: str) -> dict[str, object]:
        wanted = {
            "job_version": version,
            "python_version": self.python_version,
            "vdk_version": self.vdk_version,
            "enabled": True,
        }
        return {field: value for field, value in wanted.items() if value is not None}

    def _differences(self, live: DataJobDeploymentStatus | None, version: str) -> list[str]:
        """The fields of a live deployment that are not as they were asked for."""
        if live is None:
            return ["absent"]
        return [
            f"{field} {getattr(live, field)}"
            for field, want in self._wanted(version).items()
            if getattr(live, field) != want
        ]

    def deployment(self) -> DataJobDeploymentStatus | None:
        """What is live now; None when nothing is."""
        found = self.client.deployments(self.name)
        return found[0] if found else None

    def set_enabled(self, enabled: bool, *, deadline: Deadline) -> None:
        """Enable or disable the deployment and see it so."""
        self.client.patch_deployment(self.name, enabled=enabled)
        wait_until(
            f"deployment of {self.name} to be {'enabled' if enabled else 'disabled'}",
            self.deployment,
            done=lambda live: live is not None and live.enabled is enabled,
            deadline=deadline,
            describe=lambda live: "absent" if live is None else f"enabled {live.enabled}",
            expected=f"enabled {enabled}",
            checked=f"GET .../jobs/{self.name}/deployments",
        )

    def set_schedule(self, cron: str, *, version: str, deadline: Deadline) -> None:
        """Store a schedule with the job, then deploy, which is when the platform takes it over."""
        job = self.client.read_job(self.name)
        if job is None or job.config is None:
            raise PlatformFailure(
                f"The job {self.name} can't be read any more.", seen="404", expected="the job"
            )
        job.config.schedule = DataJobSchedule(schedule_cron=cron)
        self.client.update_job(job)
        stored = self.client.read_job(self.name)
        seen = _schedule_of(stored)
        if seen != cron:
            raise PlatformFailure(
                "The schedule that was stored does not read back.",
                seen=repr(seen),
                expected=repr(cron),
                checked=f"PUT, then GET .../jobs/{self.name}",
            )
        self.deploy(version, deadline=deadline)

    def undeploy(self, *, deadline: Deadline) -> Waited[DataJobDeploymentStatus | None]:
        """Remove the deployment and see it gone."""
        self.client.undeploy(self.name)
        return wait_until(
            f"deployment of {self.name} to be gone",
            self.deployment,
            done=lambda live: live is None,
            deadline=deadline,
            describe=lambda live: "gone" if live is None else f"still {live.job_version}",
            expected="no deployment",
            checked=f"GET .../jobs/{self.name}/deployments",
            to_try="the undeploy was answered but not done: delete the job's cron job by hand",
        )

    def remove(self, *, deadline: Deadline) -> str | None:
        """Delete it, if it is there and ours, and see it gone."""
        if self.lease is None:
            return None
        done = remove_job(self.client, self.lease, deadline=deadline)
        self.lease = None
        return done


def _describe(live: DataJobDeploymentStatus | None, differences: list[str]) -> str:
    if live is None:
        return "no deployment"
    return "as wanted" if not differences else ", ".join(differences)


def _schedule_of(job: DataJob | None) -> str | None:
    schedule = job.config.schedule if job and job.config else None
    return schedule.schedule_cron if schedule else None
