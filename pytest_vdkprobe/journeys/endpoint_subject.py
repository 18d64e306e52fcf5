"""An endpoint as the subject of a journey: its tasks, bounded by the running step and told in its
report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.endpoints.loop import TaskLoop
    from pytest_vdkprobe.endpoints.tally import Tally
    from pytest_vdkprobe.journeys.run import Run


class EndpointTasks:
    """What a scenario does with an endpoint: `reach()`, then `round()`."""

    def __init__(self, loop: TaskLoop, run: Run) -> None:
        self._loop = loop
        self._run = run

    @property
    def place(self) -> str:
        """The call as messages name it."""
        return self._loop.place

    def reach(self) -> str:
        """Log in, and see that something answers there. Raises LoginError, TransportError."""
        return self._loop.reach()

    def round(self) -> Tally:
        """Make the tasks of a run, and return what became of them once all have ended."""
        self._loop.start()
        tally = self._loop.finish(deadline=self._deadline())
        if self._run.step is not None:
            self._run.step.attach("tasks", tally.to_dict())
        return tally

    def _deadline(self) -> Deadline:
        if self._run.step is not None:
            return self._run.step.deadline
        return Deadline.after(self._run.settings.step_timeout_s)


@contextmanager
def open_endpoint(name: str, run: Run) -> Iterator[EndpointTasks]:
    """The endpoint called `name`, and the end of its tasks."""
    from pytest_vdkprobe.endpoints.find import SECTION, find  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.endpoints.instruments import TaskMetrics  # noqa: PLC0415 - as above
    from pytest_vdkprobe.endpoints.loop import TaskLoop  # noqa: PLC0415 - as above

    key, settings = find(run.configuration, name)
    loop = TaskLoop(
        settings,
        run_id=run.run_id,
        key=key,
        base_dir=run.configuration.base_dir,
        limit=settings.tasks,
        instruments=TaskMetrics(
            run.metrics,
            check=f"{SECTION}[{name}]",
            app_id=settings.app_id,
            sla_s=settings.sla_s,
        ),
    )
    with closing(loop):
        yield EndpointTasks(loop, run)
