"""Ingestion: known records go in at one end of a route, and each is accounted for at the other.

Parametrized over the configured routes; each of a route's profiles is a step, sent by the probe
itself or by a data job, as the route says. What was sent is told from what came out by identity,
never by counting, so that one lost and one doubled record are two faults and not none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.api import Profile, Route, RouteJob, StepRecord

pytestmark = pytest.mark.vdk_journey("routes")


@pytest.mark.vdk_step(way="direct")
def test_direct(vdk_route: Route, vdk_profile: Profile, vdk_step: StepRecord) -> None:
    """What the probe sends comes out: all of it, once, unchanged, in time."""
    sent = vdk_route.send(vdk_profile)
    account = vdk_route.reconcile(sent)
    account.require(**vdk_route.allowed)
    for line in account.evidence:
        vdk_step.evidence(line)


@pytest.mark.vdk_step(way="job")
def test_prepare_job(vdk_route_job: RouteJob) -> None:
    """A data job that sends with VDK's own ingestion can be created, and becomes live."""
    vdk_route_job.prepare()


@pytest.mark.vdk_step(way="job", needs=["prepare_job"])
def test_by_job(
    vdk_route: Route, vdk_route_job: RouteJob, vdk_profile: Profile, vdk_step: StepRecord
) -> None:
    """What the data job sends comes out: all of it, once, unchanged, in time."""
    sent = vdk_route.send(vdk_profile, by=vdk_route_job)
    account = vdk_route.reconcile(sent)
    account.require(**vdk_route.allowed)
    for line in account.evidence:
        vdk_step.evidence(line)


@pytest.mark.vdk_step(cleanup=True)
def test_remove(vdk_route: Route, vdk_step: StepRecord) -> None:
    """What the route's passages created is deleted, and proven gone."""
    for line in vdk_route.remove() or ["nothing was created that could be left"]:
        vdk_step.evidence(line)
