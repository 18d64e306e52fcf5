"""The pages beside the jobs' API: documents, health, metrics, and the sandbox's own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from pytest_vdkprobe.sandbox import metrics
from pytest_vdkprobe.sandbox.auth import REALM, Tokens
from pytest_vdkprobe.sandbox.calls import Answer, Call, Table, json_answer, json_body
from pytest_vdkprobe.sandbox.errors import bug
from pytest_vdkprobe.sandbox.executor import JSONObject
from pytest_vdkprobe.sandbox.faults import Fault, Faults
from pytest_vdkprobe.sandbox.state import State

KEYCLOAK = "/auth/realms/{realm}/protocol/openid-connect/token"


class Pages:
    """Every page, over what it shows."""

    def __init__(self, state: State, *, faults: Faults, tokens: Tokens, api: Table) -> None:
        self._state = state
        self._faults = faults
        self._tokens = tokens
        self._api = api

    def table(self) -> Table:
        """Path -> method -> operation."""
        return {
            "/data-jobs/api-docs": {"GET": self.api_docs},
            "/data-jobs/debug/health": {"GET": self.health},
            "/data-jobs/debug/health/liveness": {"GET": self.probe},
            "/data-jobs/debug/health/readiness": {"GET": self.probe},
            "/data-jobs/debug/prometheus": {"GET": self.prometheus},
            "/data-jobs/debug/servertime": {"GET": self.server_time},
            "/data-jobs/debug/servertime-millis": {"GET": self.server_time_millis},
            "/data-jobs/debug/throw": {"GET": self.throw},
            "/sandbox/oauth/token": {"POST": self.token},
            KEYCLOAK: {"POST": self.keycloak_token},
            "/sandbox/faults": {
                "GET": self.faults_list,
                "POST": self.faults_plant,
                "DELETE": self.faults_clear,
            },
        }

    # Beside the API

    def api_docs(self, _call: Call) -> Answer:
        """A short OpenAPI document: paths and methods."""
        paths = {
            path: {
                method.lower(): {"responses": {"default": {"description": operation.__name__}}}
                for method, operation in methods.items()
            }
            for path, methods in (self._api | self.table()).items()
            if path.startswith("/data-jobs/")
        }
        about = {"title": "Control Service of the sandbox", "version": "1.0"}
        return json_answer({"openapi": "3.0.1", "info": about, "paths": paths})

    def health(self, _call: Call) -> Answer:
        """Up, with its components."""
        disk: JSONObject = {
            "total": 1 << 40,
            "free": 1 << 39,
            "threshold": 10485760,
            "exists": True,
        }
        database = {"database": "PostgreSQL", "validationQuery": "isValid()"}
        return _actuator(
            {
                "status": "UP",
                "components": {
                    "db": {"status": "UP", "details": database},
                    "diskSpace": {"status": "UP", "details": disk},
                    "ping": {"status": "UP"},
                },
            }
        )

    def probe(self, _call: Call) -> Answer:
        """Liveness and readiness."""
        return _actuator({"status": "UP"})

    def prometheus(self, _call: Call) -> Answer:
        """The service's metrics."""
        text = metrics.page(self._state).encode()
        return Answer(200, text, "text/plain;version=0.0.4;charset=utf-8", op_id=False)

    def server_time(self, _call: Call) -> Answer:
        """Now, as an instant."""
        return json_answer(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z")

    def server_time_millis(self, _call: Call) -> Answer:
        """Now, in milliseconds since the epoch."""
        return json_answer(int(datetime.now(UTC).timestamp() * 1000))

    def throw(self, _call: Call) -> Answer:
        """Always a 500, to see what one looks like."""
        raise bug("It was asked to fail.")

    # The sandbox's own

    def token(self, call: Call) -> Answer:
        """Access tokens for an API token or for a client's id and secret."""
        form = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        status, body = self._tokens.grant(form, call.headers.get("authorization"))
        answer = json_answer(body, status)
        answer.headers = {"Cache-Control": "no-store"}
        return answer

    def keycloak_token(self, call: Call) -> Answer:
        """The same, where Keycloak has it; it knows one realm."""
        if call.params["realm"] != REALM:
            return json_answer({"error": "Realm does not exist"}, 404)
        return self.token(call)

    def faults_list(self, _call: Call) -> Answer:
        """The planted faults and how often each has hit."""
        return json_answer(self._faults.planted())

    def faults_plant(self, call: Call) -> Answer:
        """Plant one: a JSON object with the fields of `Fault`."""
        self._faults.plant(json_body(call, Fault))
        return Answer(204)

    def faults_clear(self, call: Call) -> Answer:
        """Remove those named by `?name=`, or all."""
        self._faults.clear(call.query.get("name"))
        return Answer(204)


def _actuator(body: Mapping[str, object]) -> Answer:
    """An answer of the monitoring pages, which carry no op id."""
    answer = json_answer(body)
    answer.media_type = "application/vnd.spring-boot.actuator.v3+json"
    answer.op_id = False
    return answer
