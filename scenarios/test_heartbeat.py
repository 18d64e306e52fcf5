"""Heartbeat: a data job's whole life on the Control Service, one step a test.

Parametrized over the configured jobs. Each step says what it needs; a step that fails blocks only
those, and what was created is removed whatever happens. A step passes on evidence alone: an answer
that merely did not fail is not one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.api import DataJobSubject, JobRunTest

pytestmark = pytest.mark.vdk_journey("jobs")


@pytest.mark.vdk_step
def test_reach(vdk_job: DataJobSubject) -> None:
    """The Control Service answers at its URL and accepts our login."""
    vdk_job.reach()


@pytest.mark.vdk_step(needs=["reach"])
def test_info(vdk_job: DataJobSubject) -> None:
    """It tells its version and supports the Python version that the job wants."""
    vdk_job.require_python_supported()


@pytest.mark.vdk_step(needs=["reach"])
def test_create(vdk_job: DataJobSubject) -> None:
    """A data job can be created; one of that name that is not ours is refused, never adopted."""
    vdk_job.create()


@pytest.mark.vdk_step(needs=["create"])
def test_read(vdk_job: DataJobSubject) -> None:
    """The job reads back with every field as it was sent."""
    vdk_job.require_read_back()


@pytest.mark.vdk_step(needs=["create"])
def test_list(vdk_job: DataJobSubject) -> None:
    """The job is in its team's list, by GraphQL."""
    vdk_job.require_listed()


@pytest.mark.vdk_step(needs=["create"])
def test_keytab(vdk_job: DataJobSubject) -> None:
    """Its keytab is what the configuration says this platform gives: bytes, empty or absent."""
    vdk_job.require_keytab()


@pytest.mark.vdk_step(needs=["create"])
def test_properties(vdk_job: DataJobSubject) -> None:
    """Properties that are written read back unchanged."""
    vdk_job.require_properties_kept()


@pytest.mark.vdk_step(needs=["create"])
def test_secrets(vdk_job: DataJobSubject) -> None:
    """Secrets that are written read back unchanged, where the platform offers them."""
    if not vdk_job.secrets_offered:
        pytest.skip("not offered here: control.secrets_enabled is false")
    vdk_job.require_secrets_kept()


@pytest.mark.vdk_step(needs=["create"])
def test_upload(vdk_job: DataJobSubject) -> None:
    """The job's sources can be uploaded; the same content gives the same version."""
    vdk_job.upload()


@pytest.mark.vdk_step(needs=["upload"])
def test_deploy(vdk_job: DataJobSubject) -> None:
    """The version that was uploaded, and no other, becomes live."""
    vdk_job.deploy()


@pytest.mark.vdk_step(needs=["deploy"], if_set="run_test")
def test_prepare_run_test(vdk_run_test: JobRunTest) -> None:
    """The configured run test, of vdk-heartbeat's kind, gets ready."""
    vdk_run_test.prepare()


@pytest.mark.vdk_step(needs=["deploy"])
def test_run(vdk_job: DataJobSubject) -> None:
    """A started execution is followed, by its id and op id, until it has succeeded."""
    vdk_job.run()


@pytest.mark.vdk_step(needs=["run"])
def test_log(vdk_job: DataJobSubject) -> None:
    """The log of that execution holds what this run made the job say."""
    vdk_job.require_log()


@pytest.mark.vdk_step(needs=["run"])
def test_proof(vdk_job: DataJobSubject) -> None:
    """The properties were written by the job, in this run, with the arguments it was given."""
    vdk_job.require_proof()


@pytest.mark.vdk_step(needs=["run", "prepare_run_test"], if_set="run_test")
def test_run_test(vdk_run_test: JobRunTest) -> None:
    """The configured run test finds that the job has done its work."""
    vdk_run_test.verify()


@pytest.mark.vdk_step(needs=["deploy"])
def test_refuse(vdk_job: DataJobSubject) -> None:
    """While an execution runs, a second start is refused."""
    vdk_job.require_second_start_refused()


@pytest.mark.vdk_step(needs=["refuse"])
def test_cancel(vdk_job: DataJobSubject) -> None:
    """A running execution that is cancelled ends as cancelled."""
    vdk_job.cancel()


@pytest.mark.vdk_step(needs=["deploy"])
def test_fail(vdk_job: DataJobSubject) -> None:
    """A job that fails in its own code ends as a user error, never as a success."""
    vdk_job.require_failure_reported()


@pytest.mark.vdk_step(needs=["deploy"])
def test_redeploy(vdk_job: DataJobSubject) -> None:
    """A changed job becomes live, and the next run is the changed one."""
    vdk_job.redeploy()


@pytest.mark.vdk_step(needs=["redeploy"], slow=True)
def test_rollback(vdk_job: DataJobSubject) -> None:
    """The version before can be deployed again, and the next run is the old one."""
    vdk_job.rollback()


@pytest.mark.vdk_step(needs=["deploy"], slow=True)
def test_schedule(vdk_job: DataJobSubject) -> None:
    """A schedule of every minute fires by itself."""
    vdk_job.require_schedule_fires()


@pytest.mark.vdk_step(needs=["schedule"], slow=True)
def test_disable(vdk_job: DataJobSubject) -> None:
    """A disabled deployment stops firing."""
    vdk_job.disable()


@pytest.mark.vdk_step(needs=["disable"], slow=True)
def test_enable(vdk_job: DataJobSubject) -> None:
    """An enabled deployment fires again."""
    vdk_job.enable()


@pytest.mark.vdk_step(needs=["prepare_run_test"], cleanup=True, if_set="run_test")
def test_clean_up_run_test(vdk_run_test: JobRunTest) -> None:
    """The configured run test removes what it made."""
    vdk_run_test.clean_up()


@pytest.mark.vdk_step(needs=["deploy"], cleanup=True)
def test_undeploy(vdk_job: DataJobSubject) -> None:
    """The deployment can be removed, and is seen to be gone."""
    vdk_job.undeploy()


@pytest.mark.vdk_step(needs=["create"], cleanup=True)
def test_delete(vdk_job: DataJobSubject) -> None:
    """The job can be deleted: 404 when read, gone from the list, nothing of it left."""
    vdk_job.delete()
