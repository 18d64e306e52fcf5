"""The section [[jobs]]: each entry becomes one heartbeat.

A job is either one of the shipped templates or the user's own directory. The user's own can't be
told to fail or to hang, so it gets a companion made from `proof` that plays those steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_vdkprobe.config.printing import is_secret_name
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.jobs.names import check_cron, check_name, run_suffix, with_suffix

DEFAULT_TEMPLATE = "proof"
COMPANION_SUFFIX = "proof"


class Contacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is mailed about a job, in the Control Service's own four lists of addresses."""

    notified_on_job_failure_user_error: tuple[str, ...] = ()
    notified_on_job_failure_platform_error: tuple[str, ...] = ()
    notified_on_job_success: tuple[str, ...] = ()
    notified_on_job_deploy: tuple[str, ...] = ()


class RunTestSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run test of vdk-heartbeat's kind: a class with `setup`, `execute_test` and `clean_up`."""

    module: str
    """Its module, installed or beside the configuration."""
    class_name: str
    """Its name; it is constructed with an object that has all attributes of vdk-heartbeat's
    `Config`."""


class JobSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One data job to heartbeat."""

    name: str
    """What the journey is called; the job is named after it and the run (see `exact_name`)."""
    template: str = DEFAULT_TEMPLATE
    """A template: `proof`, `sql`, or a registered one. Left out when `path` is given."""
    path: str | None = None
    """The user's own job directory; relative ones start from the configuration's folder."""
    exact_name: bool = False
    """Create the job under exactly `name`, as vdk-heartbeat's JOB_NAME does: one run at a time."""
    description: str = ""
    team: str | None = None
    """Whose job it is, when not the team of [control]."""
    schedule: str | None = None
    """Five-field cron in UTC. A user's own directory keeps its schedule when this is left out."""
    python_version: str | None = None
    vdk_version: str | None = None
    db_default_type: str | None = None
    """The job's default database (`TRINO`, `POSTGRES`, ...): what a SQL step of it talks to."""
    contacts: Contacts | None = None
    vdk: dict[str, str | int | float | bool] = {}
    """Settings of vdk for this job, e.g. `{ trino_host = "trino.example.org" }`: the section [vdk]
    of a shipped template's config.ini. Never a secret: it is uploaded."""
    keytab: str | None = None
    """`bytes`, `empty`, `absent` or `any`, when not what [control] says."""
    arguments: dict[str, Any] = {}
    """Passed to every manual execution, beside those of the proof protocol."""
    values: dict[str, Any] = {}
    """Written to `vdkprobe_values.json` in the job's folder; without any, a user's directory is
    uploaded byte for byte."""
    proves: bool = False
    """Whether the user's own job follows the proof protocol itself, and needs no companion."""
    expect_properties: dict[str, Any] = {}
    """Properties that the user's own job must have after a run, with their values."""
    run_test: RunTestSettings | None = None
    """A class that verifies what the job has done, as vdk-heartbeat runs it."""
    expect_log: tuple[str, ...] = ()
    """Texts that the log of the user's own job must contain after a run."""

    @property
    def source(self) -> str:
        """What `load_template` is to load: the path if there is one, else the template's name."""
        return self.path or self.template

    @property
    def is_own(self) -> bool:
        """Whether the job is the user's: a directory, or a template that somebody has brought."""
        from pytest_vdkprobe.jobs.template import (  # noqa: PLC0415 - a cycle else
            TEMPLATES,
            shipped_templates,
        )

        if self.path is not None or self.template in shipped_templates():
            return self.path is not None
        return TEMPLATES.get(self.template) is not None

    def remote_name(self, run_id: str) -> str:
        """The job's name on the platform in this run."""
        return self.name if self.exact_name else with_suffix(self.name, run_suffix(run_id))

    def companion(self) -> JobSettings:
        """The `proof` job that plays the steps which the user's own job can't."""
        return JobSettings(
            name=with_suffix(self.name, COMPANION_SUFFIX),
            description=f"Plays the steps that {self.name} can't",
            team=self.team,
            exact_name=self.exact_name,
            python_version=self.python_version,
            vdk_version=self.vdk_version,
            contacts=self.contacts,
            keytab=self.keytab,
        )

    def validate(self, *, file: str | None = None, key: str = "jobs") -> list[ConfigError]:
        """Everything that is wrong with the entry itself; its directory is `load_template`'s."""
        from pytest_vdkprobe.jobs.template import (  # noqa: PLC0415 - a cycle else
            TEMPLATES,
            shipped_templates,
        )

        problems: list[ConfigError] = []

        def wrong(what: str, field: str, value: object, to_try: str, expected: str = "") -> None:
            problems.append(
                ConfigError(
                    what,
                    file=file,
                    key=f"{key}.{field}",
                    value=value,
                    expected=expected or None,
                    to_try=to_try,
                )
            )

        try:
            check_name(self.name, file=file, key=f"{key}.name")
        except ConfigError as problem:
            problems.append(problem)
        if self.schedule:
            try:
                check_cron(self.schedule, file=file, key=f"{key}.schedule")
            except ConfigError as problem:
                problems.append(problem)
        if self.path is not None and self.template != DEFAULT_TEMPLATE:
            wrong(
                "A job has either a template or a path.",
                "template",
                self.template,
                f"remove template, or path = {self.path!r}",
            )
        elif self.path is not None and not self.path.strip():
            wrong("The job's path is empty.", "path", self.path, "name the folder, or remove path")
        elif (
            self.path is None
            and self.template not in shipped_templates()
            and TEMPLATES.get(self.template) is None
        ):
            wrong(
                "There is no template of this name.",
                "template",
                self.template,
                f'for a folder of your own write path = "{self.template}"',
                expected=" or ".join(TEMPLATES.names()),
            )
        if self.proves and not self.is_own:
            wrong(
                "Only a directory of your own is told whether it proves.",
                "proves",
                self.proves,
                "remove proves: the shipped templates always do",
            )
        problems += refuse_secrets(self.vdk, file=file, key=f"{key}.vdk")
        if self.vdk and self.path is not None:
            wrong(
                "A directory of your own has a config.ini of its own.",
                "vdk",
                ", ".join(self.vdk),
                "write these into its section [vdk]",
            )
        if self.keytab not in (None, "bytes", "empty", "absent", "any"):
            wrong(
                "A keytab can't be expected to be this.",
                "keytab",
                self.keytab,
                'write keytab = "any" if it does not matter',
                expected="bytes, empty, absent or any",
            )
        return problems


