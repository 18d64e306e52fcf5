"""`--vdk-watch`: rounds on a schedule, judged as in CI, told when they change, ended in order."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from pytest_vdkprobe.processes import Process
from tests.plugin.watching import STEERED, Watch, children, prepare, tell

CHECK = 'check="mine[hello-platform]"'


def test_rounds_go_on_for_the_duration_and_end_green(tmp_path: Path) -> None:
    prepare(tmp_path)
    with Watch(tmp_path, "--vdk-watch=2s", "test_mine.py") as watch:
        assert watch.ended() == 0
    assert watch.rounds() >= 2
    assert len(set((tmp_path / "rounds.txt").read_text().split())) == watch.rounds()
    assert "mine[hello-platform]  PASS" in watch.output
    assert watch.output.count("PASS") == 1


def test_a_change_of_verdict_is_told_once_with_its_reason(tmp_path: Path) -> None:
    prepare(tmp_path)
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for("PASS")
        tell(tmp_path, "fail: no route")
        watch.wait_for("PASS -> FAIL")
        seen = watch.rounds()
        watch.wait_for_rounds(seen + 3)
        found = watch.metrics()
        tell(tmp_path, "pass")
        watch.wait_for("FAIL -> PASS")
        assert watch.end() == 0
    assert "PASS -> FAIL  at step follow" in watch.output
    assert "Seen:      fail: no route" in watch.output
    assert watch.output.count("It is down.") == 1
    assert found[f'vdkprobe_run_total{{{CHECK},verdict="fail"}}'] >= 2


def test_the_exit_code_of_an_endless_watch_is_its_last_verdict(tmp_path: Path) -> None:
    prepare(tmp_path, told="fail")
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for("FAIL")
        tell(tmp_path, "login")
        watch.wait_for("FAIL -> ERROR")
        assert watch.end() == 6


def test_one_bad_round_decides_a_watch_of_some_length(tmp_path: Path) -> None:
    prepare(tmp_path, told="fail")
    with Watch(tmp_path, "--vdk-watch=6s", "test_mine.py") as watch:
        watch.wait_for("FAIL")
        tell(tmp_path, "pass")
        watch.wait_for("FAIL -> PASS")
        assert watch.ended() == 1


def test_a_slow_scenario_loses_its_slots_and_delays_no_other(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "test_slow.py").write_text(
        (tmp_path / "test_mine.py").read_text()
        + """
@step
def test_crawl(vdk_step):
    wait_until("the end", lambda: Path("go.txt").exists(), done=bool, deadline=Deadline.after(60))
    vdk_step.evidence("crawled")
""".replace("rounds.txt", "slow.txt")
    )
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py", "test_slow.py") as watch:
        watch.wait_for("mine[hello-platform]  PASS")
        # Of two processes that start together the slow one may be the later by seconds.
        watch.wait(
            "slots missed",
            lambda: watch.metrics()['vdkprobe_slots_missed_total{scenario="slow"}'] >= 2,
        )
        watch.wait_for_rounds(watch.rounds() + 10)
        found = watch.metrics()
        assert found['vdkprobe_round_running_seconds{scenario="slow"}'] > 0
        assert found['vdkprobe_run_total{check="slow[hello-platform]",verdict="pass"}'] == 0
        (tmp_path / "go.txt").touch()
        watch.wait_for("slow[hello-platform]  PASS")


def test_sigterm_in_a_round_cleans_up_and_ends(tmp_path: Path) -> None:
    prepare(
        tmp_path,
        """
from pathlib import Path

@pytest.fixture(scope="module")
def thing():
    Path("made").touch()
    yield
    Path("made").unlink()
    Path("cleaned").touch()

@step
def test_hang(thing, vdk_step):
    Path("hanging").touch()
    wait_until("nothing", lambda: False, done=bool, deadline=Deadline.after(300))
