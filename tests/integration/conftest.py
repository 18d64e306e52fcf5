"""What integration tests share: one set of real engines per session, on all of xdist's workers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox.engines.messages import Run
from pytest_vdkprobe.sandbox.engines.sharing import begin, end
from tests.integration.shared_engines import SharedEngines


@pytest.fixture(scope="session")
def engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedEngines]:
    """The session's PostgreSQL, Kafka and Trino, each started when a test first reads its address.

    They belong to the process that called pytest: a worker that ends leaves them to the others.
    """
    worker = getattr(request.config, "workerinput", None)
    if worker is None:
        run = begin()
        yield SharedEngines(run, "main")
        end(run)
        return
    # The base folder of each worker lies in the session's.
    folder = tmp_path_factory.getbasetemp().parent / "engines"
    run = Run(folder=str(folder), owner=Process.of(os.getppid()))
    yield SharedEngines(run, worker["workerid"])
