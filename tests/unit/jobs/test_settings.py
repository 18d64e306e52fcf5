"""The section [[jobs]]: each entry says all that is wrong with it, by key."""

from __future__ import annotations

import msgspec
import pytest

from pytest_vdkprobe.jobs.settings import Contacts, JobSettings, validate_jobs


def keys_of(*jobs: JobSettings) -> list[str | None]:
    problems = validate_jobs(jobs, file="platform.toml")
    assert all(problem.file == "platform.toml" and problem.to_try for problem in problems)
    return [problem.key for problem in problems]


def test_a_name_is_enough() -> None:
    settings = msgspec.convert({"name": "hello-platform"}, JobSettings)
    assert settings.source == "proof"
    assert keys_of(settings) == []


def test_a_full_entry_is_understood() -> None:
    settings = msgspec.convert(
        {
            "name": "hello-platform",
            "path": "jobs/mine",
            "schedule": "*/5 * * * *",
            "python_version": "3.11",
            "contacts": {"notified_on_job_success": ["a@example.org"]},
            "arguments": {"colour": "blue"},
            "keytab": "empty",
            "expect_properties": {"succeeded": "true"},
            "expect_log": ["all done"],
        },
        JobSettings,
    )
    assert settings.source == "jobs/mine"
    assert settings.contacts == Contacts(notified_on_job_success=("a@example.org",))
    assert keys_of(settings) == []


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="shedule"):
        msgspec.convert({"name": "hello-platform", "shedule": "x"}, JobSettings)


def test_everything_wrong_is_told_at_once() -> None:
    wrong = JobSettings(
        name="X",
        template="prof",
        schedule="* *",
        keytab="some",
        proves=True,
    )
    assert keys_of(wrong) == [
        "jobs.0.name",
        "jobs.0.schedule",
        "jobs.0.template",
        "jobs.0.proves",
        "jobs.0.keytab",
    ]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (JobSettings(name="hello-platform", path="x", template="sql"), "jobs.0.template"),
        (JobSettings(name="hello-platform", path=" "), "jobs.0.path"),
        (JobSettings(name="hello-platform", template="jobs/mine"), "jobs.0.template"),
    ],
    ids=["both", "empty path", "a path as template"],
)
def test_a_job_is_a_template_or_a_path(settings: JobSettings, key: str) -> None:
    assert keys_of(settings) == [key]


def test_two_jobs_of_one_name_are_refused() -> None:
    one, two = JobSettings(name="hello-platform"), JobSettings(name="hello-platform")
    assert keys_of(one, two) == ["jobs.1.name"]


def test_a_job_named_like_a_companion_is_refused() -> None:
    own = JobSettings(name="hello-mine", path="jobs/mine")
    namesake = JobSettings(name="hello-mine-proof")
    assert keys_of(own, namesake) == ["jobs.1.name"]
    assert keys_of(namesake, own) == ["jobs.1.name"]


def test_the_remote_name_carries_the_run() -> None:
    assert JobSettings(name="hello-platform").remote_name("7f3a90c2") == "hello-platform-7f3a90c2"


def test_an_exact_name_is_kept() -> None:
    exact = JobSettings(name="hello-platform", exact_name=True)
    assert exact.remote_name("7f3a90c2") == "hello-platform"


def test_a_companion_proves_under_a_name_of_its_own() -> None:
    own = JobSettings(name="hello-mine", path="jobs/mine", schedule="* * * * *", vdk_version="1")
    companion = own.companion()
    assert companion.source == "proof"
    assert companion.name == "hello-mine-proof"
    assert companion.schedule is None
    assert companion.vdk_version == "1"
    assert keys_of(companion) == []


def test_remote_names_of_long_jobs_and_their_companions_stay_apart() -> None:
    jobs = [JobSettings(name="a" * 49 + last, path="x") for last in "bc"]
    names = {job.remote_name("7f3a90c2") for job in jobs}
    names |= {job.companion().remote_name("7f3a90c2") for job in jobs}
    assert len(names) == 4
    assert all(len(name) <= 45 and name.endswith("-7f3a90c2") for name in names)
