"""The service's routes: what each call does, and with which status it is answered.

One method per operation of the API, in its order. Statuses, bodies and their absence are those of
the real service where they differ from its document; a recorded transcript is replayed against it.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from urllib.parse import quote

from pytest_vdkprobe.sandbox import wire
from pytest_vdkprobe.sandbox.calls import (
    EMPTY,
    Answer,
    Call,
    Table,
    json_answer,
    json_body,
    object_body,
)
from pytest_vdkprobe.sandbox.deployments import NONE, Deployments
from pytest_vdkprobe.sandbox.errors import invalid, no_body, problem
from pytest_vdkprobe.sandbox.executions import Executions
from pytest_vdkprobe.sandbox.executor import JSONObject
from pytest_vdkprobe.sandbox.faults import Faults
from pytest_vdkprobe.sandbox.graphql import Listing
from pytest_vdkprobe.sandbox.settings import Settings
from pytest_vdkprobe.sandbox.sources import Repository
from pytest_vdkprobe.sandbox.state import Job, State, stored_config

NAME = re.compile(r"[a-z][a-z0-9-]{5,49}")
"""The server's rule; its document says 5 characters, its command line allows 5 to 45."""

LARGEST_SECRETS_BYTES = 1 << 20
KEYTAB_BYTES = 100

P = "/data-jobs/for-team/{team}/jobs"
J = P + "/{job}"
D = J + "/deployments"
E = J + "/executions"