""",
    )
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait("the step hangs", (tmp_path / "hanging").exists)
        (child,) = children(watch.process.pid)
        process = Process.of(child)
        assert watch.end() == 7  # no round has ended: nothing is known
    assert "stopped by SIGTERM" in watch.output
    assert (tmp_path / "cleaned").exists()
    assert not (tmp_path / "made").exists()
    assert not process.runs()


def test_a_child_that_dies_is_an_error_and_is_started_again(tmp_path: Path) -> None:
    prepare(tmp_path)
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for_rounds(3)
        tell(tmp_path, "die")
        watch.wait_for("PASS -> ERROR")
        tell(tmp_path, "pass")
        watch.wait_for("ERROR -> PASS")
        found = watch.metrics()
        assert watch.end() == 0
    assert "The process of the scenario ended by signal 9" in watch.output
    assert found['vdkprobe_child_restarts_total{scenario="mine"}'] >= 1
    assert found[f'vdkprobe_run_total{{{CHECK},verdict="error"}}'] >= 1
    assert found[f'vdkprobe_run_total{{{CHECK},verdict="pass"}}'] >= 3


def test_counters_go_on_after_the_watch_was_killed(tmp_path: Path) -> None:
    prepare(tmp_path)
    name = f'vdkprobe_run_total{{{CHECK},verdict="pass"}}'
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as first:
        first.wait_for_rounds(5)
        counted = first.metrics()[name]
        (child,) = children(first.process.pid)
        orphan = Process.of(child)
        first.end(signal.SIGKILL)
    began = first.rounds()
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as second:
        second.wait_for("PASS")
        assert not orphan.runs()
        found = second.metrics()
        assert second.end() == 0
    assert found[name] >= counted >= 3
    assert found[name] <= second.rounds()
    assert second.rounds() > began


def test_a_second_watch_of_the_same_state_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path)
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for("PASS")
        with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as other:
            assert other.ended() == 4
        assert "Another process is using the state of this watch." in other.output
        assert f"process {watch.process.pid}" in other.output


def test_a_changed_configuration_is_gone_by_and_a_bad_one_is_not(tmp_path: Path) -> None:
    prepare(tmp_path)
    good = (tmp_path / "platform.toml").read_text()
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for("PASS")
        (tmp_path / "platform.toml").write_text(good.replace("0.2", "-1"))
        watch.wait_for("refused; the watch goes on as before")
        watch.wait_for_rounds(watch.rounds() + 3)
        (tmp_path / "platform.toml").write_text(
            good.replace("0.2", "0.3").replace("hello-platform", "other-platform")
        )
        watch.wait_for("mine[other-platform]  PASS")
        found = watch.metrics()
        assert watch.end() == 0
    assert "watch.interval_s can't be used" in watch.output
    assert found['vdkprobe_reloads_total{outcome="refused"}'] == 1
    assert found['vdkprobe_reloads_total{outcome="accepted"}'] == 1
    assert found['vdkprobe_interval_seconds{scenario="mine"}'] == 0.3
    assert 'vdkprobe_run_total{check="mine[other-platform]",verdict="pass"}' in found


def test_sighup_reads_what_only_a_child_can_judge(tmp_path: Path) -> None:
    prepare(tmp_path)
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for("PASS")
        (tmp_path / "conftest.py").write_text("raise RuntimeError('half written')\n")
        watch.process.send_signal(signal.SIGHUP)
        watch.wait_for("refused; the watch goes on as before")
        assert "half written" in watch.output
        watch.wait_for_rounds(watch.rounds() + 2)
        assert watch.end() == 0


def test_every_series_is_there_at_the_first_scrape(tmp_path: Path) -> None:
    prepare(tmp_path, more="interval_s = 1000")
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        first = watch.metrics()
        watch.wait_for("PASS")
        later = watch.metrics()
    assert set(first) == set(later)


def test_ordinary_tests_are_watched_too(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "test_mine.py").write_text(
        "from pathlib import Path\n"
        "def test_plain(): assert Path('told.txt').read_text() == 'pass'\n"
    )
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for("test_mine.py  PASS")
        tell(tmp_path, "fail")
        watch.wait_for("test_mine.py  PASS -> FAIL")
        assert watch.end() == 1


def test_a_scenario_that_gives_up_ends_the_watch(tmp_path: Path) -> None:
    body = STEERED.replace('"It is down."', '"Five errors in a row."').replace(
        "raise PlatformFailure", "vdk_step.attach('gave_up', True); raise PlatformFailure"
    )
    prepare(tmp_path, body)
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for("PASS")
        tell(tmp_path, "fail")
        assert watch.ended() == 8
    assert "mine gives up: the watch ends" in watch.output
    assert "Five errors in a row." in watch.output


@pytest.mark.parametrize(
    ("args", "more", "said"),
    [
        (["--vdk-watch", "test_mine.py"], "", "write --vdk-watch=forever test_mine.py"),
        (["--vdk-watch=0s"], "", "--vdk-watch takes a duration"),
        (["--vdk-watch=1s"], "interval_s = 0", "watch.interval_s can't be used: must be more"),
        (["--vdk-watch=1s"], "intervals = { mine = -5 }", "watch.intervals.mine can't be used"),
        (
            ["--vdk-watch=1s"],
            "intervals = { mein = 5 }",
            "names a scenario that does not run: mein",
        ),
        (["--vdk-watch=1s"], 'ping = { url = "mine" }', "an address begins with http"),
        (["--vdk-watch=1s", "--vdk-metrics-port=http"], "", "takes the number of a port"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, args: list[str], more: str, said: str
) -> None:
    prepare(tmp_path, more=more)
    with Watch(tmp_path, *args) as watch:
        assert watch.ended() == 4
    assert said in watch.output


def test_a_password_in_the_address_of_a_pushgateway_is_refused_and_not_shown(
    tmp_path: Path,
) -> None:
    prepare(tmp_path)
    gateway = "--vdk-pushgateway=http://probe:wholeknowsit@gateway:9091"
    with Watch(tmp_path, "--vdk-watch=1s", gateway) as watch:
        assert watch.ended() == 4
    assert "Credentials don't belong in the address" in watch.output
    assert "wholeknowsit" not in watch.output


def test_a_plan_of_a_watch_is_a_plan(tmp_path: Path) -> None:
    prepare(tmp_path)
    with Watch(tmp_path, "--vdk-watch", "--vdk-plan", "--", "test_mine.py") as watch:
        assert watch.ended() == 0
    assert "vdkprobe plan" in watch.output
    assert watch.rounds() == 0


def test_a_taken_port_is_told_with_who_has_it(tmp_path: Path) -> None:
    prepare(tmp_path)
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with Watch(tmp_path, "--vdk-watch=1s", f"--vdk-metrics-port={port}") as watch:
            assert watch.ended() == 4
    assert f"Metrics can't be served on port {port}" in watch.output
    assert f"process {os.getpid()} (" in watch.output
    assert "--vdk-metrics-port=8001" in watch.output


def test_what_would_go_with_the_first_round_is_not_created(tmp_path: Path) -> None:
    prepare(tmp_path)
    events = """
