"""How a job that runs in this process reaches its properties: over the API, as the real vdk does.

Going around it would be quicker, and blind: a service that loses properties must lose the job's.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Literal, cast
from urllib.parse import quote, urlsplit

from pytest_vdkprobe.sandbox.executor import JobRun, JSONObject
from pytest_vdkprobe.waiting import pause

TIMEOUT_S = 30.0
UNAVAILABLE = frozenset({500, 502, 503, 504})
PAUSES_S = (0.02, 0.04, 0.08, 0.16)
"""The real vdk repeats reads and writes on the same statuses, ten times and over minutes."""
Document = Literal["properties", "secrets"]


class PlatformUnavailable(Exception):  # noqa: N818 - what it means to the job: a platform error
    """The service did not do what the job asked of it."""


class PlatformRefused(PlatformUnavailable):
    """The service will not do it, however often it is asked."""


class DocumentClient:
    """Reads and writes the two documents of one job, over one connection."""

    def __init__(self, run: JobRun) -> None:
        self._url = urlsplit(run.control_service_url)
        self._base = (
            f"{self._url.path.rstrip('/')}/data-jobs/for-team/{quote(run.team, safe='')}"
            f"/jobs/{quote(run.job_name)}/deployments/TODO/"
        )
        self._headers = {"Content-Type": "application/json", "X-OPID": run.op_id}
        if run.token:
            self._headers["Authorization"] = f"Bearer {run.token}"
        self._ca_file = run.ca_file
        self._connection: http.client.HTTPConnection | None = None

    def read(self, document: Document) -> JSONObject:
        """The whole document."""
        return cast("JSONObject", json.loads(self._call("GET", document, None)))

    def write(self, document: Document, value: JSONObject) -> None:
        """Replace the whole document."""
        self._call("PUT", document, json.dumps(value))

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(self, method: str, document: Document, body: str | None) -> bytes:
        """One call, repeated a few times: both are harmless to repeat, and the real vdk does."""
        for pause_s in PAUSES_S:
            try:
                return self._call_once(method, document, body)
            except PlatformRefused:
                raise
            except PlatformUnavailable:
                pause(pause_s)
        return self._call_once(method, document, body)

    def _call_once(self, method: str, document: Document, body: str | None) -> bytes:
        try:
            connection = self._connected()
            connection.request(method, self._base + document, body, self._headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            raise PlatformUnavailable(f"{method} {document} failed: {exc}") from exc
        if answer.status in UNAVAILABLE:
            raise PlatformUnavailable(f"{method} {document} was answered {answer.status}")
        if answer.status >= http.client.BAD_REQUEST:
            raise PlatformRefused(f"{method} {document} was answered {answer.status}")
        return content

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            host, port = self._url.hostname or "", self._url.port
            if self._url.scheme == "https":
                context = ssl.create_default_context(cafile=self._ca_file)
                self._connection = http.client.HTTPSConnection(
                    host, port, timeout=TIMEOUT_S, context=context
                )
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        return self._connection
