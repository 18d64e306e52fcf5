"""A sandbox, and a client for it that is only as long as these tests need."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until

LIMIT_S = 60.0
NOTHING = "def run(job_input):\n    pass\n"


class Client:
    """Calls a sandbox as a team's member would."""

    def __init__(self, sandbox: Sandbox, team: str = "team-a") -> None:
        self.sandbox = sandbox
        self.team = team
        self.http = requests.Session()
        # Else REQUESTS_CA_BUNDLE outranks the file given here.
        self.http.trust_env = False
        if sandbox.ca_file is not None:
            self.http.verify = str(sandbox.ca_file)
        if sandbox.auth:
            self.http.headers["Authorization"] = f"Bearer {sandbox.tokens.issue('someone')}"

    def call(self, method: str, path: str = "", **options: Any) -> requests.Response:
        """Any call, below the team's jobs or, from a slash on, below the service."""
        jobs = f"/data-jobs/for-team/{self.team}/jobs"
        url = self.sandbox.url + (path if path.startswith("/") else f"{jobs}/{path}".rstrip("/"))
        return self.http.request(method, url, timeout=LIMIT_S, **options)

    def get(self, path: str = "", **options: Any) -> Any:
        """The JSON of a GET."""
        return self.call("GET", path, **options).json()

    def create(self, name: str, cron: str | None = None, **config: Any) -> None:
        body = {"job_name": name, "config": {"schedule": {"schedule_cron": cron}, **config}}
        assert self.call("POST", json=body).status_code == 201

    def upload(self, name: str, **files: str) -> str:
        """Files by name: `a="..."` is `10_a.py`, longer names are modules: `helper.py`."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for stem, text in (files or {"a": NOTHING}).items():
                number = "10_" if len(stem) == 1 else ""
                archive.writestr(f"{name}/{number}{stem}.py", text)
        return self.upload_zip(name, buffer.getvalue()).json()["version_sha"]  # type: ignore[no-any-return]

    def upload_zip(self, name: str, data: bytes) -> requests.Response:
        headers = {"Content-Type": "application/octet-stream"}
        return self.call("POST", f"{name}/sources", data=data, headers=headers)

    def live(self, name: str) -> Any:
        """The deployment, or None."""
        return next(iter(self.get(f"{name}/deployments")), None)

    def deploy(self, name: str, **files: str) -> str:
        """Create, upload, deploy and wait until the version is live."""
        if self.call("GET", name).status_code == 404:
            self.create(name)
        version = self.upload(name, **files)
        assert self.call("POST", f"{name}/deployments", json={"job_version": version}).ok
        until("live", lambda: (self.live(name) or {}).get("job_version"), version)
        return version

    def start(self, name: str, **arguments: Any) -> str:
        """Start it; the path of the execution."""
        answer = self.call("POST", f"{name}/deployments/any/executions", json={"args": arguments})
        assert answer.status_code == 202, answer.text
        return f"{name}/executions/{answer.headers['Location'].rpartition('/')[2]}"

    def ended(self, execution: str) -> Any:
        """The execution once it has ended."""
        waited = wait_until(
            f"the end of {execution}",
            lambda: self.get(execution),
            done=lambda body: body["status"] not in {"submitted", "running"},
            deadline=Deadline.after(LIMIT_S),
        )
        return waited.value

    def running(self, execution: str) -> None:
        until(execution, lambda: self.get(execution)["status"], "running")

    def log(self, execution: str) -> str:
        return str(self.get(f"{execution}/logs")["logs"])

    def run(self, name: str, **arguments: Any) -> Any:
        """Start and wait for the end."""
        return self.ended(self.start(name, **arguments))


def until(what: str, poll: Callable[[], object], wanted: object) -> None:
    """Wait until `poll()` gives `wanted`."""
    wait_until(what, poll, done=lambda value: value == wanted, deadline=Deadline.after(LIMIT_S))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for a module; override it for other knobs."""
    with Sandbox() as sandbox:
        yield sandbox
        assert sandbox.bugs == []


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    """A client of the module's sandbox, without faults before and after."""
    yield Client(sandbox)
    sandbox.faults.clear()


@pytest.fixture
def job(request: pytest.FixtureRequest) -> str:
    """A job name of this test's own."""
    return f"job-{abs(hash(request.node.nodeid)) % 10**12}"
