"""The subject of a heartbeat: one configured data job, from reaching the service to deletion.

Each public method is one step of the journey: it acts, compares, and leaves its evidence on the
step that is running. Nothing is believed because a call was answered; what the platform says of
itself is checked against what the job itself left behind, in its log and in its properties.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_vdkprobe.errors import ConfigError, NoEvidence, PlatformFailure
from pytest_vdkprobe.jobs.secret_values import opened
from pytest_vdkprobe.jobs.template import JobTemplate, load_template
from pytest_vdkprobe.journeys import belongings
from pytest_vdkprobe.journeys.compare import short
from pytest_vdkprobe.journeys.live_job import LiveJob
from pytest_vdkprobe.journeys.proof import await_proof, require_log
from pytest_vdkprobe.journeys.schedule import Schedule
from pytest_vdkprobe.waiting import Deadline, Waited

if TYPE_CHECKING:
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.control.models import DataJobExecution
    from pytest_vdkprobe.jobs.settings import JobSettings
    from pytest_vdkprobe.journeys.executions import Started
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.journeys.steps import StepRecord

T = TypeVar("T")
Load = Callable[..., JobTemplate]


class DataJobSubject:
    """A configured job on its way through the platform; built by the fixture `vdk_job`."""

    def __init__(
        self, client: ControlClient, run: Run, settings: JobSettings, *, load: Load = load_template
    ) -> None:
        self._load_template = load
        self.client = client
        self.run_context = run
        self.settings = settings
        self.own = self._live_job(settings)
        base_dir = run.configuration.base_dir
        self._given = opened(settings.arguments, base_dir=base_dir, key="jobs.arguments")
        self._expected = opened(
            settings.expect_properties, base_dir=base_dir, key="jobs.expect_properties"
        )
        self.proves = self.own.template.proves
        self._companion: LiveJob | None = None
        self._ran: Started | None = None
        self._hanging: Started | None = None
        self._starts = 0
        self._properties_kept = False
        self._schedule: Schedule | None = None

    @property
    def step(self) -> StepRecord:
        """The step that is running now."""
        return _made(self.run_context.step)

    # Reaching the platform

    def reach(self) -> None:
        """Call the service once, with our login."""
        info = self.client.info()
        self.step.evidence(f"{info.api_version}, login: {self.client.auth_kind}")
        self.step.attach("versions", {"control-service": info.api_version})
        for line in self.run_context.swept:
            self.step.evidence(f"of an earlier run: {line}")

    def require_python_supported(self) -> None:
        """The service's list of Python versions holds the one that the job wants."""
        supported = self.client.info().supported_python_versions
        wanted = self.own.python_version
        if wanted and wanted not in supported:
            raise ConfigError(
                f"The platform does not support Python {wanted}, which the job wants.",
                key="jobs.python_version",
                value=wanted,
                expected="one of " + ", ".join(supported),
                to_try="choose a supported version, or none for the platform's own",
            )
        asked = f"; {wanted} wanted" if wanted else ""
        self.step.evidence(f"Python {', '.join(supported)}{asked}")

    # The job and what belongs to it

    @property
    def secrets_offered(self) -> bool:
        """Whether the configuration says that the platform has a secrets store."""
        return self.client.settings.secrets_enabled

    def create(self) -> None:
        """Create the job under its lease."""
        self.own.create()
        self.step.evidence(f"job {self.own.name}, lease {_made(self.own.lease).id}")

    def require_read_back(self) -> None:
        """Every field that was sent is what the service holds."""
        self.step.evidence(belongings.require_read_back(self.own))

    def require_listed(self) -> None:
        """The GraphQL list of the team holds the job, once, and in this team."""
        self.step.evidence(belongings.require_listed(self.own))

    def require_keytab(self) -> None:
        """The keytab is what the configuration says that this platform gives."""
        self.step.evidence(belongings.require_keytab(self.own))

    def require_properties_kept(self) -> None:
        """Properties round trip; what is written stays for the job to find."""
        self.step.evidence(belongings.require_properties_kept(self.own))
        self._properties_kept = True

    def require_secrets_kept(self) -> None:
        """Secrets round trip, and are written away again."""
        self.step.evidence(belongings.require_secrets_kept(self.own))

    # Deployment

    def upload(self) -> None:
        """Upload twice: the same bytes must be the same version, or rollbacks mean nothing."""
        first = self.own.upload(1)
        again = self.own.upload(1)
        if first != again:
            raise PlatformFailure(
                "The same sources were given two versions.",
                seen=f"{first}, then {again}",
                expected="one version",
                checked=f"POST .../jobs/{self.own.name}/sources, twice",
            )
        self.step.evidence(f"version {first[:12]}")

    def deploy(self) -> None:
        """Deploy the uploaded version and see it live."""
        version = self.own.versions[1]
        waited = self.own.deploy(version, deadline=self.step.deadline)
        live = waited.value
        if live is not None and live.vdk_version:
            self.step.attach("versions", {"vdk": live.vdk_version})
        self.step.evidence(
            f"version {version[:12]} live after {waited.elapsed_s:.1f} s"
            + (f", Python {live.python_version}, VDK {live.vdk_version}" if live else "")
        )

    def redeploy(self) -> None:
        """Deploy a changed job; a run of it must be the changed one."""
        job = self.prover
        version = job.upload(2)
        if version == job.versions[1]:
            raise PlatformFailure(
                "Changed sources were given the version of the unchanged ones.",
                seen=version,
                expected="another version",
            )
        self._switch(job, version, revision=2)

    def rollback(self) -> None:
        """Deploy the first version again; a run of it must be the old one."""
        self._switch(self.prover, self.prover.versions[1], revision=1)

    def _switch(self, job: LiveJob, version: str, *, revision: int) -> None:
        waited = job.deploy(version, deadline=self.step.deadline)
        started = self._start(job, mode="prove")
        job.executions.follow_to_end(started, expected="succeeded", deadline=self.step.deadline)
        proof = self._await_proof(job, started)
        if proof.get("revision") != revision:
            raise PlatformFailure(
                "The deployment shows the new version, but the old code ran.",
                seen=f"revision {proof.get('revision')}",
                expected=f"revision {revision}",
                checked=started.checked,
                to_try="a node may run an old image: see the image of the execution's pod",
            )
        self.step.evidence(
            f"version {version[:12]} live after {waited.elapsed_s:.1f} s, "
            f"revision {revision} ran as {started.id}"
        )

    # Runs

    def run(self) -> None:
        """Start the job and follow that execution until it has succeeded."""
        started = self._start(self.own, mode="prove")
        waited = self.own.executions.follow_to_end(
            started, expected="succeeded", deadline=self.step.deadline
        )
        self._ran = started
        self._require_this_deployment(waited, started)
        self.own.executions.require_listed(started, deadline=self.step.deadline)
        self.step.evidence(f"execution {started.id}: {waited} in {waited.elapsed_s:.1f} s")

    def _require_this_deployment(
        self, waited: Waited[DataJobExecution | None], started: Started
    ) -> None:
        """The execution must name the version that was deployed, where it names one."""
        deployment = waited.value.deployment if waited.value else None
        version = deployment.job_version if deployment else None
        if version is not None and version != self.own.versions[1]:
            raise PlatformFailure(
                "The execution ran another version than the one deployed.",
                seen=version,
                expected=self.own.versions[1],
                checked=started.checked,
            )

    def require_log(self) -> None:
        """The execution's log holds the marker with this run's nonce, or what is configured."""
        started = _made(self._ran)
        wanted = (f"nonce={started.nonce}",) if self.proves else self.settings.expect_log
        self.step.evidence(require_log(self.client, started, wanted, deadline=self.step.deadline))

    def require_proof(self) -> None:
        """The properties are what this run of the job, with its arguments, must have written."""
        started = _made(self._ran)
        if self.proves:
            self._require_own_proof(started)
        elif self._expected:
            self.step.evidence(
                belongings.require_properties(self.own, self._expected, deadline=self.step.deadline)
            )
        else:
            raise NoEvidence(
                "This job leaves no proof of its own.",
                seen="its execution succeeded and has a log",
                expected="a property that only this run can have written",
                to_try="let the job write a property, and name it in jobs.expect_properties",
            )

    def _require_own_proof(self, started: Started) -> None:
        proof = self._await_proof(self.own, started)
        given = self._arguments("prove", started.nonce)
        if proof.get("arguments") != given:
            raise PlatformFailure(
                "The job ran without the arguments that it was given.",
                seen=short(proof.get("arguments")),
                expected=short(given),
                checked=started.checked,
            )
        if self._properties_kept:
            belongings.require_check_property(self.own)
        self.step.evidence(f"run {proof.get('run_id')}, nonce {proof.get('nonce')}")

    def require_second_start_refused(self) -> None:
        """While an execution runs, another start of the job is answered with 409."""
        executions = self.prover.executions
        hanging = self._start(self.prover, mode="hang")
        waited = executions.follow(
            hanging, until=frozenset({"running"}), deadline=self.step.deadline
        )
        if waited.value is None or str(waited.value.status) != "running":
            raise PlatformFailure(
                "A job that runs until it is cancelled ended by itself.",
                seen=str(waited),
                expected="running",
                checked=hanging.checked,
            )
        self._hanging = hanging
        executions.refuse_start()
        self.step.evidence(f"409 while {hanging.id} runs")

    def cancel(self) -> None:
        """Cancel the running execution and see it cancelled."""
        waited = self.prover.executions.cancel(_made(self._hanging), deadline=self.step.deadline)
        self._hanging = None
        self.step.evidence(f"{waited} in {waited.elapsed_s:.1f} s")

    def require_failure_reported(self) -> None:
        """A job that raises in its own code ends as user_error."""
        job = self.prover
        started = self._start(job, mode="fail")
        waited = job.executions.follow_to_end(
            started, expected="user_error", deadline=self.step.deadline
        )
        self._await_proof(job, started)
        self.step.evidence(f"execution {started.id}: {waited}")

    # Schedule

    def require_schedule_fires(self) -> None:
        """Give the job a schedule of every minute; an execution must come by itself."""
        job = self.prover
        # The schedule's own runs must not meet one that a failed step left.
        job.executions.settle()
        self._schedule = Schedule(job)
        self.step.evidence(self._schedule.require_fires(deadline=self.step.deadline))

    def disable(self) -> None:
        """Disable the deployment; for longer than its period, nothing may fire."""
        self.step.evidence(_made(self._schedule).disable(deadline=self.step.deadline))

    def enable(self) -> None:
        """Enable it again; an execution must come by itself."""
        self.step.evidence(_made(self._schedule).enable(deadline=self.step.deadline))

    # The end

    def undeploy(self) -> None:
        """Remove the deployments and see them gone."""
        waited = self.own.undeploy(deadline=self.step.deadline)
        self.step.evidence(f"no deployment after {waited.elapsed_s:.1f} s")
        if self._companion and self._companion.exists:
            self._companion.undeploy(deadline=self.step.deadline)

    def delete(self) -> None:
        """Delete the jobs: 404 when read, gone from the list, and a second delete finds nothing."""
        for job in filter(None, (self.own, self._companion)):
            if not job.exists:
                continue
            done = job.remove(deadline=self.step.deadline)
            listed = [row.job_name for row in self.client.list_jobs(self.client.settings.team)]
            if job.name in listed:
                raise PlatformFailure(
                    "The deleted job is still in its team's list.",
                    seen=job.name,
                    expected="gone",
                    checked="GET .../jobs?query=...",
                )
            self.step.evidence(f"{done}: 404, not listed")

    def close(self, *, deadline: Deadline) -> list[str]:
        """Remove whatever is still there; returns what was done. Safe to call again."""
        jobs = [job for job in (self.own, self._companion) if job is not None]
        return [done for job in jobs if (done := job.remove(deadline=deadline))]

    # What the steps share

    @property
    def prover(self) -> LiveJob:
        """The job that can prove, fail and hang on demand: the configured one, or its companion."""
        if self.proves:
            return self.own
        if self._companion is None:
            self._companion = self._make_companion()
        return self._companion

    def _make_companion(self) -> LiveJob:
        job = self._companion = self._live_job(self.settings.companion())
        job.create()
        job.deploy(job.upload(1), deadline=self.step.deadline)
        return job

    def _live_job(self, settings: JobSettings) -> LiveJob:
        run = self.run_context
        template = self._load_template(
            settings.source,
            settings=settings,
            team=self.client.settings.team,
            base_dir=run.configuration.base_dir,
        )
        name = settings.remote_name(run.run_id)
        return LiveJob(self.client, run, name=name, settings=settings, template=template)

    def _arguments(self, mode: str, nonce: str) -> dict[str, Any]:
        return {**self._given, "run_id": self.run_context.run_id, "mode": mode, "nonce": nonce}

    def _start(self, job: LiveJob, *, mode: str) -> Started:
        self._starts += 1
        nonce = f"{self.run_context.run_id}-{self._starts}-{time.monotonic_ns() % 1_000_000:06d}"
        arguments = self._arguments(mode, nonce) if job.template.proves else dict(self._given)
        return job.executions.start(arguments, nonce=nonce)

    def _await_proof(self, job: LiveJob, started: Started) -> dict[str, Any]:
        return await_proof(
            self.client, started, run_id=self.run_context.run_id, deadline=self.step.deadline
        )


def _made(value: T | None) -> T:
    """What an earlier step has made; its absence is a bug of ours, never the platform's."""
    if value is None:
        raise RuntimeError("a step ran before the one that it needs")
    return value


@contextmanager
def open_subject(
    name: str, client: ControlClient, run: Run, *, load: Load = load_template
) -> Iterator[DataJobSubject]:
    """The subject of a configured job; what it created is removed when the block ends."""
    from pytest_vdkprobe.jobs.settings import JobSettings  # noqa: PLC0415 - loads msgspec

    settings = next(
        job for job in run.configuration.sections("jobs", JobSettings) if job.name == name
    )
    subject = DataJobSubject(client, run, settings, load=load)
    try:
        yield subject
    finally:
        client.op_id = f"{run.run_id}-cleanup"
        subject.close(deadline=Deadline.after(run.cleanup_timeout_s, "time for the cleanup"))
