"""Journeys under pytest-xdist: each stays on one worker, in order; several run side by side.

A journey's steps share one data job, so that two workers must never have parts of one. Every
`--dist` but `each` asks for parallel tests, and gets parallel journeys.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdkprobe.journeys.run import RUN_KEY

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling  # type: ignore[import-untyped]  # xdist has no types

WORKER_INPUT = "vdkprobe"
"""Under this name the controller's workers find what all of them share."""


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of xdist's workers."""
    return hasattr(config, "workerinput")


def is_distributed(config: pytest.Config) -> bool:
    """Whether this process is xdist's controller, which runs no test itself."""
    return config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))


def from_controller(config: pytest.Config) -> dict[str, Any]:
    """What the controller has told this worker."""
    told: dict[str, Any] = json.loads(config.workerinput[WORKER_INPUT])  # type: ignore[attr-defined]
    return told


def refuse_each(config: pytest.Config) -> None:
    """`--dist=each` would run every journey once per worker, on the same data job."""
    if is_distributed(config) and config.getoption("dist") == "each":
        raise pytest.UsageError(
            "--dist=each runs every test on every worker, and so each journey several times at "
            "once on the same data job.\n  To try:    --dist=load, or plain -n"
        )


class WorkersShare:
    """The controller's side; registered only where xdist is."""

    def __init__(self, tables: dict[str, Any] | None, *, known: str | None = None) -> None:
        self.tables = tables
        self.known = known
        """What is known of the past, where the history is kept, as JSON."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker the run's id, its remaining time and a configuration made on the fly."""
        run = node.config.stash[RUN_KEY]
        node.workerinput[WORKER_INPUT] = json.dumps(
            {
                "run_id": run.run_id,
                "started_at": run.started_at.isoformat(),
                "remaining_s": run.deadline.remaining_s(),
                "tables": self.tables,
                "known": self.known,
            }
        )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Scheduling:
        """One unit of work for each journey, and for each ordinary module.

        Routes that come out in one place are one unit: their journeys run one after another.
        """
        from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only xdist calls this

        from pytest_vdkprobe.routes.places import places  # noqa: PLC0415 - as above

        known = places(config.stash[RUN_KEY].configuration)

        class JourneyScheduling(LoadScopeScheduling):  # type: ignore[misc]  # no types in xdist
            def _split_scope(self, nodeid: str) -> str:
                journey = nodeid.partition("::")[0]
                subject = journey.partition("[")[2].removesuffix("]")
                return known.get(subject, journey)

        return JourneyScheduling(config, log)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """A worker that died tells nothing about the platform: an error, in the journey's table."""
        journey, _, step = crashitem.partition("::")
        if not journey.endswith("]"):
            return
        report.vdkprobe = {  # type: ignore[attr-defined]  # reports carry extra attributes
            "journey": journey,
            "step": step,
            "number": 0,
            "phase": "call",
            "verdict": "error",
            "what": str(report.longrepr),
            "lines": [["To try", "run it without -n to see what ends the process"]],
            "ours": True,
        }
