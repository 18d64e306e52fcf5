"""A planted fault is seen by the client, and only as often as it was told to."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from pytest_vdkprobe.sandbox import faults
from pytest_vdkprobe.sandbox.faults import EVENT_LIES, LIES, Fault, Faults, UnknownFaultError
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.sandbox.conftest import Client, until


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(secrets=True, tick_s=3600) as sandbox:
        yield sandbox
        assert sandbox.bugs == []


INFO = "/data-jobs/for-team/team-a/info"
PROPERTIES = "deployments/x/properties"


def test_every_lie_that_is_asked_for_is_declared() -> None:
    folder = Path(faults.__file__).parent
    code = "".join(path.read_text() for path in folder.glob("*.py"))
    assert set(re.findall(r'\blies\("([a-z-]+)"', code)) <= set(LIES | EVENT_LIES)


# Transport


def test_a_status_can_be_planted_for_some_calls_by_method_and_path(client: Client) -> None:
    client.sandbox.plant("status", status=502, method="GET", path="/info$", times=2)
    statuses = [client.call("GET", INFO).status_code for _ in range(3)]
    assert statuses == [502, 502, 200]
    assert client.call("GET").status_code == 200
    assert client.sandbox.faults.planted() == {"status": 2}


def test_an_ambiguous_post_has_its_effect_and_answers_503(client: Client, job: str) -> None:
    client.sandbox.plant("status", method="POST", when="after")
    assert client.call("POST", json={"job_name": job, "config": {}}).status_code == 503
    assert client.get(job)["job_name"] == job


def test_a_cut_connection_may_or_may_not_have_had_its_effect(client: Client, job: str) -> None:
    body = {"job_name": job, "config": {}}
    client.sandbox.plant("reset", method="POST", times=1)
    with pytest.raises(requests.ConnectionError):
        client.call("POST", json=body)
    assert client.call("GET", job).status_code == 404
    client.sandbox.plant("reset", method="POST", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        client.call("POST", json=body)
    assert client.call("GET", job).status_code == 200


def test_an_answer_can_be_cut_in_the_middle(client: Client) -> None:
    client.sandbox.plant("cut")
    with pytest.raises(requests.RequestException):
        client.call("GET", INFO)


def test_a_hang_outlasts_the_clients_patience(client: Client) -> None:
    client.sandbox.plant("hang")
    with pytest.raises(requests.ReadTimeout):
        requests.get(client.sandbox.url + INFO, timeout=0.1)


def test_a_slow_answer_is_the_right_one(client: Client) -> None:
    client.sandbox.plant("slow", delay_s=0.1)
    started = time.perf_counter()
    assert client.call("GET", INFO).status_code == 200
    assert time.perf_counter() - started >= 0.1


def test_a_body_can_be_wrong_empty_or_not_json(client: Client) -> None:
    client.sandbox.plant("wrong-body", body="[1]", times=1)
    client.sandbox.plant("empty-body", times=1)
    client.sandbox.plant("not-json", times=1)
    answers = [client.call("GET", INFO) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer.content for answer in answers[:2]] == [b"[1]", b""]
    assert answers[2].headers["Content-Type"] == "text/html"
    assert "api_version" in answers[3].json()


# Mechanism


def test_a_share_is_hit_by_seeded_dice() -> None:
    def hits(seed: int) -> list[bool]:
        planted = Faults(seed)
        planted.plant(Fault(name="list-empty", share=0.5))
        return [planted.lies("list-empty") for _ in range(100)]

    assert hits(1) == hits(1) != hits(2)
    assert 30 < sum(hits(1)) < 70


def test_skip_times_and_job_narrow_a_fault() -> None:
    planted = Faults()
    planted.plant(Fault(name="create-lost", job="a", skip=1, times=2))
    assert [planted.lies("create-lost", "a") for _ in range(4)] == [False, True, True, False]
    assert not planted.lies("create-lost", "b")


def test_a_fault_can_begin_later_and_end_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead_s)
    monkeypatch.setattr(faults, "time", clock)
    planted = Faults()
    planted.plant(Fault(name="list-empty", after_s=100, for_s=100))

    def lies_after(seconds: float) -> bool:
        nonlocal ahead_s
        ahead_s = seconds
        return planted.lies("list-empty")

    assert [lies_after(seconds) for seconds in (0, 50, 150, 250)] == [False, False, True, False]


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UnknownFaultError, match=r"did you mean list-empty\?"):
        Faults().plant(Fault(name="list-emty"))


def test_faults_are_planted_and_cleared_over_http_too(client: Client) -> None:
    control = "/sandbox/faults"
    fault = {"name": "status", "status": 500, "path": "/info$"}
    assert client.call("POST", control, json=fault).status_code == 204
    assert client.call("GET", INFO).status_code == 500
    assert client.get(control) == {"status": 1}
    assert client.call("DELETE", f"{control}?name=status").status_code == 204
    assert client.call("GET", INFO).status_code == 200
    assert client.call("POST", control, json={"name": "nonsense"}).status_code == 400


# Lies: what a client sees of each


def listed(client: Client) -> Any:
    query = "{ jobs(pageNumber: 1, pageSize: 100) { content { jobName config { team } } } }"
    return client.get("", params={"query": query})["data"]["content"]


def names(client: Client) -> list[str]:
    return [row["jobName"] for row in listed(client)]


def properties(client: Client, job: str, *documents: dict[str, Any]) -> Any:
    for document in documents:
        assert client.call("PUT", f"{job}/{PROPERTIES}", json=document).status_code == 204
    return client.get(f"{job}/{PROPERTIES}")


def deployed(client: Client, job: str) -> Any:
    client.deploy(job)
    return client.live(job)


def patched(client: Client, job: str, *flags: bool) -> Any:
    client.deploy(job)
    for enabled in flags:
        client.call("PATCH", f"{job}/deployments/x", json={"enabled": enabled})
    return client.live(job)["enabled"]


def ran(client: Client, job: str, code: str = "print(job_input.get_arguments())") -> Any:
    client.deploy(job, a=f"def run(job_input):\n    {code}\n")
    execution = client.start(job, x=1)
    return client.ended(execution) | {"log": client.log(execution)}


def deleted(client: Client, job: str) -> tuple[int, bool]:
    client.create(job)
    assert client.call("DELETE", job).status_code == 200
    return client.call("GET", job).status_code, job in names(client)


def cancelled(client: Client, job: str) -> Any:
    client.deploy(job, a="import time\ndef run(job_input):\n    time.sleep(600)\n")
    execution = client.start(job)
    client.running(execution)
    assert client.call("DELETE", execution).status_code == 200
    return client.get(execution)["status"]


def created(client: Client, job: str) -> int:
    client.create(job)
    return client.call("GET", job).status_code


def described(client: Client, job: str) -> tuple[str, str | None]:
    client.create(job)
    client.call("PUT", job, json={"job_name": job, "description": "new", "config": {}})
    body = client.get(job)
    return body["job_name"], body["description"]


def uploads(client: Client, job: str) -> bool:
    client.create(job)
    return client.upload(job) == client.upload(job)


def undeployed(client: Client, job: str) -> bool:
    client.deploy(job)
    client.call("DELETE", f"{job}/deployments/x")
    return client.live(job) is None


def keytab(client: Client, job: str) -> bytes:
    client.sandbox.keytab = "bytes"
    client.create(job)
    client.sandbox.keytab = "empty"
    return client.call("GET", f"{job}/keytab").content


def started_op_id(client: Client, job: str) -> Any:
    client.deploy(job)
    return client.get(client.start(job))["op_id"]


def built(client: Client, job: str, *ends: str) -> tuple[str, Any]:
    """The uploaded version, and the deployment once its build is over, with one of these gauges."""
    client.create(job)
    version = client.upload(job)
    client.call("POST", f"{job}/deployments", json={"job_version": version})
    gauge = f'taurus_deployment_status_gauge{{dataJob="{job}",service="data-jobs"}}'
    lines = {f"{gauge} {end}" for end in ends or ["0.0"]}
    page = "/data-jobs/debug/prometheus"
    until(
        "built",
        lambda: bool(lines & set(client.call("GET", page).text.splitlines())),
        wanted=True,
    )
    return version, client.live(job)


def redeployed(client: Client, job: str) -> Any:
    ran(client, job, "print('first')")
    return ran(client, job, "print('second')")["log"]


def fired(client: Client, job: str, *, enabled: bool) -> Any:
    """What a tick of the schedule left: the status of its run, or None."""
    client.create(job, "0 3 * * *")
    client.deploy(job)
    client.call("PATCH", f"{job}/deployments/x", json={"enabled": enabled})
    client.sandbox.fire(datetime(2026, 11, 23, 3, 0, tzinfo=UTC))
    rows = client.get(f"{job}/executions")
    return client.ended(f"{job}/executions/{rows[0]['id']}")["status"] if rows else None


def stuck(client: Client, job: str) -> Any:
    """The status of an execution that the service follows no more."""
    client.deploy(job)
    execution = client.start(job)
    name = f"sandbox-{execution.rpartition('/')[2]}"
    until("left", lambda: [t for t in threading.enumerate() if t.name == name], [])
    return client.get(execution)["status"]


def started_twice(client: Client, job: str) -> list[int]:
    client.deploy(job, a="import time\ndef run(job_input):\n    time.sleep(600)\n")
    path = f"{job}/deployments/x/executions"
    return [client.call("POST", path, json={}).status_code for _ in range(2)]


def started(client: Client, job: str) -> int:
    client.deploy(job)
    return client.call("GET", client.start(job)).status_code


def uploads_lost(client: Client, job: str) -> bool:
    client.create(job)
    return client.upload(job) == client.upload(job, a="X = 2\n")


def secret(client: Client, job: str) -> Any:
    path = f"{job}/deployments/x/secrets"
    assert client.call("PUT", path, json={"a": "b"}).status_code == 202
    return client.get(path)


LIE_CASES: list[tuple[str, Callable[[Client, str], bool]]] = [
    ("create-lost", lambda c, j: created(c, j) == 404),
    ("update-dropped", lambda c, j: described(c, j) == (j, None)),
    ("read-other-job", lambda c, j: described(c, j)[0] != j),
    ("team-ignored", lambda c, j: created(c, j) == 200 and c.get(j)["team"] == "another-team"),
    ("delete-ignored", lambda c, j: deleted(c, j) == (200, True)),
    ("delete-stays-listed", lambda c, j: deleted(c, j) == (404, True)),
    ("list-empty", lambda c, j: created(c, j) == 200 and names(c) == []),
    ("list-foreign", lambda c, _: names(c) == ["another-teams-job"]),
    ("list-null", lambda c, _: listed(c) is None),
    ("list-omits-job", lambda c, j: created(c, j) == 200 and j not in names(c)),
    (
        "keytab-lost",
        lambda c, j: bool(created(c, j)) and c.call("GET", f"{j}/keytab").status_code == 404,
    ),
    ("keytab-empty", lambda c, j: keytab(c, j) == b""),
    ("properties-foreign", lambda c, j: properties(c, j, {"a": 1}) == {"a": "another run's"}),
    ("properties-dropped", lambda c, j: properties(c, j, {"a": 1}) == {}),
    ("properties-stale", lambda c, j: properties(c, j, {"a": 1}, {"a": 2}) == {"a": 1}),
    ("properties-merged", lambda c, j: properties(c, j, {"a": 1}, {"b": 2}) == {"a": 1, "b": 2}),
    ("upload-new-version", lambda c, j: not uploads(c, j)),
    ("deploy-wrong-python", lambda c, j: deployed(c, j)["python_version"] == "2.7"),
    ("deploy-wrong-vdk", lambda c, j: deployed(c, j)["vdk_version"] == "0.0.1"),
    ("disable-dropped", lambda c, j: patched(c, j, False) is True),
    ("enable-dropped", lambda c, j: patched(c, j, False, True) is False),
    ("undeploy-ignored", lambda c, j: not undeployed(c, j)),
    ("arguments-dropped", lambda c, j: "{}" in ran(c, j)["log"]),
    ("op-id-lost", lambda c, j: ran(c, j)["op_id"] == "0"),
    ("run-vanished", lambda c, j: (r := ran(c, j))["status"] == "succeeded" and r["log"] == ""),
    ("failure-as-success", lambda c, j: ran(c, j, "raise ValueError")["status"] == "succeeded"),
    ("success-as-user-error", lambda c, j: ran(c, j)["status"] == "user_error"),
    ("success-as-platform-error", lambda c, j: ran(c, j)["status"] == "platform_error"),
    (
        "user-error-as-platform-error",
        lambda c, j: ran(c, j, "raise ValueError")["status"] == "platform_error",
    ),
    ("run-read-other", lambda c, j: started_op_id(c, j) == "another"),
    ("run-end-missing", lambda c, j: ran(c, j)["end_time"] is None),
    ("run-cancelled", lambda c, j: ran(c, j)["status"] == "cancelled"),
    ("run-unlisted", lambda c, j: bool(ran(c, j)) and c.get(f"{j}/executions") == []),
    ("cancel-ignored", lambda c, j: cancelled(c, j) == "running"),
    ("cancel-as-success", lambda c, j: cancelled(c, j) == "succeeded"),
    ("logs-empty", lambda c, j: ran(c, j)["log"] == ""),
    ("secrets-dropped", lambda c, j: secret(c, j) == {}),
    ("upload-lost", uploads_lost),
    ("deploy-never", lambda c, j: built(c, j)[1] is None),
    ("build-fails", lambda c, j: built(c, j, "0.0", "3.0")[1] is None),
    ("deploy-wrong-version", lambda c, j: (b := built(c, j))[1]["job_version"] != b[0]),
    ("deploy-old-code", lambda c, j: "first" in redeployed(c, j)),
    ("disable-ineffective", lambda c, j: fired(c, j, enabled=False) == "succeeded"),
    ("enable-ineffective", lambda c, j: fired(c, j, enabled=True) is None),
    ("schedule-never", lambda c, j: fired(c, j, enabled=True) is None),
    ("schedule-fails", lambda c, j: fired(c, j, enabled=True) == "user_error"),
    ("start-lost", lambda c, j: started(c, j) == 404),
    ("start-not-exclusive", lambda c, j: started_twice(c, j) == [202, 202]),
    ("start-refused", lambda c, j: started_twice(c, j) == [409, 409]),
    ("run-stuck-submitted", lambda c, j: stuck(c, j) == "submitted"),
    ("run-stuck-running", lambda c, j: stuck(c, j) == "running"),
    (
        "cluster-down",
        lambda c, j: created(c, j) == 200 and c.call("GET", f"{j}/deployments").status_code == 503,
    ),
    ("logs-foreign", lambda c, j: "another" in ran(c, j)["log"]),
]


def test_every_lie_has_a_case() -> None:
    assert sorted(name for name, _ in LIE_CASES) == sorted(LIES)


@pytest.mark.parametrize(("name", "seen"), LIE_CASES, ids=[name for name, _ in LIE_CASES])
def test_a_client_sees_the_lie_and_without_it_the_truth(
    client: Client, job: str, name: str, seen: Callable[[Client, str], bool]
) -> None:
    client.sandbox.plant(name)
    assert seen(client, job)
    client.sandbox.faults.clear()
    assert not seen(client, f"{job}x")
