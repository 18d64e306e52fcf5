"""A route as the subject of a journey: bounded by the running step, told in its report, removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.journeys.run import RUN_KEY
from pytest_vdkprobe.journeys.scenarios import Journey
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.routes.route import Route

PROFILE = "vdk_profile"


@contextmanager
def open_route(name: str, run: Run) -> Iterator[Route]:
    """The route called `name`, and its removal."""
    from pytest_vdkprobe.journeys.cleanup import sweep_before  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.leases import Renewer  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.routes.route import Route  # noqa: PLC0415 - as above

    def deadline() -> Deadline:
        if run.step is not None:
            return run.step.deadline
        return Deadline.after(run.cleanup_timeout_s, "time for the cleanup")

    def tell(account: dict[str, Any]) -> None:
        if run.step is not None:
            run.step.attach("account", account)

    route = Route(
        run.configuration,
        name,
        run_id=run.run_id,
        leases=run.leases,
        folder=run.report_folder,
        placeholders=run.placeholders,
        deadline=deadline,
        tell=tell,
    )
    with Renewer(run.leases), route:
        if not run.routes_swept:
            run.routes_swept = True
            for line in sweep_before(run):
                run.swept.append(line)
                if run.step is not None:
                    run.step.evidence(f"of an earlier run: {line}")
        yield route


def parametrize(metafunc: pytest.Metafunc) -> None:
    """One step for each profile of the journey's route."""
    if PROFILE not in metafunc.fixturenames:
        return
    journey = metafunc.definition.getparent(Journey)
    if journey is None:
        return
    from pytest_vdkprobe.routes.route import profiles_of  # noqa: PLC0415 - inert unless used

    configuration = metafunc.config.stash[RUN_KEY].configuration
    names = profiles_of(configuration, journey.subject)
    metafunc.parametrize(PROFILE, names, indirect=True, ids=names, scope="function")
