"""A pipeline as the subject of a journey: bounded by its step, told in its report, removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_vdkprobe.journeys.run import RUN_KEY
from pytest_vdkprobe.journeys.scenarios import Journey

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.pipelines.pipeline import Pipeline

INTERRUPTION = "vdk_interruption"


@contextmanager
def open_pipeline(name: str, run: Run) -> Iterator[Pipeline]:
    """The pipeline called `name`, and its removal."""
    from pytest_vdkprobe.journeys.cleanup import sweep_ends_once  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.pipelines.running import open_pipeline as opened  # noqa: PLC0415 - as above
    from pytest_vdkprobe.renewing import Renewer  # noqa: PLC0415 - inert unless used

    pipeline = opened(
        run.configuration,
        name,
        run_id=run.run_id,
        leases=run.leases,
        placeholders=run.placeholders,
        deadline=run.step_deadline,
        tell=partial(run.attach, "pipeline"),
    )
    with Renewer(run.leases), pipeline:
        sweep_ends_once(run)
        yield pipeline


def parametrize(metafunc: pytest.Metafunc) -> None:
    """One step for each interruption of the journey's pipeline."""
    if INTERRUPTION not in metafunc.fixturenames:
        return
    journey = metafunc.definition.getparent(Journey)
    if journey is None:
        return
    from pytest_vdkprobe.pipelines.find import interruptions  # noqa: PLC0415 - inert unless used

    configuration = metafunc.config.stash[RUN_KEY].configuration
    names = interruptions(configuration, journey.subject)
    metafunc.parametrize(INTERRUPTION, names, indirect=True, ids=names, scope="function")
