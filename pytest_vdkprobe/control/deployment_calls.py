"""The operations on deployments: the service has one for each job, whatever id it is called by."""

from __future__ import annotations

from typing import Any

from pytest_vdkprobe.control.calls import segment
from pytest_vdkprobe.control.job_calls import GONE, Calls
from pytest_vdkprobe.control.models import DataJobDeployment, DataJobDeploymentStatus

DEPLOYMENT = "production"
"""The id that the official client uses; the service takes any."""


class DeploymentCalls(Calls):
    """Deployments. A command is accepted at once and carried out later: look until it shows."""

    def deployments(self, name: str) -> list[DataJobDeploymentStatus] | None:
        """What is live: none or one; None when there is no such job."""
        path = f"{self._job(name)}/deployments"
        answer = self._caller.call("GET", path, absent=GONE)
        if answer is None:
            return None
        return self._caller.decode(answer, list[DataJobDeploymentStatus], method="GET", path=path)

    def deployment(
        self, name: str, *, deployment_id: str = DEPLOYMENT
    ) -> DataJobDeploymentStatus | None:
        """The deployment by its id; None when nothing is deployed, or no such job is there."""
        path = self._deployment(name, deployment_id)
        answer = self._caller.call("GET", path, absent=GONE)
        if answer is None:
            return None
        return self._caller.decode(answer, DataJobDeploymentStatus, method="GET", path=path)

    def deploy(self, name: str, deployment: DataJobDeployment) -> None:
        """Ask for a deployment. What it leaves out stays as it was.

        When it stays unknown whether it was accepted, it is asked for again unless a deployment
        shows that is newer than before and as asked; twice the same only builds the same.
        """
        path = f"{self._job(name)}/deployments"
        before = self._deployed_at(name)

        def ask() -> bool:
            self._caller.need("POST", path, document=deployment)
            return True

        def deployed() -> bool | None:
            # A redeploy of the same version takes over a new schedule: the version tells nothing.
            newer = self._deployed_at(name) != before
            return self._is_live(name, deployment) if newer else None

        self._caller.unless_done(ask, deployed)

    def patch_deployment(
        self, name: str, *, deployment_id: str = DEPLOYMENT, **changes: Any
    ) -> None:
        """Change fields of the deployment, e.g. `enabled=False`."""
        path = self._deployment(name, deployment_id)
        change = DataJobDeployment(**changes)

        def patch() -> bool:
            self._caller.need("PATCH", path, document=change)
            return True

        self._caller.unless_done(patch, lambda: self._is_live(name, change))

    def undeploy(self, name: str, *, deployment_id: str = DEPLOYMENT) -> bool:
        """Remove the deployment, if any; False when there is no such job."""
        path = self._deployment(name, deployment_id)
        return self._caller.call("DELETE", path, absent=GONE) is not None

    def _is_live(self, name: str, wanted: DataJobDeployment) -> bool | None:
        """Whether every field that was asked for is what the deployment shows."""
        found = self.deployments(name)
        if not found:
            return None
        shown = found[0].to_dict()
        asked = wanted.to_dict()
        return all(shown.get(field) == value for field, value in asked.items()) or None

    def _deployed_at(self, name: str) -> str | None:
        found = self.deployments(name)
        return found[0].last_deployed_date if found else None

    def _deployment(self, name: str, deployment_id: str) -> str:
        return f"{self._job(name)}/deployments/{segment(deployment_id)}"
