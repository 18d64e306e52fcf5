"""Names that are nearly ours, in scenarios and conftests: told with the place and the right one."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import HEAD, PLATFORM, Probe

STEP = "@step\ndef test_run(vdk_step): vdk_step.evidence('ran')\n"


def refused(probe: Probe, *args: str) -> str:
    """What a run is refused with, before any test."""
    result = probe.run_apart(*args)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR, text
    assert "INTERNALERROR" not in text
    return text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("@pytest.mark.vdk_stepp\ndef test_run(): pass\n", "did you mean vdk_step?"),
        ("@step(need=['x'])\ndef test_run(): pass\n", "vdk_step has no need: did you mean needs?"),
        ("@step('x')\ndef test_run(): pass\n", "not positional arguments"),
        ("@step(needs=['x'])\ndef test_run(): pass\n", "no step is before it"),
        (STEP + "@step(needs=['rum'])\ndef test_log(): pass\n", "did you mean 'run'?"),
    ],
)
def test_a_mark_that_is_nearly_right_is_refused_with_its_line(
    probe: Probe, body: str, said: str
) -> None:
    path = probe.scenario(body)
    text = refused(probe, "test_mine.py")
    assert said in text
    line = (HEAD + body)[: (HEAD + body).rindex("\n@") + 1].count("\n") + 1
    assert f"{path}, line {line}" in text


def test_a_mark_of_the_user_s_own_is_left_alone(probe: Probe) -> None:
    probe.write("pytest.ini", "[pytest]\nmarkers =\n    vdk_mine: of our own\n")
    probe.scenario("@pytest.mark.vdk_mine\n" + STEP)
    assert probe.run("test_mine.py").ret == 0


def test_a_kind_of_subjects_that_is_nearly_right_is_told(probe: Probe) -> None:
    probe.write("test_mine.py", HEAD.replace('"jobs"', '"job"') + STEP)
    text = refused(probe, "test_mine.py")
    assert "nothing is called [[job]], did you mean jobs?" in text


def test_a_hook_that_is_nearly_right_is_refused_with_its_line(probe: Probe) -> None:
    path = probe.write("conftest.py", "\ndef pytest_vdkprobe_registr(config, kinds): pass\n")
    text = refused(probe)
    assert "There is no hook pytest_vdkprobe_registr." in text
    assert f"{path}:2" in text
    assert "did you mean pytest_vdkprobe_register?" in text


def test_a_fixture_that_is_nearly_right_is_told(probe: Probe) -> None:
    probe.scenario("@step\ndef test_run(vdk_jobb): pass\n")
    result = probe.run("test_mine.py")
    text = result.stdout.str()
    assert result.ret == 6
    assert "There is no fixture vdk_jobb: did you mean vdk_job?" in text
    assert "exists only with --vdk-config" not in text
    assert "FixtureRequest" not in text


def test_two_that_bring_a_folder_by_one_name_are_both_named(probe: Probe) -> None:
    for name in ("conftest", "acme_probe"):
        hook = "def pytest_vdkprobe_register(config, kinds):\n    kinds.template('t', '{}')\n"
        probe.write(f"{name}.py", hook.format(name))
    text = refused(probe, "-p", "acme_probe")
    assert "Two offer a template called t." in text
    assert "conftest.py:2)" in text
    assert "acme_probe.py:2)" in text


def test_what_is_told_of_a_wrong_answer_names_the_user_s_hook_alone(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "def pytest_vdkprobe_subjects(config, configuration, kind): return {'a': 1}\n",
    )
    probe.write("platform.toml", PLATFORM)
    text = refused(probe)
    assert "correct it in" in text
    assert "step_fixtures.py" not in text
