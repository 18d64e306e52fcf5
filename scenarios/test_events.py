"""Events: one is posted at each slot of a fixed schedule, and must come out again, once, in time.

Parametrized over the configured event pipelines. A run posts a few and waits until each is settled.
In a watch the posting and the listening go on between rounds, and a round judges what has settled
since the last one; silence is seen, for what is overdue counts as well as what came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.api import Events, StepRecord

pytestmark = pytest.mark.vdk_journey("events")


@pytest.mark.vdk_step
def test_connect(vdk_events: Events, vdk_step: StepRecord) -> None:
    """The login works, and somebody listens before the first event is posted."""
    vdk_step.evidence(vdk_events.connect())


@pytest.mark.vdk_step(needs=["connect"])
def test_account(vdk_events: Events, vdk_step: StepRecord) -> None:
    """Every event comes out: once, unchanged, in time."""
    found = vdk_events.round()
    vdk_events.require(found)
    vdk_step.evidence(found.evidence())


@pytest.mark.vdk_step(cleanup=True)
def test_remove(vdk_events: Events, vdk_step: StepRecord) -> None:
    """What was created for these events is deleted, and proven gone."""
    for line in vdk_events.remove():
        vdk_step.evidence(line)
