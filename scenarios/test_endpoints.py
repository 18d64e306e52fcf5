"""Endpoints: calls are made on a fixed schedule, and each answer is held against its conditions.

Parametrized over the configured endpoints. A call that hangs delays no other, and one that gets no
good answer in time has failed: nothing is repeated behind the measurement's back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.api import EndpointTasks, StepRecord

pytestmark = pytest.mark.vdk_journey("endpoints")


@pytest.mark.vdk_step
def test_reach(vdk_endpoint: EndpointTasks, vdk_step: StepRecord) -> None:
    """Something answers there, and the login works."""
    vdk_step.evidence(vdk_endpoint.reach())


@pytest.mark.vdk_step(needs=["reach"])
def test_tasks(vdk_endpoint: EndpointTasks, vdk_step: StepRecord) -> None:
    """The tasks succeed, but for what the configuration allows to fail."""
    tally = vdk_endpoint.round()
    tally.require()
    vdk_step.evidence(tally.evidence())
