"""The sandbox answers as the real Control Service did: its recorded calls, replayed one by one.

The transcript was taken from the real service with a stand-in for its cluster, which arguments
named `lab_*` steered; here an executor plays that stand-in and ends a run when the replay comes to
the recorded timeline. Ids, versions and times are translated; all else is compared as it is.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from pytest_vdkprobe.sandbox import executions
from pytest_vdkprobe.sandbox.executor import JobRun, Outcome
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until

TRANSCRIPT = Path(__file__).parents[1] / "data" / "control_service_transcript.jsonl"
STEPS: list[dict[str, Any]] = [json.loads(line) for line in TRANSCRIPT.read_text().splitlines()]

NOT_REPLAYED = {
    "mails": "the sandbox sends no mail",
}
"""Steps that can't be played here, each with its reason."""

EMPTY_OBJECTS = {
    "create empty object",
    "properties put empty",
    "execution start undeployed job",
    "execution start empty body",
}
"""Steps that sent `{}`; the recorder left out what is empty."""

CLUSTER_REFUSES = {"execution start, k8s 500", "deployments, k8s 403"}
"""Steps during which the recorded cluster was told to refuse."""

TEAM_A = "/data-jobs/for-team/team-a/jobs"
LIMIT_S = 10.0

UNORDERED_PAGE = "graphql list"
"""Recorded was one page of jobs that are equal in the order asked for: any of them will do."""


class LabRun:
    """A run that ends when it is told to, as its `lab_*` arguments say."""

    def __init__(self, run: JobRun) -> None:
        self.id = run.execution_id
        self.arguments = run.arguments
        self.released = False

    def poll(self) -> Outcome | None:
        outcome = self.arguments.get("lab_outcome", "succeeded")
        # A pod that fails is not seen by the recorded version of the service: it stays running.
        if not self.released or outcome in {"never", "failed", "oom", "deadline"}:
            return None
        if outcome in {"plain", "sc_met"}:
            return Outcome("succeeded", vdk_version="" if outcome == "plain" else "0.3.99")
        return Outcome(outcome, vdk_version="0.3.99")

    def log(self) -> str:
        lines = [f"vdk run started execution {self.id}", "step 1", "step 2"]
        if self.released:
            lines += [f"step {number}" for number in range(3, 11)] + ["vdk run ended: succeeded"]
        return "\n".join(f"2026-11-22T05:26:28Z {line}" for line in lines)

    def cancel(self) -> None:
        self.released = True


class LabExecutor:
    """The stand-in for the cluster."""

    def __init__(self) -> None:
        self.runs: dict[str, LabRun] = {}

    def prepare(self, sources: Path) -> None:
        assert sources.is_dir()

    def start(self, run: JobRun) -> LabRun:
        self.runs[run.execution_id] = LabRun(run)
        return self.runs[run.execution_id]

    def close(self) -> None:
        pass


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, f"content of {name}")
    return buffer.getvalue()


UPLOADS = {
    "<596 bytes>": zipped("lab-job/10_step.py", "lab-job/config.ini"),
    "<159 bytes>": zipped("lab-job/10_other.py"),
    "<5 bytes>": b"hello",
    "<204 bytes>": zipped("one/10_step.py", "two/10_step.py"),
    "<109 bytes>": zipped("10_step.py"),
    "<121 bytes>": zipped("another/10_step.py"),
    "<133 bytes>": zipped("lab-job/../../10_step.py"),
    "<150 bytes>": zipped("lab-job/20_step.py"),
}
"""Stands in for uploads of which the recorder kept the size only."""


