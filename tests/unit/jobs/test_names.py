"""Names and schedules that a platform would refuse, or silently never run, are refused first."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs.names import check_cron, check_name, run_suffix, with_suffix


@pytest.mark.parametrize("name", ["abcdef", "hello-platform", "a12345", "a" * 50])
def test_a_good_name_passes(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "proof",
        "a" * 51,
        "Hello-Platform",
        "9lives",
        "-hello",
        "hello_all",
        "hällo-x",
        "abcdef\n",
    ],
)
def test_a_bad_name_is_refused_with_a_good_one(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_name(name, file="platform.toml", key="jobs.0.name")
    error = caught.value
    assert (error.file, error.key, error.value) == ("platform.toml", "jobs.0.name", name)
    assert error.to_try is not None
    check_name(error.to_try.split('"')[1])


def test_a_suffix_is_appended() -> None:
    assert with_suffix("hello-platform", "7f3a90c2") == "hello-platform-7f3a90c2"


def test_long_names_are_cut_and_stay_apart() -> None:
    names = {with_suffix("a" * 44 + last, "proof") for last in "bcd"}
    assert len(names) == 3
    for name in names:
        assert len(name) <= 45
        assert name.endswith("-proof")
        check_name(name)


def test_a_run_id_is_used_as_it_is_when_it_can_be() -> None:
    assert run_suffix("7f3a90c2") == "7f3a90c2"


def test_other_run_ids_are_tidied_and_stay_apart() -> None:
    ids = ["Build/12", "build-12", "build 12", "x" * 40, "x" * 41, "ÄÖÜ", "###"]
    suffixes = {run_suffix(run_id) for run_id in ids}
    assert len(suffixes) == len(ids)
    for suffix in suffixes:
        check_name(with_suffix("hello-platform", suffix))
        assert len(with_suffix("h" * 50, suffix)) <= 45


@pytest.mark.parametrize(
    "cron",
    [
        "* * * * *",
        "*/5 * * * *",
        "0 0 30 2 *",
        "0 0 * JAN-MAR mon",
        "1,2 0-5 ? * 0",
        " 0  0 * * 6 ",
    ],
)
def test_a_good_schedule_passes(cron: str) -> None:
    check_cron(cron)


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "@hourly",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* * * * 7",
        "* * * * 1-7",
        "5-1 * * * *",
        "0 0 L * *",
        "0 0 * * 1#2",
        "H * * * *",
        "R * * * *",
        "jan * * * *",
        "a b c d e",
        "* * * * 1,",
        "*/0 * * * *",
    ],
)
def test_a_schedule_that_would_never_run_is_refused(cron: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_cron(cron, file="platform.toml", key="jobs.0.schedule")
    assert (caught.value.key, caught.value.value) == ("jobs.0.schedule", cron)
    assert caught.value.to_try