class Operations:
    """Every operation, over the parts that do the work."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        *,
        faults: Faults,
        sources: Repository,
        deployments: Deployments,
        executions: Executions,
        folder: Path,
    ) -> None:
        self._settings = settings
        self._state = state
        self._faults = faults
        self._sources = sources
        self._deployments = deployments
        self._executions = executions
        self._listing = Listing(state, faults, folder / "repository")
        self._before: dict[str, JSONObject] = {}

    def table(self) -> Table:
        """Path -> method -> operation."""
        return {
            "/data-jobs/for-team/{team}/info": {"GET": self.info},
            P: {"GET": self.jobs_query, "POST": self.create},
            J: {"PUT": self.update, "GET": self.read, "DELETE": self.delete},
            J + "/keytab": {"GET": self.keytab},
            J + "/team/{new_team}": {"PUT": self.change_team},
            D: {"GET": self.deployment_list, "POST": self.deploy},
            D + "/{id}": {
                "GET": self.deployment_read,
                "PATCH": self.deployment_patch,
                "DELETE": self.undeploy,
            },
            E: {"GET": self.execution_list},
            D + "/{id}/executions": {"GET": self.execution_list, "POST": self.execution_start},
            E + "/{execution}": {"GET": self.execution_read, "DELETE": self.execution_cancel},
            E + "/{execution}/logs": {"GET": self.execution_logs},
            D + "/{id}/properties": {"GET": self.properties_read, "PUT": self.properties_write},
            D + "/{id}/secrets": {"GET": self.secrets_read, "PUT": self.secrets_write},
            J + "/sources": {
                "GET": self.sources_download,
                "POST": self.sources_upload,
                "DELETE": self.sources_delete,
            },
            "/data-jobs/teams/{team}/oauth-credentials": {
                "GET": self.no_vault,
                "PUT": self.no_vault,
            },
            "/data-jobs/teams/{team}/oauth-credentials/client-id": {"GET": self.no_vault},
            "/data-jobs/oauth-credentials/client-ids": {"POST": self.no_vault},
        }

    def info(self, _call: Call) -> Answer:
        """Version and python versions."""
        return json_answer(
            {
                "api_version": "PipelinesControlService/sandbox/vdkprobe (sandbox@localhost)",
                "supported_python_versions": self._settings.python_versions,
            }
        )

    # Jobs

    def jobs_query(self, call: Call) -> Answer:
        """GraphQL in the query string."""
        text = call.query.get("variables")
        variables = object_body(text.encode()) if text else None
        operation = call.query.get("operationName") or call.query.get("operation_name")
        status, answer = self._listing.answer(call.query.get("query"), operation, variables)
        return json_answer(answer, status)

    def create(self, call: Call) -> Answer:
        """201 with a Location; a taken name, whichever team's, is an empty 409."""
        body = json_body(call, wire.DataJob)
        team, name = call.params["team"], body.job_name or ""
        what = f"The data job {name!r} can't be created."
        if not NAME.fullmatch(name):
            raise invalid(what, f"A name fits {NAME.pattern}.")
        if call.query.get("name") not in {None, name}:
            raise invalid(what, "The names in the query and in the body differ.")
        if not team.strip():
            raise invalid(what, "The team is blank.")
        if body.team not in {None, team}:
            raise invalid(what, "The teams in the path and in the body differ.")
        with self._state.lock:
            if name in self._state.jobs:
                raise no_body(409)
            if not self._faults.lies("create-lost", name):
                config = stored_config(body.config)
                job = Job(name, team, body.description, config, keytab=self._keytab(name, config))
                self._state.jobs[name] = job
        return Answer(201, headers={"Location": f"{call.base_url}{_path(team, name)}"})

    def read(self, call: Call) -> Answer:
        """The job, or an empty 404."""
        team, name = call.params["team"], call.params["job"]
        with self._state.lock:
            job = self._state.require(team, name)
            if self._faults.lies("read-other-job", name):
                job = Job("another-job", team, "another job", wire.Config())
            body = job.body()
            if self._faults.lies("team-ignored", name):
                body.team = "another-team"
            return json_answer(body)

    def update(self, call: Call) -> Answer:
        """Replace all fields; what is left out is gone."""
        body = json_body(call, wire.DataJob)
        name = call.params["job"]
        what = f"The data job {name!r} can't be updated."
        if body.job_name != name:
            raise invalid(what, "The names in the path and in the body differ.")
        with self._state.lock:
            job = self._state.require(call.params["team"], name)
            if body.team not in {None, job.team}:
                raise invalid(what, "The team can't be changed by an update.")
            if not self._faults.lies("update-dropped", name):
                job.description = body.description
                job.config = stored_config(body.config)
        return EMPTY

    def delete(self, call: Call) -> Answer:
        """Job, deployment, executions and sources; properties survive."""
        team, name = call.params["team"], call.params["job"]
        with self._state.lock:
            job = self._state.require(team, name)
            if self._faults.lies("delete-ignored", name):
                return EMPTY
            if self._faults.lies("delete-stays-listed", name):
                self._state.still_listed.append(job)
            del self._state.jobs[name]
            job.build = job.deployment = None
            job.deployment_status = NONE
            self._sources.delete(name)
            if not self._settings.properties_survive_delete:
                self._state.properties.pop(name, None)
        return EMPTY

    def keytab(self, call: Call) -> Answer:
        """The secret's bytes; 0 of them without Kerberos; 404 where none was generated."""
        with self._state.lock:
            job = self._state.require(call.params["team"], call.params["job"])
            if job.keytab is None or self._faults.lies("keytab-lost", job.name):
                raise no_body(404)
            empty = self._faults.lies("keytab-empty", job.name)
            return Answer(200, b"" if empty else job.keytab, "application/octet-stream")

    def change_team(self, call: Call) -> Answer:
        """Hand the job to another team."""
        with self._state.lock:
            job = self._state.require(call.params["team"], call.params["job"])
            job.team = call.params["new_team"]
        return EMPTY

    # Deployments

    def deployment_list(self, call: Call) -> Answer:
        """None or one."""
        live = self._deployments.read(call.params["team"], call.params["job"])
        return json_answer([] if live is None else [live])

    def deployment_read(self, call: Call) -> Answer:
        """The one deployment, whatever id is asked for."""
        live = self._deployments.read(call.params["team"], call.params["job"])
        if live is None:
            raise no_body(404)
        return json_answer(live)

    def deploy(self, call: Call) -> Answer:
        """202 at once; the rest happens behind it."""
        request = json_body(call, wire.Deployment)
        self._deployments.deploy(call.params["team"], call.params["job"], request, call.user)
        return Answer(202)

    def deployment_patch(self, call: Call) -> Answer:
        """Enable, disable, another vdk version."""
        request = json_body(call, wire.Deployment)
        self._deployments.patch(call.params["team"], call.params["job"], request, call.user)
        return Answer(202)

    def undeploy(self, call: Call) -> Answer:
        """202, deployed or not."""
        self._deployments.undeploy(call.params["team"], call.params["job"])
        return Answer(202)

    # Executions

    def execution_start(self, call: Call) -> Answer:
        """202 with the execution's Location."""
        team, name = call.params["team"], call.params["job"]
        request = json_body(call, wire.ExecutionRequest) if call.body.strip() else None
        execution_id = self._executions.start(team, name, request, op_id=call.op_id, user=call.user)
        location = f"{call.base_url}{_path(team, name)}/executions/{execution_id}"
        return Answer(202, headers={"Location": location})

    def execution_list(self, call: Call) -> Answer:
        """All of them, or those of the statuses asked for."""
        team, name = call.params["team"], call.params["job"]
        return json_answer(self._executions.list(team, name, call.query_list("execution_status")))

    def execution_read(self, call: Call) -> Answer:
        """One execution."""
        return json_answer(self._executions.read(*_execution(call)))

    def execution_cancel(self, call: Call) -> Answer:
        """End it."""
        self._executions.cancel(*_execution(call))
        return EMPTY

    def execution_logs(self, call: Call) -> Answer:
        """Its log, or the last lines of it."""
        try:
            tail = int(call.query.get("tail_lines") or 0)
        except ValueError as exc:
            raise invalid("The log can't be cut.", "tail_lines is not a number.") from exc
        return json_answer({"logs": self._executions.logs(*_execution(call), tail)})

    # Properties and secrets

    def properties_read(self, call: Call) -> Answer:
        """By the job's name alone: neither job nor team need exist."""
        name = call.params["job"]
        with self._state.lock:
            stale = self._faults.lies("properties-stale", name)
            document = (self._before if stale else self._state.properties).get(name, {})
            if self._faults.lies("properties-foreign", name):
                document = dict.fromkeys(document, "another run's")
            return json_answer(document)

    def properties_write(self, call: Call) -> Answer:
        """Replace the whole document."""
        name, document = call.params["job"], object_body(call.body)
        with self._state.lock:
            old = self._state.properties.get(name, {})
            self._before[name] = old
            if self._faults.lies("properties-merged", name):
                document = old | document
            if not self._faults.lies("properties-dropped", name):
                self._state.properties[name] = document
        return Answer(204)

    def secrets_read(self, call: Call) -> Answer:
        """501 without a vault."""
        self._require_vault()
        with self._state.lock:
            return json_answer(self._state.secrets.get(_vault_key(call), {}))

    def secrets_write(self, call: Call) -> Answer:
        """Replace the whole document."""
        self._require_vault()
        if len(call.body) > LARGEST_SECRETS_BYTES:
            raise problem(413, "The secrets can't be stored.", why="They exceed 1 MiB.")
        document = object_body(call.body)
        with self._state.lock:
            if not self._faults.lies("secrets-dropped", call.params["job"]):
                self._state.secrets[_vault_key(call)] = document
        return Answer(202)

    def no_vault(self, _call: Call) -> Answer:
        """OAuth credentials need a vault too; without one, 501 and no body."""
        return Answer(501)

    # Sources

    def sources_upload(self, call: Call) -> Answer:
        """The version of the uploaded content."""
        name = call.params["job"]
        with self._state.lock:
            self._state.require(call.params["team"], name)
        latest = self._sources.latest(name)
        if latest is not None and self._faults.lies("upload-lost", name):
            return json_answer({"version_sha": latest})
        anew = self._faults.lies("upload-new-version", name)
        return json_answer({"version_sha": self._sources.upload(name, call.body, new_version=anew)})

    def sources_download(self, call: Call) -> Answer:
        """The latest version as a zip."""
        with self._state.lock:
            job = self._state.require(call.params["team"], call.params["job"])
        data = self._sources.download(job.name)
        if data is None:
            raise no_body(404)
        return Answer(200, data, "application/octet-stream")

    def sources_delete(self, call: Call) -> Answer:
        """200, whether there were any or not."""
        with self._state.lock:
            job = self._state.require(call.params["team"], call.params["job"])
        self._sources.delete(job.name)
        return EMPTY

    def _keytab(self, name: str, config: wire.Config) -> bytes | None:
        if self._settings.keytab == "absent" or not config.generate_keytab:
            return None
        return secrets.token_bytes(KEYTAB_BYTES) if self._settings.keytab == "bytes" else b""

    def _require_vault(self) -> None:
        if not self._settings.secrets:
            raise problem(
                501,
                "Secrets are not available.",
                why="The service is configured without a vault.",
                countermeasures="Ask the operator to configure one.",
            )


def _path(team: str, job: str) -> str:
    return f"/data-jobs/for-team/{quote(team, safe='')}/jobs/{quote(job, safe='')}"


def _execution(call: Call) -> tuple[str, str, str]:
    return call.params["team"], call.params["job"], call.params["execution"]


def _vault_key(call: Call) -> tuple[str, str]:
    return call.params["team"], call.params["job"]
