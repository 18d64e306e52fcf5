"""Without a configuration the plugin adds its options and nothing else."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import LEAN


def test_nothing_of_ours_is_imported_without_a_configuration(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_modules():
            ours = {name for name in sys.modules if name.startswith("pytest_vdkprobe")}
            assert ours == {
                "pytest_vdkprobe", "pytest_vdkprobe.plugin", "pytest_vdkprobe.hookspecs",
            }
            assert not {"msgspec", "requests", "croniter", "sqlalchemy"} & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess(*LEAN).assert_outcomes(passed=1)


def test_no_plugin_of_ours_but_the_entry_point_is_registered(pytester: pytest.Pytester) -> None:
    config = pytester.parseconfigure(*LEAN)
    names = [name for name, _ in config.pluginmanager.list_name_plugin() if "vdkprobe" in name]
    assert names == ["vdkprobe"]


def test_help_explains_each_option_and_names_its_twins(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(*LEAN, "--help")
    text = " ".join(result.stdout.str().split())
    for name in ("config", "set", "scenarios", "quick", "plan", "sweep", "report"):
        assert f"--vdk-{name}" in text
        assert f"[ini: vdk_{name}, environment: VDKPROBE_{name.upper()}]" in text


def test_help_needs_no_usable_configuration(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VDKPROBE_CONFIG", "missing.toml")
    assert pytester.runpytest_inprocess(*LEAN, "--help").ret == 0


def test_a_conftest_with_our_hooks_does_not_break_a_bare_pytest(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        def pytest_vdkprobe_subjects(config, configuration, kind): return None
        def pytest_vdkprobe_step_finished(config, step): pass
        """
    )
    pytester.makepyfile("def test_plain(): pass")
    pytester.runpytest_inprocess(*LEAN).assert_outcomes(passed=1)


def test_the_markers_are_known_without_a_configuration(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.vdk_step
        def test_marked(): pass
        """
    )
    pytester.runpytest_inprocess(*LEAN, "--strict-markers").assert_outcomes(passed=1)
    markers = pytester.runpytest_inprocess(*LEAN, "--markers").stdout.str()
    assert (
        "@pytest.mark.vdk_step(needs=[...], slow=False, cleanup=False, way=None, if_set=None): a "
        in markers
    )
    assert "@pytest.mark.vdk_journey(kind): run this module once for each name" in markers


def test_asking_for_our_fixtures_without_a_configuration_says_what_is_missing(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_probe(vdk_job): pass")
    result = pytester.runpytest_inprocess(*LEAN)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*The fixture vdk_job exists only with --vdk-config=FILE*"])


def test_it_works_without_xdist_and_without_timeout(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_plain(): pass")
    pytester.runpytest_inprocess(*LEAN, "-p", "no:xdist", "-p", "no:timeout").assert_outcomes(
        passed=1
    )
