"""The run test of a job's entry, for the steps that play it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.journeys.data_job import DataJobSubject
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.legacy.run_test import RunTest


class JobRunTest:
    """`prepare`, `verify` and `clean_up`, bounded by the running step and told in its evidence."""

    def __init__(self, test: RunTest, run: Run) -> None:
        self._test = test
        self._run = run

    def prepare(self) -> None:
        """Construct the class with the configuration and call its `setup`."""
        self._play("setup")

    def verify(self) -> None:
        """Call its `execute_test`: returning is a pass, raising a failure."""
        self._play("execute_test")

    def clean_up(self) -> None:
        """Call its `clean_up`."""
        self._play("clean_up")

    def _play(self, method: str) -> None:
        step = self._run.step
        if step is None:
            raise RuntimeError("a run test is played by steps")
        step.evidence(getattr(self._test, method)(deadline=step.deadline))


@contextmanager
def open_run_test(job: DataJobSubject, run: Run) -> Iterator[JobRunTest]:
    """The run test that the job's entry names."""
    from pytest_vdkprobe.legacy.config_object import HeartbeatConfig  # noqa: PLC0415 - if wanted
    from pytest_vdkprobe.legacy.run_test import RunTest, load  # noqa: PLC0415 - if wanted

    settings = job.settings.run_test
    configuration = run.configuration
    if settings is None:
        raise ConfigError(
            f"The job {job.settings.name} names no run test.",
            file=configuration.name,
            key="jobs.run_test",
            to_try='write run_test = { module = "...", class_name = "..." }',
        )
    kind = load(
        settings, base_dir=configuration.base_dir, file=configuration.name, key="jobs.run_test"
    )
    config = HeartbeatConfig(configuration, job.settings, run_id=run.run_id, job_name=job.own.name)
    test = RunTest(kind, config, job.client)
    try:
        yield JobRunTest(test, run)
    finally:
        test.close(deadline=Deadline.after(run.cleanup_timeout_s, "time for the cleanup"))
