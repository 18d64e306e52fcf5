"""Tasks on a schedule against the sandbox's local service, and each way in which it is bad."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from pytest_vdkprobe.endpoints.loop import TaskLoop
from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings
from pytest_vdkprobe.endpoints.table import table
from pytest_vdkprobe.endpoints.tally import Tally
from pytest_vdkprobe.endpoints.task import State
from pytest_vdkprobe.errors import LoginError, NoEvidence, PlatformFailure, TransportError
from pytest_vdkprobe.sandbox.faults import FLAKINESS, Fault, Faults
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, pause, wait_until

LIMIT_S = 30.0


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=7) as started:
        yield started


def settings_for(sandbox: Sandbox, **given: Any) -> EndpointTasksSettings:
    table = {"name": "local", "url": f"{sandbox.url}/metadata/a", "interval_s": 0.01, "tasks": 20}
    return msgspec.convert({**table, **given}, EndpointTasksSettings)


def made(settings: EndpointTasksSettings, *, limit: int | None = None) -> TaskLoop:
    return TaskLoop(settings, run_id="01234567", key="endpoints.0", limit=limit or settings.tasks)


def tally_of(settings: EndpointTasksSettings) -> Tally:
    loop = made(settings)
    try:
        loop.start()
        return loop.finish(deadline=Deadline.after(LIMIT_S))
    finally:
        loop.close()


def test_good_service_passes_with_every_task_counted(sandbox: Sandbox) -> None:
    tally = tally_of(settings_for(sandbox, expect={"json": {"$.Id": "a"}}))
    tally.require()
    assert (tally.succeeded, tally.failed, tally.pending) == (20, [], 0)
    assert "20 of 20 tasks succeeded" in str(tally)


@pytest.mark.parametrize(
    ("fault", "more", "said"),
    [
        ({"name": "status", "status": 401, "times": 3}, {}, "3 x 401 Unauthorized"),
        ({"name": "status", "status": 500, "times": 3}, {}, "3 x 500 Internal Server Error"),
        ({"name": "reset", "times": 3}, {}, "3 x the connection was cut"),
        ({"name": "hang", "times": 3}, {"read_timeout_s": 1.5}, "3 x the request was taken"),
        (
            {"name": "slow-body", "times": 3, "delay_s": 20},
            {"read_timeout_s": 1.5},
            "3 x the answer began",
        ),
        (
            {"name": "wrong-body", "times": 3, "body": "{}"},
            {"expect": {"json": {"$.Id": "a"}}},
            "3 x $.Id is nothing there",
        ),
        (
            {"name": "slow", "times": 3, "delay_s": 0.5},
            {"expect": {"within_s": 0.45}},
            " s, more than 0.45 s",
        ),
    ],
    ids=["401", "5xx", "reset", "hang", "slow body", "wrong body", "slow"],
)
def test_each_way_to_be_bad_fails_as_many_tasks_as_it_hits(
    sandbox: Sandbox, fault: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    sandbox.plant(**fault, path="^/metadata/", method="GET")
    tally = tally_of(settings_for(sandbox, **more))
    assert len(tally.failed) >= 3
    with pytest.raises(PlatformFailure, match=r"Of 20 tasks, \d+ failed") as caught:
        tally.require()
    assert said in str(caught.value), caught.value
    assert tally.failed[0].trace in str(caught.value)


def test_every_fault_of_the_local_service_is_planted_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in FLAKINESS if f'"{name}"' not in text} == set()


def test_lag_is_random_up_to_its_limit_and_repeatable() -> None:
    def delays() -> list[float]:
        faults = Faults(seed=3)
        faults.plant(Fault(name="lag", delay_s=2.0))
        found = [faults.on_call("GET", "/metadata/a") for _ in range(50)]
        return [fault.delay_s or 0.0 for fault in found if fault is not None]

    first = delays()
    assert len(set(first)) == 50
    assert 0 < min(first) < 0.5 < 1.5 < max(first) <= 2.0
    assert delays() == first


def test_calls_that_hang_delay_no_other(sandbox: Sandbox) -> None:
    sandbox.plant("hang", times=5, delay_s=3600, path="^/metadata/", method="GET")
    loop = made(settings_for(sandbox, connect_timeout_s=1, read_timeout_s=3600), limit=40)
    loop.start()
    wait_until(
        "those that do not hang",
        lambda: [task for task in loop.tracked() if task.duration_s is not None],
        done=lambda ended: len(ended) == 35,
        deadline=Deadline.after(LIMIT_S),
    )
    tally = loop.take()
    assert (tally.succeeded, tally.pending) == (35, 5)
    loop.close()


def test_allowed_share_is_no_failure_and_one_more_is(sandbox: Sandbox) -> None:
    sandbox.plant("status", status=401, times=2, path="^/metadata/", method="GET")
    tally = tally_of(settings_for(sandbox, allow={"failed_share": 0.1}))
    tally.require()
    sandbox.plant("status", status=401, times=3, path="^/metadata/", method="GET")
    with pytest.raises(PlatformFailure, match="3 failed"):
        tally_of(settings_for(sandbox, allow={"failed_share": 0.1})).require()


def test_quantile_over_its_limit_fails(sandbox: Sandbox) -> None:
    sandbox.plant("slow", delay_s=0.3, times=2, path="^/metadata/", method="GET")
    tally = tally_of(settings_for(sandbox, latency={"max": 0.25}))
    with pytest.raises(PlatformFailure, match="took too long") as caught:
        tally.require()
    assert re.search(r"max \d+\.\d", str(caught.value))


def test_without_an_ended_task_there_is_no_evidence(sandbox: Sandbox) -> None:
    loop = made(settings_for(sandbox))
    with pytest.raises(NoEvidence, match="No task has ended"):
        loop.take().require()
    loop.close()


def test_a_round_between_two_tasks_rests_on_the_last_good_one(sandbox: Sandbox) -> None:
    loop = made(settings_for(sandbox, interval_s=20.0), limit=1)
    loop.start()
    loop.finish(deadline=Deadline.after(LIMIT_S)).require()
    between = loop.take()
    between.require()
    assert re.match(r"none ended meanwhile; the last one succeeded \d\.\d", between.evidence()), (
        between.evidence()
    )
    loop.close()


def test_flaky_is_the_seeds_mixture_and_is_repeated_by_its_seed() -> None:
    def failed() -> list[int]:
        with Sandbox(seed=3) as sandbox:
            sandbox.plant("flaky", delay_s=0.05)
            settings = settings_for(sandbox, tasks=100, at_once=1, interval_s=0.001)
            tally = tally_of(settings)
            assert sandbox.faults.planted()["flaky"] > len(tally.failed)
            return [task.number for task in tally.failed]

    first = failed()
    assert 0 < len(first) < 20
    assert failed() == first


def test_old_tasks_are_dismissed_and_one_that_never_ended_has_failed(sandbox: Sandbox) -> None:
    sandbox.plant("hang", times=1, delay_s=3600, path="^/metadata/", method="GET")
    settings = settings_for(sandbox, read_timeout_s=3600, dismiss_s=60)
    loop = made(settings, limit=3)
    loop.start()
    wait_until(
        "two of three",
        lambda: sum(task.duration_s is not None for task in loop.tracked()),
        done=lambda ended: ended == 2,
        deadline=Deadline.after(LIMIT_S),
    )
    assert loop.clean(time.monotonic() + 30) == 0
    assert loop.clean(time.monotonic() + 61) == 3
    tally = loop.take()
    assert (tally.succeeded, tally.pending) == (2, 0)
    assert tally.why() == "1 x dismissed: no end after 60 s"
    loop.close()


def test_wrong_port_and_refused_login_are_ours_to_mend(sandbox: Sandbox) -> None:
    closed = made(settings_for(sandbox, url="http://127.0.0.1:1/metadata/a"))
    with pytest.raises(TransportError, match="can't be reached"):
        closed.reach()
    closed.close()


def test_refused_login_is_told_with_its_key(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "not the right one")
    auth = {
        "kind": "client-credentials",
        "url": f"{sandbox.url}/auth/realms/sandbox/protocol/openid-connect/token",
        "client_id": sandbox.tokens.client_id,
        "client_secret": {"env": "SECRET"},
    }
    loop = made(settings_for(sandbox, auth=auth))
    with pytest.raises(LoginError, match="refused the login") as caught:
        loop.reach()
    assert "endpoints.0.auth" in str(caught.value)
    loop.close()
    monkeypatch.setenv("SECRET", sandbox.tokens.client_secret)
    loop = made(settings_for(sandbox, auth=auth))
    assert "answers" in loop.reach()
    loop.close()


def test_table_shows_every_state_and_takes_answers_as_text(sandbox: Sandbox) -> None:
    sandbox.plant("status", status=500, body="[bold]x[/nope]", times=1, path="^/metadata/a$")
    # One after the other, so that it is one of the first that fails.
    loop = made(settings_for(sandbox, at_once=1), limit=50)
    loop.start()
    loop.finish(deadline=Deadline.after(LIMIT_S))
    shown = table("local", loop.tracked(), now=time.monotonic())
    assert "50 tasks tracked: 1 failed, 49 succeeded, the newest 40 shown" in shown
    assert "SUCCEEDED" in shown
    assert max(map(len, shown.splitlines())) <= 100
    failed = [task for task in loop.tracked() if task.state is State.FAILED]
    assert "[bold]x[/nope]" in table("local", failed, now=time.monotonic())
    assert shown.isascii()
    loop.close()


def test_login_that_is_refused_in_the_middle_is_told_by_its_cause(sandbox: Sandbox) -> None:
    settings = settings_for(sandbox, auth=sandbox.client_login(), dismiss_s=1000)
    loop = made(settings, limit=10**9)
    try:
        loop.start()
        wait_until(
            "tasks that succeed",
            loop.take,
            done=lambda tally: tally.succeeded > 0,
            deadline=Deadline.after(LIMIT_S),
        )
        sandbox.plant("status", status=401, method="GET", path="^/metadata/")
        refused = wait_until(
            "a round of refusals",
            loop.take,
            done=lambda tally: bool(tally.failed) and not tally.succeeded,
            deadline=Deadline.after(LIMIT_S),
        ).value
        with pytest.raises(LoginError, match="Our login was refused") as told:
            refused.require()
        assert "401 Unauthorized" in str(told.value)
        assert "endpoints.auth" in str(told.value)
    finally:
        loop.close()


def test_refusals_without_a_login_of_ours_are_the_services_failure(sandbox: Sandbox) -> None:
    sandbox.plant("status", status=401, method="GET", path="^/metadata/")
    with pytest.raises(PlatformFailure, match="20 failed"):
        tally_of(settings_for(sandbox)).require()


def test_whoever_waits_for_the_last_task_finds_it_counted(sandbox: Sandbox) -> None:
    class Slow:
        counted = 0

        def ended(self, _task: object) -> None:
            pause(0.2)
            self.counted += 1

        def created(self) -> None: ...

        def stand(self, **_: object) -> None: ...

    loop = made(settings_for(sandbox, at_once=1), limit=2)
    slow = Slow()
    loop._instruments = cast("Any", slow)
    loop.start()
    loop.finish(deadline=Deadline.after(LIMIT_S))
    assert slow.counted == 2
    loop.close()


def test_task_that_is_dismissed_before_its_turn_does_not_end_the_schedule(
    sandbox: Sandbox,
) -> None:
    loop = made(settings_for(sandbox, dismiss_s=60))
    loop._begin(0, time.monotonic())
    assert loop.clean(time.monotonic() + 61) == 1
    loop.serve(0, loop._first)
    assert loop.take().why() == "1 x dismissed: no end after 60 s"
    loop.close()
