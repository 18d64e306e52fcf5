"""Which tests there are, what they are called, and whose conftest reaches them."""

from __future__ import annotations

import importlib.resources

import pytest

from tests.plugin.conftest import HEAD, STUB_JOB, THREE, Probe

MINE = ["mine[hello-platform]::create", "mine[hello-platform]::run", "mine[hello-platform]::delete"]


def test_without_a_path_the_shipped_scenarios_run_in_file_order(probe: Probe) -> None:
    ids = probe.ids()
    assert ids[:3] == [f"heartbeat[hello-platform]::{s}" for s in ("reach", "info", "create")]
    assert ids[-1] == "heartbeat[hello-platform]::delete"


def test_testpaths_and_files_in_the_folder_do_not_replace_the_shipped_scenarios(
    probe: Probe,
) -> None:
    probe.write("pytest.ini", "[pytest]\ntestpaths = tests\n")
    probe.write("tests/test_unrelated.py", "def test_unrelated(): pass")
    ids = probe.ids()
    assert ids
    assert all(nodeid.startswith("heartbeat[") for nodeid in ids)


def test_with_a_path_only_the_users_tests_run(probe: Probe) -> None:
    probe.scenario(THREE)
    assert probe.ids("test_mine.py") == MINE


def test_a_users_scenario_is_named_alike_wherever_it_lies(probe: Probe) -> None:
    probe.scenario(THREE, "deep/down/test_mine.py")
    assert probe.ids("deep") == MINE


def test_two_scenarios_of_one_name_keep_their_folders_apart(probe: Probe) -> None:
    probe.write("a/__init__.py", "")
    probe.write("b/__init__.py", "")
    probe.scenario(THREE, "a/test_mine.py")
    probe.scenario(THREE, "b/test_mine.py")
    ids = probe.ids("a", "b")
    assert len(ids) == len(set(ids)) == 6
    assert ids[3] == "b/mine[hello-platform]::create"


def test_each_configured_job_gets_a_journey_in_the_order_of_the_file(probe: Probe) -> None:
    probe.jobs("zebra-job", "antler")
    probe.scenario(THREE)
    ids = probe.ids("test_mine.py")
    assert [nodeid.partition("::")[0] for nodeid in ids[::3]] == ["mine[zebra-job]", "mine[antler]"]


def test_subjects_can_be_named_by_a_hook(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        "def pytest_vdkprobe_subjects(config, configuration, kind):\n"
        "    return ['blue', 'green'] if kind == 'tenants' else None\n",
    )
    probe.write("test_t.py", HEAD.replace("jobs", "tenants") + THREE)
    assert {nodeid.partition("::")[0] for nodeid in probe.ids("test_t.py")} == {
        "t[blue]",
        "t[green]",
    }


def test_an_unmarked_module_is_collected_as_ever(probe: Probe) -> None:
    probe.write("test_plain.py", "def test_one(): pass\nclass TestX:\n    def test_two(self): pass")
    assert probe.ids("test_plain.py") == [
        "test_plain.py::test_one",
        "test_plain.py::TestX::test_two",
    ]


def test_a_parametrized_step_has_its_parameter_in_its_id(probe: Probe) -> None:
    probe.scenario(
        "@step\n@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_run(vdk_step, n): vdk_step.evidence(f'n={n}')\n"
        "@step(needs=['run'])\ndef test_after(vdk_step): vdk_step.evidence('after')\n"
    )
    assert probe.ids("test_mine.py")[:2] == [
        "mine[hello-platform]::run[1]",
        "mine[hello-platform]::run[2]",
    ]
    probe.run("test_mine.py").assert_outcomes(passed=3)


def test_module_scope_means_one_journey(probe: Probe) -> None:
    probe.jobs("job-one", "job-two")
    probe.scenario(
        """
made = []
@pytest.fixture(scope="module")
def job(vdk_subject):
    made.append(vdk_subject)
    yield vdk_subject
@step
def test_first(job, vdk_step): vdk_step.evidence(job)
@step
def test_second(job, vdk_step):
    assert made == [job]
    vdk_step.evidence(job)
"""
    )
    probe.run("test_mine.py").assert_outcomes(passed=4)


def test_a_module_fixture_that_overrides_ours_is_applied_once(probe: Probe) -> None:
    probe.jobs("job-one", "job-two")
    probe.scenario(
        """
@pytest.fixture(scope="module")
def vdk_subject(vdk_subject): return vdk_subject + "!"
@step
def test_first(vdk_subject, vdk_step):
    assert vdk_subject in ("job-one!", "job-two!")
    vdk_step.evidence(vdk_subject)
"""
    )
    probe.run("test_mine.py").assert_outcomes(passed=2)


