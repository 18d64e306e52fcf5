"""A job's config.ini is read as vdk reads it, and what vdk would ignore by mistake is refused."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs.jobini import JobIni, read_ini, write_ini
from pytest_vdkprobe.jobs.settings import Contacts

FULL = """
[owner]
team = blue
[job]
schedule_cron = 0 */2 * * *
python_version = 3.11
db_default_type = TRINO
[contacts]
notified_on_job_failure_user_error = a@example.org, b@example.org
notified_on_job_failure_platform_error = c@example.org;
notified_on_job_success =
notified_on_job_deploy = d@example.org
enable_execution_notifications = no
notification_delay_period_minutes = 10
enable_attempt_notifications = true
[vdk]
anything_at_all = 1
[vdk_second]
trino_host = x
"""


def read(text: str) -> JobIni:
    return read_ini(text.encode(), file="mine/config.ini")


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.file == "mine/config.ini"
    assert caught.value.to_try
    return caught.value


def test_everything_that_vdk_reads_is_read() -> None:
    assert read(FULL) == JobIni(
        team="blue",
        schedule="0 */2 * * *",
        python_version="3.11",
        db_default_type="TRINO",
        contacts=Contacts(
            notified_on_job_failure_user_error=("a@example.org", "b@example.org"),
            notified_on_job_failure_platform_error=("c@example.org",),
            notified_on_job_deploy=("d@example.org",),
        ),
        enable_execution_notifications=False,
        notification_delay_period_minutes=10,
    )


def test_nothing_said_is_vdks_default() -> None:
    ini = read("")
    assert ini == JobIni()
    assert (ini.enable_execution_notifications, ini.notification_delay_period_minutes) == (
        True,
        240,
    )
    assert read("[job]\nschedule_cron =\n").schedule is None


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("[job]\nshedule_cron = * * * * *", "job.shedule_cron", "did you mean 'schedule_cron'?"),
        ("[jobs]\nteam = x", "jobs", "did you mean 'job'?"),
        ("[Owner]\nteam = x", "Owner", "did you mean 'owner'?"),
        (
            "[contacts]\nnotified_on_job_sucess = a",
            "contacts.notified_on_job_sucess",
            "did you mean 'notified_on_job_success'?",
        ),
        ("[job]\nschedule_cron = * * * *", "job.schedule_cron", "every five minutes"),
        ("[job]\npython_version = 3.%", "job.python_version", "%%"),
        (
            "[contacts]\nenable_execution_notifications = maybe",
            "contacts.enable_execution_notifications",
            "correct it",
        ),
        (
            "[contacts]\nnotification_delay_period_minutes = 0",
            "contacts.notification_delay_period_minutes",
            "correct it",
        ),
    ],
)
def test_what_can_not_work_is_refused_with_its_key(text: str, key: str, advice: str) -> None:
    error = refused(text)
    assert error.key == key
    assert advice in (error.to_try or "")


@pytest.mark.parametrize(
    "text",
    ["team = blue", "[job]\n[job]\n", "[owner]\nteam = a\nteam = b", "[owner\nteam = x"],
    ids=["no section", "section twice", "key twice", "open bracket"],
)
def test_a_file_that_does_not_parse_is_refused(text: str) -> None:
    assert "can't be read" in refused(text).what


def test_a_file_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(ConfigError, match="UTF-8"):
        read_ini("[owner]\nteam = blå".encode("latin-1"), file="mine/config.ini")


def test_what_is_far_from_all_keys_is_only_told() -> None:
    ini = read("[owner]\ncost_center = 7\n[documentation]\nurl = x\n")
    assert len(ini.warnings) == 2
    assert "cost_center in [owner]" in ini.warnings[0]


def test_what_is_written_reads_back() -> None:
    ini = JobIni(
        team="50 % blue",
        schedule="0 0 * * 1",
        contacts=Contacts(notified_on_job_success=("a@example.org", "b@example.org")),
    )
    assert read_ini(write_ini(ini), file="x") == ini


def test_a_line_break_in_a_value_starts_no_section() -> None:
    written = write_ini(JobIni(team="blue\n[job]\nschedule_cron = * * * * *"))
    assert read_ini(written, file="x").schedule is None
