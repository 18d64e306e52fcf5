"""An endpoint as the subject of a journey: its tasks, bounded by the running step and told in its
report.

In a run they are made for their journey. In a watch they go on from round to round, and a round
judges those that have ended since the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

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
        """Log in, and see that something answers there. Raises LoginError, TransportError.

        Once tasks are made, these tell whether it is still there.
        """
        if self._loop.started:
            return "was reached in an earlier round"
        return self._loop.reach()

    def round(self) -> Tally:
        """The tasks of a run, once all have ended; in a watch, those that have since last time."""
        self._loop.start()
        if self._loop.limit is None:
            self._loop.await_first(deadline=self._run.step_deadline())
            tally = self._loop.take()
        else:
            tally = self._loop.finish(deadline=self._run.step_deadline())
        if self._run.step is not None:
            self._run.step.attach("tasks", tally.to_dict())
        return tally


@contextmanager
def open_endpoint(name: str, run: Run) -> Iterator[EndpointTasks]:
    """The endpoint called `name`; in a run, its tasks end with the journey."""
    if run.lasting is None:
        with closing(_made(name, run)) as loop:
            yield EndpointTasks(loop, run)
        return
    key = f"endpoints/{name}"
    if key not in run.lasting:
        run.lasting[key] = _made(name, run)
    yield EndpointTasks(run.lasting[key], run)


def _made(name: str, run: Run) -> TaskLoop:
    from pytest_vdkprobe.endpoints.find import SECTION, find  # noqa: PLC0415 - inert unless used
    from pytest_vdkprobe.endpoints.instruments import TaskMetrics  # noqa: PLC0415 - as above
    from pytest_vdkprobe.endpoints.loop import TaskLoop  # noqa: PLC0415 - as above

    key, settings = find(run.configuration, name)
    return TaskLoop(
        settings,
        run_id=run.run_id,
        key=key,
        base_dir=run.configuration.base_dir,
        limit=settings.tasks if run.lasting is None else None,
        say=run.say,
        instruments=TaskMetrics(
            run.metrics,
            check=f"{SECTION}[{name}]",
            app_id=settings.app_id,
            sla_s=settings.sla_s,
        ),
    )
