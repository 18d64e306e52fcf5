"""The events scenario as its user runs it, and as a watch's rounds use it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
import requests  # noqa: F401 - inner runs forget what they import, so that it has to be loaded
import websockets.sync.client  # noqa: F401 - as above

from pytest_vdkprobe.cli.main import main
from pytest_vdkprobe.config.toml import as_toml
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.plugin.conftest import LEAN
from tests.unit.events.streams import table


@pytest.fixture
def sandbox(pytester: pytest.Pytester) -> Iterator[Sandbox]:
    with Sandbox() as started:
        entry = table(started)
        text = as_toml({"events": [entry], "run": {"report_folder": "failures"}})
        (pytester.path / "platform.toml").write_text(text)
        yield started


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    report = "--vdk-report=report.json"
    return pytester.runpytest_inprocess("--vdk-config=platform.toml", report, *LEAN, *options)


def steps(pytester: pytest.Pytester) -> dict[str, dict[str, object]]:
    report = json.loads((pytester.path / "report.json").read_text())
    return {step["step"]: step for step in report["journeys"][0]["steps"]}


def test_good_pipeline_passes_and_leaves_nothing(
    pytester: pytest.Pytester, sandbox: Sandbox
) -> None:
    result = run(pytester)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*account*PASS*sent 20, delivered 20*"])
    result.stdout.fnmatch_lines(["*every record accounted for*", "*pipeline events[[]small]*20*"])
    account = steps(pytester)["account"]["account"]
    assert isinstance(account, dict)
    assert (account["sent"], account["delivered"]) == (20, 20)
    assert not (pytester.path / "failures").exists()


def test_loss_fails_with_numbers_and_traces_and_keeps_the_ledger(
    pytester: pytest.Pytester, sandbox: Sandbox
) -> None:
    sandbox.plant("events-loses", skip=3, times=2)
    result = run(pytester, "--vdk-set", "events.0.within_s=4")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*Of 20 records: 2 lost.*", "*lost 2: record*", "*traces: *"])
    account = steps(pytester)["account"]["account"]
    assert isinstance(account, dict)
    assert len(account["traces"]) == 2
    assert list((pytester.path / "failures").glob("*.ledger"))


def test_refused_login_is_an_error_and_blocks_the_account(
    pytester: pytest.Pytester, sandbox: Sandbox
) -> None:
    sandbox.tokens.client_secret = "another one"
    result = run(pytester)
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        ["*connect*ERROR*", "*account*BLOCKED*", "*refused the login: 401*", "*target.auth*"]
    )


def test_plan_and_check_know_the_section(
    pytester: pytest.Pytester, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(pytester, "--vdk-plan")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*events pipeline  (http -> websocket): 20, one every 0.02 s*"])
    assert main(["check", "platform.toml", "--connect"]) == 0
    told = capsys.readouterr().out
    assert "ok     events pipeline, target: http" in told
    assert "ok     events pipeline, reader: ws" in told
    sandbox.plant("events-refuses-listeners")
    assert main(["check", "platform.toml", "--connect"]) == 6
    assert "403 Forbidden" in capsys.readouterr().out


def test_rounds_of_a_watch_share_one_stream_and_judge_each_event_once(
    pytester: pytest.Pytester, sandbox: Sandbox
) -> None:
    pytester.makeconftest(
        """
import pytest
from pytest_vdkprobe.journeys.run import RUN_KEY

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    run = config.stash[RUN_KEY]
    run.lasting, run.state_folder = {}, config.rootpath / "state"

def pytest_runtestloop(session):
    from pytest_vdkprobe.waiting import Deadline, wait_until
    run = session.config.stash[RUN_KEY]
    for number in range(3):
        for item in session.items:
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        stream = run.lasting["events/pipeline"]
        target = 10 * (number + 1)
        wait_until("events", lambda: stream.look().seen, done=lambda n: n >= target,
                   deadline=Deadline.after(30))
    total = stream.look()
    for one in run.lasting.values():
        one.close()
    print("TOTAL", total.sent, total.lost, total.duplicate, stream.run_id)
    return True
"""
    )
    result = run(pytester, "-s")
    result.stdout.fnmatch_lines(["*TOTAL * 0 0 *"])
    assert (pytester.path / "state" / "events-pipeline.ledger").exists()
    again = run(pytester, "-s")
    first = next(line for line in result.outlines if "TOTAL" in line).split()
    second = next(line for line in again.outlines if "TOTAL" in line).split()
    assert first[-1] == second[-1]
    assert int(second[-4]) > int(first[-4])
    assert second[-3:-1] == ["0", "0"]
    assert msgspec.json.encode(steps(pytester)["account"])
