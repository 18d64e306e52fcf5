"""What a journey is made of: its subject, the step under way, a step for each parameter.

And what binds the run to them: the configuration and the policy that a user may have replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.journeys import pipeline_subject, route_subject, table_subject
from pytest_vdkprobe.journeys.run import RUN_KEY, Run
from pytest_vdkprobe.journeys.scenarios import Journey
from pytest_vdkprobe.journeys.steps import STEP_KEY, StepRecord
from pytest_vdkprobe.waiting import Pace, set_pace

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.control.client import ControlClient


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


@pytest.fixture(scope="session", autouse=True)
def _vdk_bind_configuration(vdk_run: Run, vdk_configuration: Configuration) -> None:
    """Let what asks the run get what a user made of it."""
    if vdk_configuration is not vdk_run.configuration:
        vdk_configuration.learn_secrets()
        vdk_run.configuration = vdk_configuration


@pytest.fixture(autouse=True)
def _vdk_bind_step(request: pytest.FixtureRequest, vdk_run: Run, vdk_wait_policy: Pace) -> None:
    """Give the client the running step's deadline and op id, before the step's first call."""
    set_pace(vdk_wait_policy)
    if vdk_run.step is None:
        return
    if "vdk_tables" in request.fixturenames:
        if request.getfixturevalue("vdk_tables").job is None:
            return
    elif "vdk_control" not in request.fixturenames:
        return
    client = request.getfixturevalue("vdk_control")
    client.deadline = vdk_run.step.deadline
    client.op_id = vdk_run.step.op_id
    client.mark()
    vdk_run.step.exchanges = _Exchanges(client)


class _Exchanges:
    """The calls of the step under way, read when the step has ended."""

    def __init__(self, client: ControlClient) -> None:
        self.client = client

    def __iter__(self) -> Iterator[object]:
        return iter(self.client.exchanges)
