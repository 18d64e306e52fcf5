"""What a run would create, and where, told without touching the platform (`--vdk-plan`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdkprobe.control.errors import public_url

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.run import Run


def plan(run: Run) -> list[str]:
    """The lines of the plan: every object with its place, then every setting with its source."""
    from pytest_vdkprobe.jobs.settings import JobSettings  # noqa: PLC0415 - only for a plan
    from pytest_vdkprobe.jobs.template import load_template  # noqa: PLC0415 - only for a plan

    lines = [f"Run {run.run_id} would use no Control Service", "", "Creates:"]
    if "control" in run.configuration:
        control = run.control_settings
        lines[0] = f"Run {run.run_id} would use {control.url}, team {control.team}"
    for settings in run.configuration.sections("jobs", JobSettings):
        template = load_template(
            settings.source, settings=settings, base_dir=run.configuration.base_dir
        )
        lines.append(f"  data job {settings.remote_name(run.run_id)}  ({template.origin})")
        if not template.proves:
            companion = settings.companion()
            lines.append(f"  data job {companion.remote_name(run.run_id)}  (its companion)")
    lines += _of_routes(run) + _of_tables(run) + _of_events(run) + _of_endpoints(run)
    lines += _of_pipelines(run)
    lines += ["  and deletes them again; leases in " + str(run.leases.folder), "", "Settings:"]
    rows = run.configuration.settings()
    width = max((len(row[0]) for row in rows), default=0)
    lines += [f"  {key:<{width}}  {value}  ({source})" for key, value, source in rows]
    return lines


def _of_events(run: Run) -> list[str]:
    """How many are posted where."""
    if "events" not in run.configuration:
        return []
    from pytest_vdkprobe.events.settings import EventsSettings  # noqa: PLC0415 - as above

    return [
        f"  events {one.name}  ({one.target.kind} -> {one.reader.kind}): {one.events}, "
        f"one every {one.interval_s:g} s"
        for one in run.configuration.sections("events", EventsSettings)
    ]


def _of_endpoints(run: Run) -> list[str]:
    """How often each is called; nothing is created by that, as far as the probe knows."""
    if "endpoints" not in run.configuration:
        return []
    from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings  # noqa: PLC0415 - as above

    return [
        f"  calls to endpoint {one.name}: {one.tasks} x {one.method} {public_url(one.url)}, "
        f"one every {one.interval_s:g} s"
        for one in run.configuration.sections("endpoints", EndpointTasksSettings)
    ]


def _of_pipelines(run: Run) -> list[str]:
    """Each with what is its own: schema, topics, group."""
    if "pipelines" not in run.configuration:
        return []
    from pytest_vdkprobe.pipelines.find import plan as of_pipelines  # noqa: PLC0415 - for a plan

    return of_pipelines(run.configuration, run_id=run.run_id)


def _of_routes(run: Run) -> list[str]:
    """Each passage with the names that are its own: of its table, topic or file."""
    if "routes" not in run.configuration:
        return []
    from pytest_vdkprobe.jobs.names import run_suffix, with_suffix  # noqa: PLC0415 - only for a plan
    from pytest_vdkprobe.routes.by_job import job_name  # noqa: PLC0415 - only for a plan
    from pytest_vdkprobe.routes.route import passages  # noqa: PLC0415 - only for a plan
    from pytest_vdkprobe.routes.settings import JOB, RouteSettings  # noqa: PLC0415 - only for a plan

    lines = [
        f"  data job {with_suffix(job_name(route), run_suffix(run.run_id))}"
        f"  (sends the records of route {route.name})"
        for route in run.configuration.sections("routes", RouteSettings)
        if JOB in route.ways
    ]
    for name, way, profile, settings, places in passages(run.configuration, run_id=run.run_id):
        what = f"{settings.records_of(way):,} {profile} records, {way}"
        ends = f"{settings.target.kind} -> {settings.reader.kind}"
        own = "".join(f", {key} {place}" for key, place in places.items())
        lines.append(f"  route {name}  ({ends}): {what}{own}")
    return lines


def _of_tables(run: Run) -> list[str]:
    """Each entry with what its tables are called, and its job."""
    if "tables" not in run.configuration:
        return []
    from pytest_vdkprobe.journeys.table_subject import job_settings  # noqa: PLC0415 - for a plan
    from pytest_vdkprobe.tables.settings import TablesSettings, by_whom  # noqa: PLC0415 - ditto

    lines = []
    for settings in run.configuration.sections("tables", TablesSettings):
        by = by_whom(settings, run.configuration)
        moves = settings.moves_of(by=by)
        names = [settings.table(run.run_id, role) for role in ("source", "view", *moves)]
        lines += [f"  table {name}  ({settings.database.kind})" for name in names]
        if by == "job":
            lines.append(
                f"  data job {job_settings(settings).remote_name(run.run_id)}  (moves them)"
            )
    return lines
