"""The operations on what stands beside jobs: properties, secrets, OAuth clients, health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_vdkprobe.control.calls import segment
from pytest_vdkprobe.control.job_calls import GONE, Calls
from pytest_vdkprobe.control.models import OauthCredentials, OauthTeamClientId

ANY_DEPLOYMENT = "TODO"
"""What `vdk` itself writes there; the service does not look at it."""


class DocumentCalls(Calls):
    """Whole JSON documents: what is written replaces what was there."""

    def properties(self, name: str) -> dict[str, Any]:
        """The job's properties. They don't ask for team or job, and outlive the job."""
        return self._read(self._document(name, "properties"))

    def put_properties(self, name: str, properties: Mapping[str, Any]) -> None:
        """Replace all properties."""
        path = self._document(name, "properties")
        self._caller.need("PUT", path, document=dict(properties))

    def secrets(self, name: str) -> dict[str, Any]:
        """The job's secrets. Status 501 means that the platform has no store for them."""
        return self._read(self._document(name, "secrets"), confidential=True)

    def put_secrets(self, name: str, secrets: Mapping[str, Any]) -> None:
        """Replace all secrets."""
        path = self._document(name, "secrets")
        self._caller.need("PUT", path, document=dict(secrets), confidential=True)

    # The team's OAuth application

    def oauth_credentials(self) -> OauthCredentials | None:
        """The team's OAuth client with its secret."""
        path = self._oauth
        answer = self._caller.call("GET", path, absent=GONE, confidential=True)
        if answer is None:
            return None
        return self._caller.decode(answer, OauthCredentials, method="GET", path=path)

    def put_oauth_credentials(self, credentials: OauthCredentials) -> None:
        """Store the team's OAuth client."""
        sent = {"clientId": credentials.client_id, "clientSecret": credentials.client_secret}
        self._caller.need("PUT", self._oauth, document=sent, confidential=True)

    def oauth_client_id(self) -> OauthTeamClientId | None:
        """The id of the team's OAuth client; needs no login."""
        path = f"{self._oauth}/client-id"
        answer = self._caller.call("GET", path, absent=GONE, public=True)
        if answer is None:
            return None
        return self._caller.decode(answer, OauthTeamClientId, method="GET", path=path)

    def teams_of_clients(self, client_ids: Sequence[str]) -> list[OauthTeamClientId]:
        """The teams that OAuth clients belong to; needs no login."""
        path = "/data-jobs/oauth-credentials/client-ids"
        answer = self._caller.need(
            "POST", path, document=list(client_ids), public=True, repeatable=True
        )
        return self._caller.decode(answer, list[OauthTeamClientId], method="POST", path=path)

    # Health, which needs no login

    def frontend(self) -> str | None:
        """The page at `frontend_url`; None where none is configured. Goes without our login."""
        url = self._caller.settings.frontend_url
        return None if url is None else self._caller.page(url)

    def health(self) -> dict[str, Any]:
        """The service's own view of its health; answers 503 when that is bad."""
        return self._read("/data-jobs/debug/health", public=True)

    def prometheus(self) -> str:
        """The service's metrics, in Prometheus' text format."""
        answer = self._caller.need(
            "GET", "/data-jobs/debug/prometheus", accept="text/plain", public=True
        )
        return answer.body.decode("utf-8", "backslashreplace")

    def _read(self, path: str, **options: Any) -> dict[str, Any]:
        answer = self._caller.need("GET", path, **options)
        return self._caller.decode(answer, dict[str, Any], method="GET", path=path)

    def _document(self, name: str, kind: str) -> str:
        return f"{self._job(name)}/deployments/{ANY_DEPLOYMENT}/{kind}"

    @property
    def _oauth(self) -> str:
        return f"/data-jobs/teams/{segment(self.team)}/oauth-credentials"