[[events]]
name = "orders"
target = { kind = "file", path = "in-{run}.json", create = true }
reader = { kind = "file", path = "in-{run}.json" }
"""
    with (tmp_path / "platform.toml").open("a") as file:
        file.write(events)
    with Watch(tmp_path, "--vdk-watch=2s", "--vdk-scenarios=events") as watch:
        assert watch.ended() == 6
    assert "A watch creates nothing for the event pipeline orders." in watch.output
    assert "events.0.target.create" in watch.output


def test_nothing_of_a_round_is_kept_after_the_next(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "conftest.py").write_text(
        """
import gc

def pytest_vdkprobe_step_finished(config, step):
    from pytest_vdkprobe.journeys.results import Results

    gc.collect()
    alive = sum(type(one) is Results for one in gc.get_objects())
    with open("alive.txt", "a") as file:
        file.write(f"{alive}\\n")
"""
    )
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        alive = tmp_path / "alive.txt"
        watch.wait("rounds", lambda: alive.exists() and alive.read_text().count("\n") > 6)
        assert watch.end() == 0
    assert max(map(int, alive.read_text().split())) <= 2


def test_metrics_are_given_to_hooks_while_the_watch_goes_on_and_at_its_end(tmp_path: Path) -> None:
    prepare(tmp_path)
    with (tmp_path / "platform.toml").open("a") as file:
        file.write("[metrics]\nevery_s = 0.2\n")
    (tmp_path / "conftest.py").write_text(
        """
from pathlib import Path

def pytest_vdkprobe_metrics(config, text):
    with open("given.txt", "a") as file:
        file.write("given\\n")
    Path("last.txt").write_text(text)
    if Path("break.txt").exists():
        raise RuntimeError("no gateway")
"""
    )
    given = tmp_path / "given.txt"
    with Watch(tmp_path, "--vdk-watch", "--", "test_mine.py") as watch:
        watch.wait_for("PASS")
        watch.wait("calls", lambda: given.exists() and given.read_text().count("given") > 2)
        (tmp_path / "break.txt").touch()
        watch.wait_for("hook does not get through, the watch goes on: The hook")
        (tmp_path / "break.txt").unlink()
        watch.wait_for("hook gets through again")
        found = watch.metrics()
        calls = given.read_text().count("given")
        assert watch.end() == 0
    assert "RuntimeError: no gateway" in watch.output
    assert f"correct it in {tmp_path / 'conftest.py'}" in watch.output
    assert found['vdkprobe_notices_failed_total{to="hook"}'] >= 1
    assert given.read_text().count("given") > calls
    assert f'vdkprobe_run_total{{{CHECK},verdict="pass"}}' in (tmp_path / "last.txt").read_text()
