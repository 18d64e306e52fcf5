"""A pipeline that others run: lent websites, accounted for, and left as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.config import load
from pytest_vdkprobe.errors import PlatformFailure, ProbeError
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.pipelines.pipeline import Pipeline
from pytest_vdkprobe.pipelines.running import open_pipeline
from pytest_vdkprobe.pipelines.websites import WORDS, Websites
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration import crooked_pipeline
from tests.integration.pipelines import LIMIT_S, PIPELINE, Bench
from tests.integration.shared_engines import SharedEngines

WAITED_FOR_S = 8.0
"""For what never comes; all the rest must have come by then, on a loaded machine, too."""
ENTRY = """
[run]
lease_folder = "leases"

[[pipelines]]
name = "live"
running = true
sites = 3
check_every_s = 0.25
checks_s = 2.0
within_s = 40.0
"""


class Live:
    """Producers and consumers that run, on a website of somebody else."""

    def __init__(self, engines: SharedEngines, folder: Path) -> None:
        self.bench = Bench(engines, folder, refresh_s="0.5", sites_per_producer="4")
        self.folder = folder
        with self.bench.config.open("a") as file:
            file.write(ENTRY)
        (folder / "pytest.ini").write_text("[pytest]\n")
        self.processes: list[subprocess.Popen[Any]] = []

    def start(self, *arguments: str, command: tuple[str, ...] = PIPELINE) -> None:
        """One more process; its log is in the folder."""
        name, *others = arguments
        with (self.folder / f"{name}-{len(self.processes)}.log").open("w") as log:
            self.processes.append(
                subprocess.Popen(
                    [*command, name, str(self.bench.config), *others], stdout=log, stderr=log
                )
            )

    def websites(self) -> list[Any]:
        return self.bench.sql(
            "select * from {s}.availability_monitor_config order by amc_id",
        )

    def rows_of_ours(self, others: int) -> int:
        ((count,),) = self.bench.sql(
            "select count(*) from {s}.availability_monitor_metrics where amm_site <> ?", (others,)
        )
        return int(count)

    def wait_for_rows(self) -> None:
        """Return when processes are at work."""
        wait_until(
            "rows",
            self.bench.rows,
            done=bool,
            deadline=Deadline.after(LIMIT_S),
            describe=lambda rows: f"{len(rows)}",
        )

    def probe(self, *options: str) -> subprocess.CompletedProcess[str]:
        """A run of the tests as a user runs them."""
        return subprocess.run(
            self.command(*options),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )

    def command(self, *options: str) -> list[str]:
        run = [sys.executable, "-m", "pytest", f"--vdk-config={self.bench.config.name}"]
        return [*run, "-v", "-p", "no:cacheprovider", "--vdk-scenarios=pipeline", *options]

    def leases(self) -> list[Any]:
        folder = self.folder / "leases"
        return [*folder.iterdir()] if folder.exists() else []

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(30)
        self.bench.close()


@contextmanager
def live(engines: SharedEngines, folder: Path) -> Iterator[tuple[Live, int]]:
    """A configured pipeline with a website of somebody else, and that one's number."""
    running = Live(engines, folder)
    try:
        running.bench.configure()
        with Websites() as websites:
            url = websites.url("well", "of-somebody-else")
            yield running, running.bench.add_site(url, WORDS, interval_s=0.5)
    finally:
        running.close()


@contextmanager
def opened(running: Live) -> Iterator[Pipeline]:
    """The pipeline as the scenario has it; nothing is left of it."""
    store = LeaseStore(running.folder / "leases", run_id="run-12345678")
    configuration = load(str(running.bench.config), environ={})
    with open_pipeline(configuration, "live", run_id="12345678", leases=store) as pipeline:
        yield pipeline
    assert store.all() == []