class TestConftestOfTheFolderOfTheCall:
    """It reaches what lies in site-packages: its fixtures and its hooks."""

    HOOKS = STUB_JOB + (
        "def pytest_runtest_setup(item): print('hook saw', item.name)\n"
        "def pytest_runtest_logreport(report):\n"
        "    if report.when == 'call': print('logged', report.nodeid)\n"
    )

    def test_it_reaches_the_shipped_scenarios(self, probe: Probe) -> None:
        probe.write("conftest.py", self.HOOKS)
        result = probe.run("-s")
        result.assert_outcomes(passed=23)
        result.stdout.fnmatch_lines(["*hook saw reach*"])

    def test_it_does_below_a_parent_pyproject(self, probe: Probe) -> None:
        probe.write("pyproject.toml", "[tool.pytest.ini_options]\n")
        probe.write("a/conftest.py", "import pytest\n@pytest.fixture\ndef outer(): return 1\n")
        probe.write("a/b/conftest.py", self.HOOKS)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(probe.pytester.path / "a" / "b")
            result = probe.run("-v", "-s")
        result.assert_outcomes(passed=23)
        assert result.stdout.str().count("heartbeat[hello-platform]::") >= 23
        assert "../heartbeat" not in result.stdout.str()
        assert "hook saw reach" in result.stdout.str()

    def test_it_does_beside_a_path_of_the_users(self, probe: Probe) -> None:
        probe.write("conftest.py", self.HOOKS)
        probe.scenario(THREE)
        probe.run("test_mine.py", "heartbeat").assert_outcomes(passed=26)

    def test_it_does_with_rootdir_elsewhere(
        self, probe: Probe, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        probe.write("conftest.py", self.HOOKS)
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        result = probe.run(f"--rootdir={elsewhere}", "-s")
        result.assert_outcomes(passed=23)
        assert "hook saw reach" in result.stdout.str()

    def test_it_does_under_xdist(self, probe: Probe) -> None:
        probe.write("pyproject.toml", "[tool.pytest.ini_options]\n")
        probe.write("a/conftest.py", self.HOOKS)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(probe.pytester.path / "a")
            result = probe.run_apart("-n1", "-v")
        result.assert_outcomes(passed=23)
        assert "../heartbeat" not in result.stdout.str()


class TestShippedCode:
    def test_its_assertions_are_rewritten(self, probe: Probe) -> None:
        probe.write(
            "conftest.py",
            STUB_JOB + "import sys\n"
            "def pytest_runtest_call(item):\n"
            "    name = 'pytest_vdkprobe.scenarios.test_heartbeat'\n"
            "    assert 'AssertionRewriting' in type(sys.modules[name].__loader__).__name__\n",
        )
        probe.run_apart("heartbeat::reach").assert_outcomes(passed=1)

    def test_every_shipped_module_is_a_scenario_by_its_name(self) -> None:
        from pytest_vdkprobe.journeys.sources import shipped_names

        folder = importlib.resources.files("pytest_vdkprobe.scenarios")
        files = {entry.name for entry in folder.iterdir() if entry.name.startswith("test_")}
        assert {f"test_{name}.py" for name in shipped_names()} == files


class TestUnusable:
    """Said with a remedy, as exit code 4, before anything runs."""

    def test_a_configuration_without_any_job(self, probe: Probe) -> None:
        probe.jobs()
        result = probe.run()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert "There is nothing to check" in result.stderr.str()
        assert 'add [[jobs]] with a name = "..."' in result.stderr.str()

    def test_two_subjects_of_one_name(self, probe: Probe) -> None:
        probe.write(
            "conftest.py",
            "def pytest_vdkprobe_subjects(config, configuration, kind): return ['twin', 'twin']\n",
        )
        result = probe.run()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert "Two entries in [[jobs]] have the same name" in result.stdout.str()

    def test_a_journey_of_nothing(self, probe: Probe) -> None:
        probe.write("test_t.py", HEAD.replace('("jobs")', "()") + THREE)
        result = probe.run("test_t.py")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stdout.fnmatch_lines(["*does not say what its journeys are for*"])

    def test_a_hook_that_names_no_names(self, probe: Probe) -> None:
        probe.write(
            "conftest.py",
            "def pytest_vdkprobe_subjects(config, configuration, kind): return 'blue'\n",
        )
        result = probe.run()
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stdout.fnmatch_lines(["*pytest_vdkprobe_subjects returned something*"])
