"""The section [scenarios]: which there are, whose, and what is said of unusable ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import PLATFORM, THREE, Probe

IDS = [f"heartbeat[hello-platform]::{step}" for step in ("create", "run", "delete")]
PLAIN = "def test_plain(vdk_configuration): assert vdk_configuration.name\n"


def configure(probe: Probe, *lines: str) -> None:
    """Put these lines into [scenarios]."""
    probe.write("platform.toml", PLATFORM + "\n[scenarios]\n" + "\n".join(lines) + "\n")


@pytest.fixture
def mine(probe: Probe) -> Probe:
    """A heartbeat of the user's own in place of ours, and nothing else."""
    probe.scenario(THREE, "checks/own_beat.py")
    names = [name for name in _others() if name != "heartbeat"]
    configure(probe, 'heartbeat = "checks/own_beat.py"', *(f"{name} = false" for name in names))
    return probe


def _others() -> list[str]:
    from pytest_vdkprobe.journeys.sources import shipped_names

    return shipped_names()


@pytest.mark.parametrize(
    ("args", "ids"),
    [
        ([], IDS),
        (["-k", "run"], IDS[:2]),
        (["-m", "vdk_step"], IDS),
        (["-p", "no:cacheprovider"], IDS),
        (["--vdk-scenarios=heartbeat"], IDS),
        (["heartbeat[hello-platform]::run"], IDS[:2]),
        (["checks/own_beat.py"], IDS),
        (["checks/own_beat.py::test_run"], IDS[:2]),
    ],
)
def test_ids_stay_the_same_for_a_scenario_of_the_users_own(
    mine: Probe, args: list[str], ids: list[str]
) -> None:
    assert mine.ids(*args) == ids


def test_an_absolute_id_of_an_editor_selects_the_step_with_what_it_needs(mine: Probe) -> None:
    path = mine.pytester.path / "checks" / "own_beat.py"
    assert mine.ids(f"--rootdir={mine.pytester.path}", f"{path}::test_run") == IDS[:2]


def test_last_failed_knows_a_scenario_of_the_users_own(mine: Probe) -> None:
    bad = THREE.replace('vdk_step.evidence("ran")', "raise PlatformFailure('does not run')")
    mine.scenario(bad, "checks/own_beat.py")
    mine.run()
    assert mine.ids("--lf") == IDS[:2]


def test_a_mapping_means_the_same_from_any_folder(
    mine: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = mine.pytester.mkdir("elsewhere")
    (elsewhere / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(elsewhere)
    assert mine.ids() == IDS


def test_workers_run_a_scenario_of_the_users_own_and_say_where_its_assertion_fails(
    mine: Probe,
) -> None:
    mine.scenario(
        THREE + "\n@step\ndef test_sum(vdk_step): assert len('abc') == 4\n", "checks/own_beat.py"
    )
    result = mine.run_apart("-n", "2", "--vdk-report=report.json", "-vv")
    report = json.loads((mine.pytester.path / "report.json").read_text())
    verdicts = {s["step"]: s["verdict"] for j in report["journeys"] for s in j["steps"]}
    assert verdicts == {"create": "pass", "run": "pass", "delete": "pass", "sum": "fail"}
    assert result.ret == 1
    assert "assert 3 == 4" in result.stdout.str()


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        ('mine = "checks/plain.py"', ["mine::test_plain"]),
        ('mine = "acme.checks"', ["mine::test_plain"]),
        ('mine = "acme.journeys"', [nodeid.replace("heartbeat", "mine") for nodeid in IDS]),
        ('mine = "acme"', ["mine-quota::test_plain"]),
        ("heartbeat = true", []),
    ],
)
def test_a_module_is_a_file_an_import_name_or_a_folder_of_files(
    probe: Probe, line: str, ids: list[str]
) -> None:
    probe.write("checks/plain.py", PLAIN)
    probe.write("acme/__init__.py", "")
    probe.write("acme/checks.py", PLAIN)
    probe.write("acme/test_quota.py", PLAIN)
    probe.scenario(THREE, "acme/journeys.py")
    configure(probe, line)
    assert [nodeid for nodeid in probe.ids() if nodeid.startswith("mine")] == ids
    assert len([nodeid for nodeid in probe.ids() if nodeid.startswith("heartbeat")]) == 23


def test_a_folder_is_selected_by_its_name(probe: Probe) -> None:
    probe.write("acme/test_quota.py", PLAIN)
    probe.write("acme/test_names.py", PLAIN)
    configure(probe, 'mine = "acme"')
    wanted = ["mine-names::test_plain", "mine-quota::test_plain"]
    assert probe.ids("--vdk-scenarios=mine") == wanted


def test_a_scenario_is_left_out_on_the_command_line_too(probe: Probe) -> None:
    assert [
        i for i in probe.ids("--vdk-set", "scenarios.heartbeat=false") if "heartbeat" in i
    ] == []


def refusal(probe: Probe, *args: str) -> str:
    """What a run is refused with; nothing has run."""
    result = probe.run(*args)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR, text
    assert " passed" not in text
    return text


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ('mine = "checks/missing.py"', ["names a file that is not there", "scenarios.mine"]),
        ('mine = "acme.nothing"', ["can't be imported", "No module named 'acme'", "install"]),
        ('mine = "checks"', ["no scenario in the folder", "test_*.py"]),
        ("tenants = false", ["no scenario tenants to leave out", "shipped are"]),
        ("tenants = true", ["No scenario tenants is shipped"]),
        ('"my own" = "checks/empty.py"', ["can't be called so"]),
        ("mine = 3", ["scenarios.mine", "a whole number"]),
        ('mine = "checks/empty.py"', ["mine has no test", "checks/empty.py"]),
        ('mine = "checks/empty_journey.py"', ["mine has no test"]),
        ('mine = "checks/broken.py"', ["broken.py, line 2", "No module named 'acme'"]),
        ('mine = "checks/wrong.py"', ["wrong.py, line 1", "SyntaxError"]),
        ('mine = "checks/json.py"', ["imported as json, and so is another", "rename json.py"]),
    ],
)
def test_an_unusable_scenario_is_refused_before_anything_runs(
    probe: Probe, line: str, texts: list[str]
) -> None:
    probe.write("checks/empty.py", "")
    probe.scenario("", "checks/empty_journey.py")
    probe.write("checks/broken.py", "import json\nimport acme.client\ndef test_x(): pass\n")
    probe.write("checks/wrong.py", "def test_x(:\n")
    probe.write("checks/json.py", PLAIN)
    configure(probe, line)
    said = refusal(probe)
    assert [text for text in texts if text not in said] == [], said
    assert "platform.toml" in said


def test_workers_refuse_an_unusable_scenario_alike(probe: Probe) -> None:
    probe.write("checks/broken.py", "import acme.client\n")
    configure(probe, 'mine = "checks/broken.py"')
    result = probe.run_apart("-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "broken.py, line 1" in result.stdout.str()


def test_check_finds_an_unusable_mapping(probe: Probe, capsys: pytest.CaptureFixture[str]) -> None:
    from pytest_vdkprobe.cli.main import main

    configure(probe, 'mine = "checks/missing.py"')
    assert main(["check", str(Path(probe.config))]) == 4
    assert "names a file that is not there" in capsys.readouterr().out
