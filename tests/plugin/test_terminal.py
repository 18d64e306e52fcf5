"""What a person reads."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import THREE, Probe

RED = """
@step
def test_create(vdk_step): vdk_step.evidence("job made")
@step(needs=["create"])
def test_run(vdk_step):
    raise PlatformFailure(
        "The platform says the execution succeeded, but nothing shows that it ran.",
        seen="status succeeded, log empty", expected="log marker", checked="GET .../executions/1",
        to_try="the pod may have been evicted",
    )
@step(needs=["run"])
def test_log(vdk_step): pass
@step(needs=["log"])
def test_proof(vdk_step): pass
@step(needs=["create"])
def test_other(vdk_step): vdk_step.evidence("o")
@step(needs=["proof"])
def test_last(vdk_step): pass
@step(needs=["create"], cleanup=True)
def test_delete(vdk_step): vdk_step.evidence("gone")
"""


def test_a_red_run_says_what_was_seen_expected_checked_and_what_to_try(probe: Probe) -> None:
    probe.scenario(RED)
    result = probe.run("test_mine.py")
    result.stdout.fnmatch_lines(
        [
            "mine[[]hello-platform] .Fbb.b.*",
            "*= mine[[]hello-platform]  FAIL  3 of 7 steps passed, * s =*",
            "   1  create  PASS  * s  job made",
            "   2  run     FAIL  * s  The platform says the execution succeeded*",
            "   3  log     BLOCKED  *blocked by mine[[]hello-platform]::run (fail): The plat*",
            "mine[[]hello-platform]::run  step 2 of 7  FAIL after * s",
            "  The platform says the execution succeeded, but nothing shows that it ran.",
            "  Seen:      status succeeded, log empty",
            "  Expected:  log marker",
            "  Checked:   GET .../executions/1",
            "  To try:    the pod may have been evicted",
            "  Steps 3-4, 6 blocked by this; delete ran, nothing is left behind.",
            "*1 failed, 3 passed, 3 blocked in *",
        ]
    )


def test_it_is_said_once_and_without_a_traceback(probe: Probe) -> None:
    probe.scenario(RED)
    text = probe.run("test_mine.py").stdout.str()
    assert text.count("To try:    the pod may have been evicted") == 1
    assert "Traceback" not in text
    assert "raise PlatformFailure" not in text


@pytest.mark.parametrize("args", [["--tb=short"], ["-vv"]])
def test_a_traceback_is_there_for_who_asks(probe: Probe, args: list[str]) -> None:
    probe.scenario(RED)
    assert "raise PlatformFailure" in probe.run("test_mine.py", *args).stdout.str()


def test_a_bug_of_a_scenario_shows_its_traceback(probe: Probe) -> None:
    probe.scenario("@step\ndef test_run(vdk_step):\n    {}['missing']\n")
    result = probe.run("test_mine.py")
    assert result.ret == 6
    result.stdout.fnmatch_lines(
        ["*{}[[]'missing']*", "*KeyError: 'missing'*", "*ERROR after*", "*a bug of the scenario*"]
    )


def test_a_green_run_lists_each_step_with_time_and_evidence(probe: Probe) -> None:
    probe.scenario(THREE)
    result = probe.run("test_mine.py")
    result.stdout.fnmatch_lines(
        [
            "*= mine[[]hello-platform]  PASS  3 of 3 steps passed, * s =*",
            "   1  create  PASS       * s  created",
            "   2  run     PASS       * s  ran",
            "   3  delete  PASS       * s  deleted",
            "*3 passed in*",
        ]
    )


def test_verbose_lines_carry_verdict_time_and_evidence(probe: Probe) -> None:
    probe.scenario(RED)
    probe.run("test_mine.py", "-v").stdout.fnmatch_lines(
        [
            "mine[[]hello-platform]::create PASS  *.?? s  job made * 14%]",
            "mine[[]hello-platform]::run FAIL  *.?? s  The platform says *",
            "mine[[]hello-platform]::log BLOCKED (blocked by mine*",
        ]
    )


def test_the_header_tells_each_setting_with_its_source(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VDKPROBE_RUN__GRACE_S", "5")
    probe.scenario(THREE)
    result = probe.run("test_mine.py", "--vdk-set", "control.team=blue", "--vdk-quick")
    result.stdout.fnmatch_lines(
        [
            "vdkprobe: platform.toml (native), run ????????, quick",
            "  --vdk-set*= control.team=blue  (command line)",
            "  --vdk-quick*= True  (command line)",
            "  control.url*= http://127.0.0.1:9  (platform.toml)",
            "  control.team*= blue  (--vdk-set)",
            "  run.grace_s*= 5*  (environment VDKPROBE_RUN__GRACE_S)",
        ]
    )


def test_evidence_with_line_breaks_stays_on_its_line(probe: Probe) -> None:
    probe.scenario("@step\ndef test_run(vdk_step): vdk_step.evidence('one\\ntwo')\n")
    assert "one two" in probe.run("test_mine.py").stdout.str()


def test_long_evidence_goes_on_below_and_is_never_cut(probe: Probe) -> None:
    probe.scenario("@step\ndef test_run(vdk_step): vdk_step.evidence('word ' * 40 + 'end')\n")
    result = probe.run("test_mine.py")
    assert result.stdout.str().count("word") == 40
    result.stdout.fnmatch_lines(["   1  run  PASS  * word word*", " " * 20 + "*word end"])


def test_what_a_hostile_platform_says_is_printable_and_bounded(probe: Probe) -> None:
    probe.scenario(
        "@step\ndef test_run(vdk_step):\n"
        "    raise PlatformFailure('\\x1b[2Jgone', seen='x' * 10_000_000, checked='a\\rb\\0')\n"
    )
    text = probe.run("test_mine.py", "--junitxml=tests.xml").stdout.str()
    assert "\x1b[2J" not in text
    assert "\\x1b[2Jgone" in text
    assert "a\\rb\\x00" in text
    assert "(9996000 characters more)" in text
    assert (probe.pytester.path / "tests.xml").stat().st_size < 100_000


def test_numbers_are_told_as_ranges() -> None:
    from pytest_vdkprobe.observe.summary import ranges

    assert ranges([10, 11, 12, 15]) == "10-12, 15"
    assert ranges([3]) == "3"


def test_nothing_is_left_behind_is_said_only_when_it_is_so(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "import pytest_vdkprobe.journeys.cleanup as cleanup\n"
        "from pytest_vdkprobe.errors import PlatformFailure\n"
        "def sweep_run(run): raise PlatformFailure('job x stays', to_try='--vdk-sweep')\n"
        "def pytest_configure(config):\n"
        "    cleanup.sweep_run = sweep_run\n"
        "    from pytest_vdkprobe.journeys.run import Run\n"
        "    Run.may_have_leases = True\n",
    )
    probe.scenario(RED)
    result = probe.run_apart("test_mine.py")
    assert "nothing is left behind" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        ["*what is left behind*", "job x stays", "  To try:    --vdk-sweep"]
    )


def test_a_sweep_that_fails_makes_a_green_run_red(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "import pytest_vdkprobe.journeys.cleanup as cleanup\n"
        "def sweep_run(run): raise RuntimeError('a bug')\n"
        "def pytest_configure(config):\n"
        "    cleanup.sweep_run = sweep_run\n"
        "    from pytest_vdkprobe.journeys.run import Run\n"
        "    Run.may_have_leases = True\n",
    )
    probe.scenario(THREE)
    result = probe.run_apart("test_mine.py")
    assert result.ret == 6
    result.stdout.fnmatch_lines(["*The sweep at the end of the run broke: RuntimeError('a bug')*"])
