"""A route as the subject of a journey: bounded by the running step, told in its report, removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_vdkprobe.journeys.run import RUN_KEY
from pytest_vdkprobe.journeys.scenarios import Journey

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.journeys.route_job import RouteJob
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.routes.kinds import MakeEnd, Side
    from pytest_vdkprobe.routes.passage import MakeLedger
    from pytest_vdkprobe.routes.route import Route
    from pytest_vdkprobe.routes.settings import RouteSettings

PROFILE = "vdk_profile"
DIRECT = "direct"
"""The way of a step that names none."""


@contextmanager
def open_route(
    name: str,
    run: Run,
    *,
    configuration: Configuration | None = None,
    folder: Path | None = None,
    make: Mapping[Side, MakeEnd] | None = None,
    make_ledger: MakeLedger | None = None,
) -> Iterator[Route]:
    """The route called `name`, and its removal; the rest is what a user may have overridden."""
    from pytest_vdkprobe.accounting.ledger import Ledger  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.journeys.cleanup import sweep_ends_once  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.renewing import Renewer  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.routes.route import Route  # noqa: PLC0415 - as above

    route = Route(
        configuration or run.configuration,
        name,
        run_id=run.run_id,
        leases=run.leases,
        folder=folder or run.report_folder,
        make=make,
        make_ledger=make_ledger or Ledger.create,
        placeholders=run.placeholders,
        deadline=run.step_deadline,
        tell=partial(run.attach, "account"),
        tell_versions=partial(run.attach, "versions"),
    )
    with Renewer(run.leases), route:
        sweep_ends_once(run)
        yield route


@contextmanager
def open_job(route: Route, client: ControlClient, run: Run) -> Iterator[RouteJob]:
    """The data job that sends the records of `route`; it is removed with what the route made."""
    from pytest_vdkprobe.journeys.route_job import RouteJob  # noqa: PLC0415 - inert unless used

    job = RouteJob(client, run, route)
    route.needs(job)
    yield job


def parametrize(metafunc: pytest.Metafunc) -> None:
    """One step for each profile that the journey's route sends this way."""
    if PROFILE not in metafunc.fixturenames:
        return
    settings = _settings(metafunc.definition)
    if settings is None:
        return
    names = settings.profiles_of(_way(metafunc.definition) or DIRECT) or settings.profiles
    metafunc.parametrize(PROFILE, names, indirect=True, ids=names, scope="function")


def takes_part(test: pytest.Item) -> bool:
    """Whether a step is for a way that its journey's route goes; others are no steps of it."""
    way = _way(test)
    if way is None:
        return True
    settings = _settings(test)
    return settings is not None and way in settings.ways


def _way(test: pytest.Item) -> str | None:
    marker = test.get_closest_marker("vdk_step")
    return None if marker is None else marker.kwargs.get("way")


def _settings(test: pytest.Item) -> RouteSettings | None:
    """Those of the route that the test's journey is for."""
    journey = test.getparent(Journey)
    if journey is None:
        return None
    from pytest_vdkprobe.routes.route import settings_of  # noqa: PLC0415 - inert unless used

    return settings_of(test.config.stash[RUN_KEY].configuration, journey.subject)