def refuse_secrets(vdk: Mapping[str, object], *, file: str | None, key: str) -> list[ConfigError]:
    """An error for each of these settings of vdk that is a secret: a job's config.ini is no place
    for one."""
    return [
        ConfigError(
            "This setting of vdk is a secret, and a job's config.ini is uploaded as it is.",
            file=file,
            key=f"{key}.{name}",
            to_try="let the platform set it for its jobs, or write it to the job's secrets",
        )
        for name in vdk
        if is_secret_name((name,))
    ]


def validate_jobs(
    jobs: tuple[JobSettings, ...], *, file: str | None = None, key: str = "jobs"
) -> list[ConfigError]:
    """Everything wrong with all the entries, names that would meet on the platform included."""
    problems: list[ConfigError] = []
    taken: dict[str, str] = {}
    for index, job in enumerate(jobs):
        place = f"{key}.{index}"
        problems += job.validate(file=file, key=place)
        for name, whose in _names_of(job, place).items():
            if name in taken:
                problems.append(
                    ConfigError(
                        f"Two jobs would have one name: {taken[name]} and {whose}.",
                        file=file,
                        key=f"{place}.name",
                        value=name,
                        to_try="give one of them another name",
                    )
                )
            taken.setdefault(name, whose)
    return problems


def names_on_platform(jobs: tuple[JobSettings, ...], *, key: str = "jobs") -> dict[str, str]:
    """What jobs are created for these entries, the run's id left off, and for which."""
    found: dict[str, str] = {}
    for index, job in enumerate(jobs):
        found |= _names_of(job, f"{key}.{index}")
    return found


def _names_of(job: JobSettings, place: str) -> dict[str, str]:
    names = {job.name: place}
    if job.is_own and not job.proves:
        names[job.companion().name] = f"the companion of {place}"
    return names