def test_what_runs_is_accounted_for_and_left_as_it_was(
    engines: SharedEngines, tmp_path: Path
) -> None:
    with live(engines, tmp_path) as (running, others):
        for _ in range(4):
            running.bench.add_site("http:///nowhere", None)
        before = running.websites()
        for number in ("1", "2"):
            running.start("start-producer", number)
            running.start("start-consumer")
        tried = subprocess.run(
            [*PIPELINE[:-1], "check", "--connect", str(running.bench.config)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert tried.returncode == 0, tried.stdout + tried.stderr
        assert f"lets us lend websites to {running.bench.name}" in tried.stdout
        planned = running.probe("--vdk-plan")
        assert "which runs already: 3 websites in schema" in planned.stdout, planned.stdout
        done = running.probe()
        assert done.returncode == 0, done.stdout
        for step in ("configure", "start", "flow[none]", "stop", "remove"):
            assert f"pipeline[live]::{step} PASS" in done.stdout, done.stdout
        assert "3 websites and " in done.stdout
        assert running.websites() == before
        assert running.rows_of_ours(others) == 0
        assert all(process.poll() is None for process in running.processes)
        assert running.leases() == []
        ((kept,),) = running.bench.sql("select count(*) from {s}.availability_monitor_metrics")
        assert int(kept) > 0, "somebody else's rows stay"


def test_a_fault_of_the_running_ones_is_found_at_its_hop(
    engines: SharedEngines, tmp_path: Path
) -> None:
    with live(engines, tmp_path) as (running, others):
        crooked = (sys.executable, crooked_pipeline.__file__, "row-lost")
        running.start("start-producer", "1")
        running.start("start-consumer", command=crooked)
        running.wait_for_rows()
        with opened(running) as pipeline:
            pipeline.configure()
            pipeline.start()
            pipeline.settings = msgspec.structs.replace(pipeline.settings, within_s=WAITED_FOR_S)
            with pytest.raises(PlatformFailure, match="messages are no row in PostgreSQL") as found:
                pipeline.flow("none").require()
            assert "hop row" in str(found.value)
            assert "website " in str(found.value)
        assert running.rows_of_ours(others) == 0
        assert all(process.poll() is None for process in running.processes)


def test_websites_that_nobody_checks_or_reaches_are_told(
    engines: SharedEngines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live(engines, tmp_path) as (running, _):
        running.start("start-producer", "1")
        running.start("start-consumer")
        before = running.websites()
        running.wait_for_rows()
        with opened(running) as pipeline:
            pipeline.settings = msgspec.structs.replace(
                pipeline.settings, within_s=WAITED_FOR_S, sites=5
            )
            pipeline.configure()
            with pytest.raises(
                PlatformFailure, match="of 5 websites: each was checked by no"
            ) as found:
                pipeline.start()
            assert "6 active websites want 2 producers of 4" in str(found.value)
        assert running.websites() == before
        with opened(running) as pipeline:
            pipeline.settings = msgspec.structs.replace(
                pipeline.settings, within_s=WAITED_FOR_S, sites=1
            )
            monkeypatch.setattr(
                pipeline._websites, "url", lambda _, name: f"http://127.0.0.1:1/{name}"
            )
            pipeline.configure()
            with pytest.raises(PlatformFailure, match="was checked by no running") as found:
                pipeline.start()
            assert "its message says connect: " in str(found.value)
            assert "pipelines.websites_host must be an address" in str(found.value)
        assert running.websites() == before


def test_what_can_t_be_lent_to_is_told_before_anything_is_added(
    engines: SharedEngines, tmp_path: Path
) -> None:
    with live(engines, tmp_path) as (running, _):
        before, user = running.websites(), f"u{running.bench.name}"
        running.bench.sql(f"create role {user} login")
        running.bench.sql(f"grant usage on schema {{s}} to {user}")
        running.bench.sql(f"grant select on all tables in schema {{s}} to {user}")
        cases = (
            ({"topic": '"not-there"'}, "Kafka has no topic not-there"),
            ({"schema": '"not-there"'}, "The running pipeline's tables are not there"),
            ({"user": f'"{user}"'}, "may not lend websites"),
        )
        try:
            for changes, words in cases:
                running.bench.write(**changes)
                with running.bench.config.open("a") as file:
                    file.write(ENTRY)
                with opened(running) as pipeline, pytest.raises(ProbeError, match=words) as found:
                    pipeline.configure()
            assert "grant delete on" in str(found.value)
            assert running.websites() == before
        finally:
            running.bench.sql(f"drop owned by {user}")
            running.bench.sql(f"drop role {user}")


def test_a_killed_run_is_taken_back_by_a_sweep(engines: SharedEngines, tmp_path: Path) -> None:
    with live(engines, tmp_path) as (running, others):
        before = running.websites()
        running.start("start-producer", "1")
        running.start("start-consumer")
        output = tmp_path / "out.txt"
        options = ("--vdk-set", "pipelines.live.sites=1")
        with output.open("w") as out:
            run = subprocess.Popen(
                running.command(*options),
                cwd=tmp_path,
                stdout=out,
                stderr=out,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            wait_until(
                "the website is lent",
                output.read_text,
                done=lambda text: "::start PASS" in text or run.poll() is not None,
                deadline=Deadline.after(120),
            )
            run.send_signal(signal.SIGKILL)
            run.wait(30)
        finally:
            run.kill()
        assert len(running.websites()) == len(before) + 1, output.read_text()
        assert running.rows_of_ours(others) > 0
        swept = running.probe("--vdk-sweep")
        assert swept.returncode == 0, swept.stdout
        assert "1 websites and " in swept.stdout
        assert running.websites() == before
        assert running.rows_of_ours(others) == 0
        assert running.leases() == []
        assert all(process.poll() is None for process in running.processes)
