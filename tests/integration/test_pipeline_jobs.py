"""The pipeline as data jobs: those of ci/deploy, run by the real vdk on real servers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.pipelines.websites import Websites
from pytest_vdkprobe.sandbox.executor import Outcome
from pytest_vdkprobe.sandbox.vdk_executor import VdkExecutor
from tests.integration.pipelines import Bench
from tests.integration.shared_engines import SharedEngines
from tests.integration.test_vdk_executor import Properties, outcome_of, run_of, service

__all__ = ["service"]

JOBS = Path(__file__).parents[2] / "ci" / "deploy" / "pipeline" / "jobs"
NEEDED = (
    *("pytest_vdkprobe", "msgspec", "aiohttp", "aiohappyeyeballs", "aiosignal", "attr", "attrs"),
    *("frozenlist", "multidict", "propcache", "yarl"),
)
"""What the jobs import and vdk's own environment lacks."""
SITES = 7


@pytest.fixture
def bench(engines: SharedEngines, tmp_path: Path) -> Iterator[Bench]:
    """A configured pipeline of three shards."""
    made = Bench(engines, tmp_path, sites_per_producer="3")
    made.configure()
    yield made
    made.close()


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VdkExecutor]:
    """The real vdk, with the probe's packages as they are now instead of as pip has them."""
    folder = tmp_path_factory.mktemp("packages")
    for name in NEEDED:
        spec = find_spec(name)
        assert spec is not None
        (folder / name).symlink_to(Path(str(spec.origin)).parent)
    made = VdkExecutor(settings={"PYTHONPATH": str(folder)})
    yield made
    made.close()


class Jobs:
    """Both jobs with the test's configuration."""

    def __init__(self, bench: Bench, executor: VdkExecutor, url: str) -> None:
        self.bench = bench
        self._executor = executor
        self._url = url

    def run(self, name: str, **arguments: Any) -> tuple[Outcome, str]:
        """How an execution ends, and what it logs."""
        sources = self.bench.folder / name
        if not sources.exists():
            shutil.copytree(JOBS / name, sources)
            (sources / "requirements.txt").unlink()
            shutil.copy(self.bench.config, sources / "pipeline.toml")
        running = self._executor.start(run_of(sources, self._url, **arguments))
        return outcome_of(running), running.log()

    def done(self, name: str, **arguments: Any) -> None:
        """Run it, and see that it succeeded."""
        outcome, log = self.run(name, **arguments)
        assert outcome.status == "succeeded", log

    def checked(self) -> list[int]:
        """Write what is in Kafka; the website of each row."""
        self.done("website-rows")
        return [row[0] for row in self.bench.rows()]


def test_jobs_check_every_website_once_however_many_share_the_shards(
    bench: Bench, executor: VdkExecutor, service: tuple[str, type[Properties]]
) -> None:
    url, handler = service
    handler.stored.clear()
    jobs = Jobs(bench, executor, url)
    with Websites() as websites:
        numbers = [bench.add_site(websites.url("well", str(n)), "well") for n in range(SITES)]
        # As scheduled: no argument, no property.
        jobs.done("website-checks")
        assert jobs.checked() == numbers
        # Two jobs, told by property and by argument, for three shards.
        handler.stored.update(producers="2", producer="1", PIPELINE_PASSWORD="not asked for")
        jobs.done("website-checks")
        some = jobs.checked()
        assert sorted(some) == sorted(numbers + numbers[:3] + numbers[6:])
        jobs.done("website-checks", producer=2)
        assert sorted(jobs.checked()) == sorted(numbers * 2)
        outcome, log = jobs.run("website-checks", producer=3)
    assert outcome.status == "user_error"
    assert "A job's number is from 1 to the number of jobs" in log
    assert "3 of 2" in log
