"""The Control Service put together: its parts, wired, and closed in the right order."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from pytest_vdkprobe.sandbox import graphql
from pytest_vdkprobe.sandbox.app import Operations
from pytest_vdkprobe.sandbox.auth import Tokens
from pytest_vdkprobe.sandbox.calls import application
from pytest_vdkprobe.sandbox.deployments import Deployments
from pytest_vdkprobe.sandbox.event_pipeline import EventPipeline
from pytest_vdkprobe.sandbox.executions import Executions, JobAddress
from pytest_vdkprobe.sandbox.executor import Executor
from pytest_vdkprobe.sandbox.faults import Faults
from pytest_vdkprobe.sandbox.ingestion.ingestion import Ingestion
from pytest_vdkprobe.sandbox.local_service import LocalService
from pytest_vdkprobe.sandbox.pages import Pages
from pytest_vdkprobe.sandbox.schedule import MINUTE_S, Clock, Scheduler
from pytest_vdkprobe.sandbox.settings import Settings
from pytest_vdkprobe.sandbox.sources import Repository
from pytest_vdkprobe.sandbox.state import State

if TYPE_CHECKING:
    from pytest_vdkprobe.sandbox.engines.messages import Run

JOBS_TOKEN_TTL_S = 12 * 3600.0
"""As long as the real cluster lets a job run."""


class Service:
    """One Control Service: `app` answers, threads of its own build, run and schedule."""

    def __init__(
        self,
        settings: Settings,
        *,
        faults: Faults,
        tokens: Tokens,
        executor: Executor,
        folder: Path,
        bugs: list[str],
        engines: Run | None = None,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._executor = executor
        self._address = JobAddress("", None, None)
        state, sources = State(), Repository(folder / "versions")
        self._deployments = Deployments(state, settings, faults, sources=sources, executor=executor)
        self._executions = Executions(
            state,
            settings,
            faults,
            deployments=self._deployments,
            executor=executor,
            address=self._job_address,
        )
        operations = Operations(
            settings,
            state,
            faults=faults,
            sources=sources,
            deployments=self._deployments,
            executions=self._executions,
            folder=folder,
        )
        api = operations.table()
        pages = Pages(state, faults=faults, tokens=tokens, api=api)
        self._ingestion = Ingestion(
            settings,
            faults=faults,
            tokens=tokens if settings.ingest_auth else None,
            run=engines,
        )
        local = LocalService()
        events = EventPipeline(faults=faults, tokens=tokens if settings.events_auth else None)
        self.app: ASGIApp = application(
            api | pages.table() | self._ingestion.table() | local.table() | events.table(),
            faults=faults,
            tokens=tokens if settings.auth else None,
            bugs=bugs,
            sockets=events.sockets(),
        )
        self._scheduler = Scheduler(Clock(settings.tick_s), self._executions.tick)

    def start(self, url: str, ca_file: Path | None) -> None:
        """Begin to schedule; jobs will find the service at `url`."""
        self._address = JobAddress(url, None, ca_file)
        graphql.load()
        self._scheduler.start()
        self._ingestion.start()

    def fire(self, at: datetime) -> None:
        """Start the jobs that are due in the minute of `at`."""
        self._executions.tick(int(at.timestamp() // MINUTE_S))

    def close(self) -> None:
        """Schedule, build and run no more."""
        self._scheduler.close()
        self._deployments.close()
        self._executions.close()
        self._executor.close()
        self._ingestion.close()

    def _job_address(self) -> JobAddress:
        """Where a job finds us; with a token of its own that outlives any run, if one is needed."""
        token = None
        if self._settings.auth:
            token = self._tokens.issue("data-job", ttl_s=JOBS_TOKEN_TTL_S)
        return JobAddress(self._address.url, token, self._address.ca_file)
