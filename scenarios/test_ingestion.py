"""Ingestion: known records go in at one end of a route, and each is accounted for at the other.

Parametrized over the configured routes; each of a route's profiles is a step. What was sent is told
from what came out by identity, never by counting, so that one lost and one doubled record are two
faults and not none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.api import Profile, Route, StepRecord

pytestmark = pytest.mark.vdk_journey("routes")


@pytest.mark.vdk_step
def test_direct(vdk_route: Route, vdk_profile: Profile, vdk_step: StepRecord) -> None:
    """What the probe sends comes out: all of it, once, unchanged, in time."""
    sent = vdk_route.send(vdk_profile)
    account = vdk_route.reconcile(sent)
    account.require(**vdk_route.allowed)
    vdk_step.evidence(str(account))


@pytest.mark.vdk_step(cleanup=True)
def test_remove(vdk_route: Route, vdk_step: StepRecord) -> None:
    """What the route's passages created is deleted, and proven gone."""
    for line in vdk_route.remove() or ["nothing was created that could be left"]:
        vdk_step.evidence(line)
