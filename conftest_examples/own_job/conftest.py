"""Verifies what the job has done in a way that no setting can say."""

import pytest

from pytest_vdkprobe.api import PlatformFailure


@pytest.fixture(scope="module")
def vdk_job(vdk_job, vdk_control):
    shipped = vdk_job.require_proof

    def require_proof():
        shipped()  # expect_properties of the configuration
        properties = vdk_control.properties(vdk_job.own.name)
        if properties["first"] != "a":
            raise PlatformFailure(
                "The job counted other things.", seen=repr(properties["first"]), expected="'a'"
            )
        vdk_job.step.evidence(f"the first of {properties['things']} things is a")

    vdk_job.require_proof = require_proof
    return vdk_job
