"""What a journey is made of: its subject, the step under way, a step for each parameter."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.journeys import pipeline_subject, route_subject, table_subject
from pytest_vdkprobe.journeys.run import RUN_KEY
from pytest_vdkprobe.journeys.scenarios import Journey
from pytest_vdkprobe.journeys.steps import STEP_KEY, StepRecord


@pytest.fixture(scope="module")
def vdk_subject(request: pytest.FixtureRequest) -> str:
    """The name that this journey is run for: that of a data job, a route ...

    Module scope, because a journey is a module of its own. Comes from `vdk_journey(kind)` and the
    configuration's `[[kind]]`; implement `pytest_vdkprobe_subjects` to name others.
    """
    if isinstance(request.node, Journey):
        return request.node.subject
    raise ConfigError(
        f"{request.node.nodeid} asks for vdk_subject, but is no journey.",
        key="pytestmark",
        to_try='mark the module: pytestmark = pytest.mark.vdk_journey("jobs")',
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a step of each profile of a route, move of tables, interruption of a pipeline."""
    route_subject.parametrize(metafunc)
    table_subject.parametrize(metafunc)
    pipeline_subject.parametrize(metafunc)


@pytest.hookimpl(trylast=True)
def pytest_vdkprobe_subjects(config: pytest.Config, kind: str) -> list[str] | None:
    """An upgrade is before or behind us, as the options say; all else is the configuration's."""
    return list(config.stash[RUN_KEY].upgrades) if kind == "upgrade" else None


@pytest.fixture
def vdk_step(request: pytest.FixtureRequest) -> StepRecord:
    """The step under way: its deadline, its operation id, and `evidence(text)`.

    Function scope: each step has its own. A step that gives no evidence does not pass.
    """
    step = request.node.stash.get(STEP_KEY, None)
    if isinstance(step, StepRecord):
        return step
    raise ConfigError(
        f"{request.node.nodeid} asks for vdk_step, but is no step.",
        key="vdk_step",
        to_try="mark the test: @pytest.mark.vdk_step",
    )
