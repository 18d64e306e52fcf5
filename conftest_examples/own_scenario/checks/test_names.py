"""Names: every job of the team is called as the house rules say."""

import pytest

pytestmark = pytest.mark.vdk_journey("jobs")


@pytest.mark.vdk_step
def test_reach(vdk_job):
    """The platform answers, and accepts our login."""
    vdk_job.reach()


@pytest.mark.vdk_step(needs=["reach"])
def test_convention(vdk_control, vdk_control_settings, vdk_step, allowed_name):
    """No job of the team has a name of its own making."""
    names = [row.job_name for row in vdk_control.list_jobs(vdk_control_settings.team)]
    wrong = [name for name in names if not allowed_name(name)]
    vdk_step.evidence(f"{len(names)} jobs, all named by the rule")
    assert wrong == []
