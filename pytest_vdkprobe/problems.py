"""Everything wrong with a configuration that can be known without touching the platform.

Both `vdkprobe check` and the start of a run come through here, so that what one refuses the other
does not let pass: sections of the known rooms, secrets, job directories, names and schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.rooms import ROOMS, Room, load, present

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.jobs.settings import JobSettings, RunTestSettings


def find_problems(
    configuration: Configuration,
    *,
    need_control: bool = True,
    placeholders: Mapping[str, str] | None = None,
) -> tuple[list[ConfigError], list[str]]:
    """All problems at once, and warnings about job directories.

    Without `need_control` a configuration may do without a Control Service, since a user's own
    scenarios may. `placeholders` are examples of what a run fills into the texts of routes.
    """
    from pytest_vdkprobe.config.entries import find_problems as of_entries  # noqa: PLC0415 - as late as possible
    from pytest_vdkprobe.config.sections import SECTIONS  # noqa: PLC0415 - as above
    from pytest_vdkprobe.control.auth import make_auth  # noqa: PLC0415 - `vdkprobe --help` is quick

    rooms = present(configuration)
    # A user's own scenarios may do without a Control Service, and so may these; jobs may not.
    needed = "jobs" in rooms or not any(room.alone for room in rooms.values())
    for name in ("control", "jobs", "run"):
        if name != "control" or (need_control and needed):
            rooms.setdefault(name, ROOMS[name])
    warnings: list[str] = []
    problems: list[ConfigError] = []
    for name, room in rooms.items():
        problems += _of_room(name, room, configuration, placeholders)
    wrong = {(problem.key or "").split(".")[0] for problem in problems}
    if "control" in rooms and "control" not in wrong:
        auth = configuration.section("control", load(rooms["control"].settings)).auth
        problems += _raised(lambda: make_auth(auth, base_dir=configuration.base_dir))
    if "jobs" not in wrong:
        problems += _of_jobs(configuration, warnings)
    for section, many in SECTIONS.items():
        if many and section in configuration:
            problems += of_entries(configuration, section)
            problems += _of_names(configuration, section)
    if "scenarios" in configuration:
        problems += _of_scenarios(configuration)
    if configuration.kind == "native" and "sandbox" in configuration:
        warnings.append(
            "[sandbox] has no effect in a file: it is for --vdk-config=sandbox, with --vdk-set"
        )
    if not problems:
        problems += _of_job_names(configuration)
    told = {str(problem): problem for problem in problems}
    return [configuration.located(problem) for problem in told.values()], warnings


def _of_room(
    name: str, room: Room, configuration: Configuration, placeholders: Mapping[str, str] | None
) -> list[ConfigError]:
    """What is wrong with one section."""
    if room.problems is None:
        return configuration.problems({name: load(room.settings)})
    found: list[ConfigError]
    if room.named:
        found = load(room.problems)(configuration, placeholders)
    else:
        found = load(room.problems)(configuration)
    return found


def _of_scenarios(configuration: Configuration) -> list[ConfigError]:
    from pytest_vdkprobe.journeys.sources import find_sources  # noqa: PLC0415 - loads pytest

    try:
        return find_sources(configuration)[1]
    except ConfigError as problem:
        return [problem]


def _of_names(configuration: Configuration, section: str) -> list[ConfigError]:
    """Names that two entries have; those of jobs are told with the jobs'."""
    from pytest_vdkprobe.config import entry_names  # noqa: PLC0415 - as late as possible

    if section == "jobs":
        return []
    room = ROOMS.get(section)
    made = entry_names.plain if room is not None and room.named else None
    names = configuration.names(section)
    return entry_names.find_problems(section, names, made=made, file=configuration.name)


def _of_job_names(configuration: Configuration) -> list[ConfigError]:
    """Names of data jobs that routes or tables would give to a job that another entry has."""
    from pytest_vdkprobe.jobs.settings import JobSettings, names_on_platform  # noqa: PLC0415 - as above

    taken = names_on_platform(configuration.sections("jobs", JobSettings))
    sending: list[tuple[str, str]] = []
    if "routes" in configuration:
        from pytest_vdkprobe.routes.by_job import job_names as of_routes  # noqa: PLC0415 - if it is there

        sending += of_routes(configuration)
    if "tables" in configuration:
        from pytest_vdkprobe.journeys.table_subject import job_names as of_tables  # noqa: PLC0415 - ditto

        sending += of_tables(configuration)
    found = []
    for name, key in sending:
        if taken.setdefault(name, key) != key:
            found.append(
                ConfigError(
                    f"Two data jobs would have one name: that of {taken[name]} and of {key}.",
                    file=configuration.name,
                    key=key,
                    value=name,
                    to_try="give one of the entries another name",
                )
            )
    return found


def _of_jobs(configuration: Configuration, warnings: list[str]) -> list[ConfigError]:
    """Everything wrong with entries of [[jobs]], their secrets, directories and run tests."""
    from pytest_vdkprobe.jobs.settings import JobSettings, validate_jobs  # noqa: PLC0415 - as above

    jobs = configuration.sections("jobs", JobSettings)
    problems = validate_jobs(jobs, file=configuration.name)
    for index, job in enumerate(jobs):
        problems += _raised(partial(_open_secrets, configuration, job, index))
        if job.run_test is not None:
            problems += _raised(partial(_load_run_test, configuration, job.run_test, index))
        if job.is_own and not any(_about(problem, f"jobs.{index}.") for problem in problems):
            problems += _raised(partial(_load_job, configuration, job, index, warnings))
    return problems


def _load_job(
    configuration: Configuration, job: JobSettings, index: int, warnings: list[str]
) -> None:
    from pytest_vdkprobe.jobs.template import load_template  # noqa: PLC0415 - as late as possible

    template = load_template(
        job.source,
        settings=job,
        base_dir=configuration.base_dir,
        file=configuration.name,
        key=f"jobs.{index}.{'template' if job.path is None else 'path'}",
    )
    warnings += template.warnings


def _load_run_test(configuration: Configuration, named: RunTestSettings, index: int) -> None:
    from pytest_vdkprobe.legacy.run_test import load  # noqa: PLC0415 - as late as possible

    key = f"jobs.{index}.run_test"
    load(named, base_dir=configuration.base_dir, file=configuration.name, key=key)


def _about(problem: ConfigError, place: str) -> bool:
    return (problem.key or "").startswith(place)


def _open_secrets(configuration: Configuration, job: JobSettings, index: int) -> None:
    from pytest_vdkprobe.jobs.secret_values import opened  # noqa: PLC0415 - as late as possible

    for name in ("arguments", "expect_properties"):
        opened(getattr(job, name), base_dir=configuration.base_dir, key=f"jobs.{index}.{name}")


def _raised(act: Callable[[], object]) -> list[ConfigError]:
    try:
        act()
    except ConfigError as problem:
        return [problem]
    return []
