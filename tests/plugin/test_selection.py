"""Which steps run, and in which order."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import STUB_JOB, THREE, Probe

CHAIN = """
@step
def test_create(vdk_step): vdk_step.evidence("created")
@step(needs=["create"])
def test_read(vdk_step): vdk_step.evidence("read")
@step(needs=["create"])
def test_upload(vdk_step): vdk_step.evidence("uploaded")
@step(needs=["upload"])
def test_run(vdk_step): vdk_step.evidence("ran")
@step(needs=["upload"], slow=True)
def test_schedule(vdk_step): vdk_step.evidence("fired")
@step(needs=["schedule"])
def test_disable(vdk_step): vdk_step.evidence("stopped")
@step(needs=["create"], cleanup=True)
def test_delete(vdk_step): vdk_step.evidence("deleted")
"""
ALL = ["create", "read", "upload", "run", "schedule", "disable", "delete"]


def steps(ids: list[str]) -> list[str]:
    """The steps' names of some ids."""
    return [nodeid.partition("::")[2] for nodeid in ids]


@pytest.mark.parametrize(
    ("args", "selected"),
    [
        ([], ALL),
        (["-k", "run"], ["create", "upload", "run"]),
        (["-k", "test_run"], ["create", "upload", "run"]),
        (["-k", "read or run"], ["create", "read", "upload", "run"]),
        (["-m", "vdk_step", "-k", "delete"], ["create", "delete"]),
        (["--vdk-quick"], ["create", "read", "upload", "run", "delete"]),
        (["--vdk-quick", "-k", "disable"], []),
        (["--deselect", "mine[hello-platform]::schedule"], [*ALL[:4], "delete"]),
        (["--deselect", "mine[hello-platform]::read"], ["create", *ALL[2:]]),
    ],
)
def test_a_selected_step_brings_what_it_needs_and_no_more(
    probe: Probe, args: list[str], selected: list[str]
) -> None:
    probe.scenario(CHAIN)
    assert steps(probe.ids("test_mine.py", *args)) == selected


def test_what_came_back_in_is_not_counted_as_deselected(probe: Probe) -> None:
    probe.scenario(CHAIN)
    result = probe.run("test_mine.py", "-k", "run")
    result.assert_outcomes(passed=3, deselected=4)


@pytest.mark.parametrize(
    ("argument", "first", "count"),
    [
        ("heartbeat", "reach", 23),
        ("heartbeat[hello-platform]", "reach", 23),
        ("heartbeat[hello-platform]::run", "reach", 5),
        ("heartbeat::reach", "reach", 1),
    ],
)
def test_an_id_as_printed_selects_what_it_names(
    probe: Probe, argument: str, first: str, count: int
) -> None:
    found = steps(probe.ids(argument))
    assert (found[0], len(found)) == (first, count)


def test_an_id_selects_in_one_journey_only(probe: Probe) -> None:
    probe.jobs("job-one", "job-two")
    assert {i.partition("::")[0] for i in probe.ids("heartbeat[job-two]::run")} == {
        "heartbeat[job-two]"
    }


def test_a_users_journey_is_found_by_its_id_too(probe: Probe) -> None:
    probe.scenario(CHAIN, "deep/test_mine.py")
    assert steps(probe.ids("mine[hello-platform]::run")) == ["create", "upload", "run"]


def test_an_id_beside_a_path_adds_to_it(probe: Probe) -> None:
    probe.scenario(THREE)
    ids = probe.ids("test_mine.py", "heartbeat::reach")
    assert steps(ids) == ["create", "run", "delete", "reach"]


def test_an_id_that_matches_nothing_is_refused_with_the_nearest(probe: Probe) -> None:
    result = probe.run("heartbeat[hello-platform]::rum")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "did you mean heartbeat[hello-platform]::run" in result.stderr.str()


def test_a_file_that_is_missing_is_pytests_own_complaint(probe: Probe) -> None:
    result = probe.run("tests/missing.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*file or directory not found: tests/missing.py*"])