class Replay:
    """Plays the steps in order and keeps what was answered."""

    def __init__(self, sandbox: Sandbox, lab: LabExecutor) -> None:
        self.sandbox = sandbox
        self.lab = lab
        self.session = requests.Session()
        self.ours: dict[str, str] = {}
        """Recorded version or execution id -> the sandbox's."""
        self.answers: list[Any] = []
        self.second = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.second

    def translate(self, value: Any) -> Any:
        text = json.dumps(value)
        for recorded in sorted(self.ours, key=len, reverse=True):
            text = text.replace(recorded, self.ours[recorded])
        return json.loads(text)

    def play(self) -> None:
        for number, step in enumerate(STEPS):
            self.answers.append(
                self.call(step) if "method" in step else self.follow(step, STEPS[number - 1])
            )

    def call(self, step: dict[str, Any]) -> requests.Response:
        name = step["step"]
        self.prepare(name)
        body = step.get("request", {} if name in EMPTY_OBJECTS else None)
        if isinstance(body, str) and body in UPLOADS:
            data: str | bytes | None = UPLOADS[body]
        else:
            data = body if body is None or isinstance(body, str) else self.json(body)
        answer = self.session.request(
            step["method"],
            self.sandbox.url + self.translate(step["path"]),
            params=self.translate(step.get("query")),
            data=data,
            headers=step.get("request_headers"),
            timeout=LIMIT_S,
        )
        self.sandbox.faults.clear()
        self.learn(step, answer)
        return answer

    def json(self, body: Any) -> str:
        return json.dumps(self.translate(body))

    def prepare(self, name: str) -> None:
        """Bring about what the recording had waited for, or had done to its cluster."""
        if name in CLUSTER_REFUSES:
            self.sandbox.plant("cluster-down")
        elif name == "deployments poll 5":
            self.until("deployed", lambda: self.get("/lab-job-325174/deployments").json() != [])
        elif name == "deployments bad cron job":
            gauge = 'taurus_deployment_status_gauge{dataJob="lab-job-325174c",service="data-jobs"}'
            url = f"{self.sandbox.url}/data-jobs/debug/prometheus"
            self.until("build failed", lambda: f"{gauge} 1.0" in self.session.get(url).text)
        elif name == "execution logs while running":
            self.until("running", lambda: self.newest()["status"] == "running")
        elif name == "executions incl scheduled":
            self.until("running", lambda: self.newest()["status"] == "running")
            self.release()
            self.sandbox.fire(datetime(2026, 11, 23, 3, 0, tzinfo=UTC))
            self.until("scheduled", lambda: self.newest()["type"] == "scheduled")
            self.until("running", lambda: self.newest()["status"] == "running")
            self.release()
        elif name != "start again right after cancel" and "start" in name:
            # Recorded in other seconds, and so with other ids.
            self.second += timedelta(seconds=1)

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.sandbox.url + TEAM_A + path, timeout=LIMIT_S)

    def newest(self) -> Any:
        return self.get("/lab-job-325174/executions").json()[0]

    def release(self) -> None:
        """Let every run end, and wait until the service knows."""
        for run in self.lab.runs.values():
            run.released = True
        path = "/lab-job-325174/executions?execution_status=running"
        self.until("ended", lambda: self.get(path).json() == [])

    def until(self, what: str, met: Any) -> None:
        wait_until(what, met, done=bool, deadline=Deadline.after(LIMIT_S))

    def follow(self, step: dict[str, Any], _before: dict[str, Any]) -> Any:
        """Watch an execution through the recorded states."""
        if "timeline" not in step:
            return None
        path = f"/lab-job-325174/executions/{self.translate(step['execution'])}"
        seen: list[Any] = []
        for _, status, _ in step["timeline"]:
            if status not in {"submitted", "running"}:
                for run in self.lab.runs.values():
                    run.released = True
            waited = wait_until(
                f"{step['step']}: {status}",
                lambda: self.get(path).json(),
                done=lambda body, status=status: body["status"] == status,  # type: ignore[misc]
                deadline=Deadline.after(LIMIT_S),
            )
            seen.append(waited.value)
        return seen

    def learn(self, step: dict[str, Any], answer: requests.Response) -> None:
        """Remember which of our ids stands for a recorded one; what repeats there repeats here."""
        recorded, ours = None, ""
        if "version_sha" in (step.get("body") or ()) and answer.ok:
            recorded, ours = step["body"]["version_sha"], answer.json()["version_sha"]
        elif "/executions/" in step["headers"].get("Location", ""):
            recorded = step["headers"]["Location"].rpartition("/")[2]
            ours = answer.headers.get("Location", "").rpartition("/")[2]
        if recorded is not None:
            assert self.ours.setdefault(recorded, ours) == ours
            assert list(self.ours.values()).count(ours) == 1


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    lab = LabExecutor()
    sandbox = Sandbox(
        executor=lab,
        python_versions=("3.9", "3.10"),
        default_python="3.9",
        keytab="bytes",
        deploy_delay_s=0.25,
        start_delay_s=0.05,
    )
    with sandbox, pytest.MonkeyPatch.context() as patch:
        replay = Replay(sandbox, lab)
        patch.setattr(executions, "now", replay.now)
        replay.play()
        yield replay


