"""How a version of a job goes live: accepted at once, built meanwhile, visible at the end.

The real service answers 202 before anything has happened, and a build that fails says so to nobody
who asks by this API: the deployment just never appears. That window, and that silence, are what a
heartbeat has to cope with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pytest_vdkprobe.sandbox import wire
from pytest_vdkprobe.sandbox.errors import ServiceError, invalid, problem, unavailable
from pytest_vdkprobe.sandbox.executor import BuildError, Executor
from pytest_vdkprobe.sandbox.faults import Faults
from pytest_vdkprobe.sandbox.schedule import is_valid_cron
from pytest_vdkprobe.sandbox.settings import Settings
from pytest_vdkprobe.sandbox.sources import Repository
from pytest_vdkprobe.sandbox.state import (
    DEFAULT_RESOURCES,
    Deployment,
    Job,
    State,
    now,
    stamp,
)

SUCCESS, PLATFORM_ERROR, USER_ERROR, NONE = 0, 1, 3, -1
"""Values of the gauge `taurus_deployment_status_gauge`."""


class Deployments:
    """Deploys, patches and removes; owns the builds under way."""

    def __init__(
        self,
        state: State,
        settings: Settings,
        faults: Faults,
        *,
        sources: Repository,
        executor: Executor,
    ) -> None:
        self._state = state
        self._settings = settings
        self._faults = faults
        self._sources = sources
        self._executor = executor
        self._closed = threading.Event()

    def close(self) -> None:
        """Let no build go live any more."""
        self._closed.set()

    def deploy(self, team: str, name: str, request: wire.Deployment, user: str | None) -> None:
        """Accept a deployment and build it; what it leaves out comes from the previous one."""
        self._check_resources(request)
        self._check_python(request)
        with self._state.lock:
            job = self._state.require(team, name)
            wanted = self._merged(job, request, user)
            token = job.build = object()
        _start(self._build, job, wanted, token)

    def patch(self, team: str, name: str, request: wire.Deployment, user: str | None) -> None:
        """Change the live deployment: enabled, vdk version, resources, mode."""
        self._check_resources(request)
        self._check_python(request)
        with self._state.lock:
            job = self._state.require(team, name)
            live = job.deployment
            if live is None:
                raise problem(
                    404,
                    f"The deployment of data job {name} can't be changed.",
                    why="The job is not deployed.",
                    countermeasures="Deploy it first.",
                )
            for field in ("job_version", "python_version"):
                if getattr(request, field) not in {None, getattr(live, field)}:
                    raise invalid(
                        f"The deployment of data job {name} can't be changed.",
                        f"{field} is changed by a new deployment only.",
                    )
            wanted = self._merged(job, request, user)
        if request.enabled is not None:
            lie = "enable-dropped" if request.enabled else "disable-dropped"
            if self._faults.lies(lie, name):
                return
        if self._settings.enable_delay_s > 0:
            _start(self._apply_later, job, live, wanted)
        else:
            self._apply(job, live, wanted)

    def undeploy(self, team: str, name: str) -> None:
        """Remove the deployment and give up the build under way."""
        with self._state.lock:
            job = self._state.require(team, name)
            if self._faults.lies("undeploy-ignored", name):
                return
            job.build = None
            job.deployment = None
            job.deployment_status = SUCCESS

    def read(self, team: str, name: str) -> wire.DeploymentStatus | None:
        """The live deployment as the API shows it, or None; an unknown job is the empty 404."""
        with self._state.lock:
            job = self._state.require(team, name)
            check_cluster(self._faults, name)
            live = job.deployment
            if live is None:
                return None
            shown = wire.DeploymentStatus(
                vdk_version=live.vdk_version,
                job_version=live.job_version,
                python_version=live.python_version,
                mode=live.mode,
                enabled=live.enabled,
                last_deployed_date=stamp(live.deployed_at, 9),
                last_deployed_by=live.deployed_by,
            )
            if self._settings.deployments_from == "DB":
                shown.id = job.name
                shown.contacts = job.config.contacts
                shown.schedule = wire.Schedule(live.schedule_cron)
                shown.resources = DEFAULT_RESOURCES
        if self._faults.lies("deploy-wrong-version", name):
            shown.job_version = "0" * 40
        if self._faults.lies("deploy-wrong-python", name):
            shown.python_version = "2.7"
        if self._faults.lies("deploy-wrong-vdk", name):
            shown.vdk_version = "0.0.1"
        return shown

    def code_of(self, job: Job, live: Deployment) -> Path | None:
        """The folder of the code that a run of this deployment executes."""
        version = live.job_version
        if self._faults.lies("deploy-old-code", job.name):
            version = self._sources.previous(job.name, version)
        return self._sources.unpack(job.name, version)

    def _merged(self, job: Job, request: wire.Deployment, user: str | None) -> Deployment:
        """The deployment that results: what the request leaves out is kept, or has a default."""
        old = job.deployment
        python = request.python_version or (old and old.python_version)
        python_changes = old is not None and python != old.python_version
        kept_vdk = None if python_changes else (old and old.vdk_version)
        enabled = request.enabled
        if enabled is None:
            enabled = old.enabled if old else True
        return Deployment(
            job_version=request.job_version or (old.job_version if old else ""),
            vdk_version=request.vdk_version or kept_vdk or self._settings.default_vdk,
            python_version=python or self._settings.default_python,
            enabled=enabled,
            mode=request.mode or (old.mode if old else "release"),
            schedule_cron=job.cron,
            deployed_at=now(),
            deployed_by=user,
        )

    def _build(self, job: Job, wanted: Deployment, token: object) -> None:
        if self._closed.wait(self._settings.deploy_delay_s):
            return
        status = self._built(job, wanted)
        with self._state.lock:
            if job.build is not token or self._closed.is_set():
                return
            job.build = None
            job.deployment_status = status
            if status == SUCCESS and not self._faults.lies("deploy-never", job.name):
                wanted.deployed_at = now()
                job.deployment = wanted

    def _built(self, job: Job, wanted: Deployment) -> int:
        """Build the version; the gauge's value says how that went."""
        if wanted.schedule_cron and not is_valid_cron(wanted.schedule_cron):
            return PLATFORM_ERROR
        folder = self._sources.unpack(job.name, wanted.job_version)
        if folder is None:
            return PLATFORM_ERROR
        if self._faults.lies("build-fails", job.name):
            return USER_ERROR
        try:
            self._executor.prepare(folder)
        except BuildError:
            return USER_ERROR
        return SUCCESS

    def _apply(self, job: Job, old: Deployment, wanted: Deployment) -> None:
        with self._state.lock:
            # A deployment that went live, or away, in the meantime is not overwritten.
            if job.deployment is old:
                wanted.deployed_at = now()
                job.deployment = wanted

    def _apply_later(self, job: Job, old: Deployment, wanted: Deployment) -> None:
        if not self._closed.wait(self._settings.enable_delay_s):
            self._apply(job, old, wanted)

    def _check_python(self, request: wire.Deployment) -> None:
        version = request.python_version
        if version is not None and version not in self._settings.python_versions:
            raise unsupported_python(version, self._settings.python_versions)

    @staticmethod
    def _check_resources(request: wire.Deployment) -> None:
        asked = request.resources
        if asked is None:
            return
        both = asked.memory_request is not None and asked.memory_limit is not None
        if asked.cpu_request is not None or asked.cpu_limit is not None or both:
            raise invalid(
                "The deployment's resources can't be set.",
                "Only one of memory request and limit may be given, and no cpu.",
            )


def _start(target: Callable[..., None], *args: object) -> None:
    """Run `target` on a thread of its own: a build may take minutes, and the answer is due now."""
    threading.Thread(target=target, args=args, name="sandbox-build", daemon=True).start()


def check_cluster(faults: Faults, job: str) -> None:
    """503 while a fault keeps the cluster from answering the service."""
    if faults.lies("cluster-down", job):
        raise unavailable("The cluster could not be reached.", "It refused the call.")


def unsupported_python(version: str, supported: tuple[str, ...]) -> ServiceError:
    """409: the python version is not one that the service offers."""
    return problem(
        409,
        f"Python {version} is not supported.",
        why=f"Supported are {', '.join(supported)}.",
        countermeasures="Ask for one of those, or for none to get the default.",
    )