def test_scenarios_can_be_named(probe: Probe) -> None:
    assert len(probe.ids("--vdk-scenarios=heartbeat")) == 23
    result = probe.run("--vdk-scenarios=hearbeat")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "There is no scenario 'hearbeat'" in result.stderr.str()


SHUFFLES = {
    "in a conftest": "def pytest_collection_modifyitems(items): items.reverse()\n",
    "late": (
        "import pytest\n@pytest.hookimpl(trylast=True)\n"
        "def pytest_collection_modifyitems(items): items.reverse()\n"
    ),
    "as a wrapper": (
        "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "def pytest_collection_modifyitems(items):\n    yield\n    items.reverse()\n"
    ),
}


@pytest.mark.parametrize("shuffle", SHUFFLES.values(), ids=SHUFFLES)
def test_file_order_holds_whatever_else_shuffles(probe: Probe, shuffle: str) -> None:
    probe.write("conftest.py", shuffle)
    probe.jobs("job-one", "job-two")
    probe.scenario(CHAIN)
    ids = probe.ids("test_mine.py")
    assert steps(ids) == [*ALL, *ALL]
    assert len({i.partition("::")[0] for i in ids[:7]}) == 1


def test_ordinary_tests_keep_the_order_that_another_plugin_gave_them(probe: Probe) -> None:
    probe.write("conftest.py", "def pytest_collection_modifyitems(items): items.reverse()\n")
    probe.write("test_plain.py", "def test_one(): pass\ndef test_two(): pass\n")
    assert probe.ids("test_plain.py") == ["test_plain.py::test_two", "test_plain.py::test_one"]


def test_last_failed_reruns_the_step_with_what_it_needs(probe: Probe) -> None:
    probe.scenario(
        CHAIN.replace('vdk_step.evidence("ran")', "raise PlatformFailure('does not run')")
    )
    probe.run("test_mine.py")
    assert steps(probe.ids("test_mine.py", "--lf")) == ["create", "upload", "run"]


def test_last_failed_works_for_shipped_scenarios(probe: Probe) -> None:
    probe.write(
        "conftest.py",
        STUB_JOB + "def pytest_runtest_call(item):\n    assert item.name != 'upload'\n",
    )
    probe.run()
    assert steps(probe.ids("--lf")) == ["reach", "create", "upload"]


def test_no_cacheprovider_is_needed(probe: Probe) -> None:
    assert len(probe.ids("-p", "no:cacheprovider")) == 23


@pytest.mark.parametrize(
    ("needs", "text"),
    [
        ('["crate"]', "needs 'crate', which is no step of this journey"),
        ('["crate"]', "did you mean 'create'?"),
        ('["delete"]', "needs 'delete', which does not run before it"),
        ('"create"', 'write vdk_step(needs=["create"]), a list'),
    ],
)
def test_a_need_that_nobody_provides_is_refused(probe: Probe, needs: str, text: str) -> None:
    probe.scenario(THREE.replace('["create"])\ndef test_run', f"{needs})\ndef test_run"))
    result = probe.run("test_mine.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert text in result.stderr.str()


def test_a_marker_with_an_unknown_argument_is_refused(probe: Probe) -> None:
    probe.scenario("@step(need=['x'])\ndef test_run(vdk_step): pass\n")
    result = probe.run("test_mine.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "vdk_step has no need" in result.stderr.str()


def test_last_failed_works_for_journeys_beside_ordinary_tests(probe: Probe) -> None:
    probe.write("test_a.py", "def test_bad(): assert 0\ndef test_good(): pass\n")
    probe.scenario(
        CHAIN.replace('vdk_step.evidence("ran")', "raise PlatformFailure('does not run')")
    )
    probe.run("test_a.py", "test_mine.py")
    ids = probe.ids("test_a.py", "test_mine.py", "--lf")
    assert steps(ids) == ["test_bad", "create", "upload", "run"]