def compare(value: Any, recorded: Any, *, texts: bool = True) -> None:
    """`value` has the shape, the types and, but for numbers, the values of what was recorded.

    Without `texts`, strings may differ: errors are in the words of each service's libraries.
    """
    if isinstance(recorded, dict):
        assert isinstance(value, dict)
        assert list(value) == list(recorded)
        for key in recorded:
            compare(value[key], recorded[key], texts=texts and key != "errors")
    elif isinstance(recorded, list):
        assert isinstance(value, list)
        assert len(value) == len(recorded)
        for one, other in zip(by_name(value), by_name(recorded), strict=True):
            compare(one, other, texts=texts)
    else:
        assert type(value) is type(recorded), f"{value!r} for {recorded!r}"
        if recorded == "<text>":
            assert value
        elif (isinstance(recorded, str) and texts) or isinstance(recorded, bool):
            assert plain(value) == plain(recorded)


def by_name(rows: list[Any]) -> list[Any]:
    """Lists of jobs in one order: the service promises none."""
    named = all(isinstance(row, dict) and "jobName" in row for row in rows)
    return sorted(rows, key=lambda row: row["jobName"]) if named else rows


MASKS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", "<time in ns>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}(Z|\+00:00)", "<time>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time in s>"),
    (r"lab-job-325174-\d+", "<execution>"),
    (r"\b[0-9a-f]{40}\b", "<version>"),
    (r"^0\d{13}$", "<op id>"),
    (r"^file://.*", "<file>"),
    (r"^PipelinesControlService/.*", "<version of the service>"),
)


def plain(value: Any) -> Any:
    """A value without what must differ from one run to the next."""
    if isinstance(value, str):
        for pattern, mask in MASKS:
            value = re.sub(pattern, mask, value)
    return value


CALLS = [number for number, step in enumerate(STEPS) if "method" in step]
TIMELINES = [number for number, step in enumerate(STEPS) if "timeline" in step]


def name_of(number: int) -> str:
    return f"{number + 1}-{STEPS[number]['step']}"


def test_every_step_is_replayed_or_has_a_reason_not_to_be() -> None:
    others = {
        step["step"] for step in STEPS if "method" not in step and "timeline" not in step
    } - set(NOT_REPLAYED)
    assert len(STEPS) == 216
    # Two are remarks of the recorder: a duration, and a copy out of the list before.
    assert others == {"deployment visible", "scheduled run"}


def test_the_sandbox_met_no_bug_of_its_own(replay: Replay) -> None:
    assert replay.sandbox.bugs == []


@pytest.mark.parametrize("number", CALLS, ids=name_of)
def test_an_answer_is_that_of_the_real_service(replay: Replay, number: int) -> None:
    step, answer = STEPS[number], replay.answers[number]
    assert answer.status_code == step["status"]
    headers = step["headers"]
    assert ("X-OPID" in answer.headers) == ("X-OPID" in headers)
    assert answer.headers.get("Content-Type") == headers.get("Content-Type")
    assert answer.headers.get("WWW-Authenticate") == headers.get("WWW-Authenticate")
    if "Location" in headers:
        host = "http://127.0.0.1:8092"
        expected = replay.translate(headers["Location"]).replace(host, replay.sandbox.url)
        assert answer.headers["Location"] == expected
    if "Allow" in headers:
        assert set(answer.headers["Allow"].split(", ")) == set(headers["Allow"].split(", "))
    if headers.get("Content-Length") == "0":
        assert answer.headers["Content-Length"] == "0"
    compare_bodies(step, answer)


def compare_bodies(step: dict[str, Any], answer: requests.Response) -> None:
    media_type, body = step["headers"].get("Content-Type"), step.get("body")
    if media_type is None:
        assert answer.content == b""
    elif media_type == "application/octet-stream":
        assert isinstance(body, str)
        start = re.search(r"starts 504b0304", body)
        assert answer.content[:4] == b"PK\x03\x04" if start else len(answer.content) == 100
    elif body == "<the OpenAPI document>":
        assert {"openapi", "paths"} <= set(answer.json())
    else:
        # The recorder left out what is empty.
        texts = step["step"] != UNORDERED_PAGE
        compare(answer.json(), {} if body is None else body, texts=texts)


@pytest.mark.parametrize("number", TIMELINES, ids=name_of)
def test_an_execution_goes_through_the_recorded_states(replay: Replay, number: int) -> None:
    for seen, (_, _, recorded) in zip(
        replay.answers[number], STEPS[number]["timeline"], strict=True
    ):
        compare(seen, recorded)
