"""Pipeline: every check of a website becomes a message and every message a row, each exactly once.

Parametrized over the configured pipelines, and over what happens while checks are accounted for.
The probe serves the websites itself, so it knows which checks were made and what each must say; it
runs the pipeline's own commands, or lends the websites to processes that run already, and reads the
topic and the table beside them. The first hop at which something is wrong is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.api import Interruption, Pipeline, StepRecord

pytestmark = pytest.mark.vdk_journey("pipelines")


@pytest.mark.vdk_step
def test_configure(vdk_pipeline: Pipeline, vdk_step: StepRecord) -> None:
    """Schema, tables and topics are made, and made again without a change; or they are there."""
    for line in vdk_pipeline.configure():
        vdk_step.evidence(line)


@pytest.mark.vdk_step(needs=["configure"])
def test_example(vdk_pipeline: Pipeline, vdk_step: StepRecord) -> None:
    """Four websites, two of them invalid, the first of their shards: exactly one row."""
    if vdk_pipeline.settings.running:
        pytest.skip("needs a producer of its own, and this pipeline runs already")
    vdk_step.evidence(vdk_pipeline.example())


@pytest.mark.vdk_step(needs=["configure"])
def test_start(vdk_pipeline: Pipeline, vdk_step: StepRecord) -> None:
    """Producers and consumers start, or pick the websites up, and each has its first row."""
    vdk_step.evidence(vdk_pipeline.start())


@pytest.mark.vdk_step(needs=["start"])
def test_flow(vdk_pipeline: Pipeline, vdk_interruption: Interruption, vdk_step: StepRecord) -> None:
    """Each check that is due is made, and is one message and one row, whatever happens."""
    account = vdk_pipeline.flow(vdk_interruption)
    account.require()
    vdk_step.evidence(str(account))


@pytest.mark.vdk_step(needs=["start"])
def test_stop(vdk_pipeline: Pipeline, vdk_step: StepRecord) -> None:
    """All processes end in order, or let go of the websites; of all checks none is missing or there
    twice."""
    account, lines = vdk_pipeline.stop()
    account.require()
    for line in lines:
        vdk_step.evidence(line)


@pytest.mark.vdk_step(cleanup=True)
def test_remove(vdk_pipeline: Pipeline, vdk_step: StepRecord) -> None:
    """What the pipeline consisted of is deleted, and proven gone."""
    for line in vdk_pipeline.remove() or ["nothing was created that could be left"]:
        vdk_step.evidence(line)
