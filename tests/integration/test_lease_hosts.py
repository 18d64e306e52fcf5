"""One lease store for several hosts, and a store that is not as it should be.

A process id of another host says nothing here, so a run over there is alive until its leases
expire. The other host is a run whose name of this machine is another one: that is all by which
leases tell two places apart.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.children import OBEYS_PERMISSIONS, run_pytest
from tests.integration.heartbeats import IMPATIENT, configuration, leftovers, sandbox
from tests.integration.planted_causes import up_to
from tests.integration.running import Running
from tests.integration.test_kills import GRACE_S, create_job, step_id, sweep, where

TTL_S = 3.0
RUN = f"step_timeout_s = 200\ncleanup_timeout_s = 30\ngrace_s = {GRACE_S}\nlease_ttl_s = {TTL_S}"
ELSEWHERE = """
import pytest_vdkprobe.processes
import pytest_vdkprobe.leases
pytest_vdkprobe.processes.host_name = lambda: "elsewhere"
pytest_vdkprobe.leases.host_name = lambda: "elsewhere"
"""


def started_elsewhere(platform: Sandbox, folder: Path) -> Running:
    """A run on another host, with the store of `folder`, that hangs while its job exists."""
    there = folder / "elsewhere"
    there.mkdir()
    (there / "conftest.py").write_text(ELSEWHERE)
    path = configuration(platform, folder, run=RUN).rename(there / "platform.toml")
    platform.plant("hang", times=1, path="/keytab$")
    running = Running(path, step_id("keytab"))
    try:
        running.until_hit(platform, "hang")
    except BaseException:
        running.__exit__(None, None, None)
        raise
    return running


def test_run_on_another_host_is_left_alone_until_its_leases_expire(tmp_path: Path) -> None:
    with sandbox() as platform, started_elsewhere(platform, tmp_path) as running:
        path = configuration(platform, tmp_path, run=RUN)
        (lease,) = (tmp_path / "leases").glob("*.json")
        assert json.loads(lease.read_text())["host"] == "elsewhere"
        theirs = leftovers(platform, tmp_path)
        assert len(theirs) == 2
        # It lives, and renews its lease: longer than the lease would last without that.
        ends = time.monotonic() + TTL_S + 0.5
        while time.monotonic() < ends:
            assert "Nothing is left behind" in sweep(path)[1]
            assert leftovers(platform, tmp_path) == theirs
        running.signal_all(signal.SIGKILL)
        running.end()
        # Nobody here can know that it died: its lease must expire first, and a sweep takes time.
        expires_at = lease.stat().st_mtime
        os.utime(lease, (expires_at, expires_at + 300))
        assert "Nothing is left behind" in sweep(path)[1]
        assert leftovers(platform, tmp_path) == theirs
        os.utime(lease, (expires_at, expires_at))
        wait_until(
            "the lease to expire",
            lambda: lease.stat().st_mtime < time.time(),
            done=bool,
            deadline=Deadline.after(TTL_S + 2),
        )
        code, output = sweep(path)
        assert code == 0, output
        assert f"job {theirs[0]} deleted" in output
        assert leftovers(platform, tmp_path) == []


def as_of(lease: Path, *, place: str, expires_in_s: float) -> None:
    """Make a lease another host's, with that much time left."""
    note = json.loads(lease.read_text())
    at = time.time() + expires_in_s
    note |= {"place": place, "host": "elsewhere", "expires_at": "2020-01-01T00:00:00Z"}
    lease.write_text(json.dumps(note))
    os.utime(lease, (at, at))


def test_next_run_sweeps_the_expired_and_only_them(tmp_path: Path) -> None:
    with sandbox() as platform:
        store = LeaseStore(tmp_path / "leases", run_id="fromelsewhere")
        for name, expires_in_s in (("job-live", 60), ("job-expired", -60)):
            lease = store.take("job", name, where=where(platform))
            create_job(platform, name, f"Heartbeat {lease.mark}")
            as_of(lease.path, place="0123456789ab", expires_in_s=expires_in_s)
        ended = run_pytest(configuration(platform, tmp_path), *up_to("reach"))
        assert ended.exit_code == 0, ended.output
        assert ended.steps["reach"]["evidence"][1:] == [
            "of an earlier run: job job-expired deleted"
        ]
        left = leftovers(platform, tmp_path)
        assert left[0] == "job-live"
        assert len(left) == 2


def test_two_sweeps_at_once_remove_each_job_once(tmp_path: Path) -> None:
    with sandbox() as platform:
        store = LeaseStore(tmp_path / "leases", run_id="fromelsewhere")
        for number in range(8):
            lease = store.take("job", f"left-job-{number}", where=where(platform))
            create_job(platform, lease.name, f"Heartbeat {lease.mark}")
            as_of(lease.path, place="0123456789ab", expires_in_s=-60)
        path = configuration(platform, tmp_path)
        other = tmp_path / "other"
        other.mkdir()
        second = other / "platform.toml"
        second.write_text(path.read_text())
        with Running(path, "--vdk-sweep") as one, Running(second, "--vdk-sweep") as two:
            assert (one.end(), two.end()) == (0, 0), one.output + two.output
            said = one.output + two.output
        for number in range(8):
            assert said.count(f"job left-job-{number} deleted") == 1, said
        assert leftovers(platform, tmp_path) == []


def test_lease_that_was_emptied_stops_a_run_before_it_creates_anything(tmp_path: Path) -> None:
    with sandbox() as platform:
        store = LeaseStore(tmp_path / "leases", run_id="fromelsewhere")
        lease = store.take("job", "job-of-it", where=where(platform))
        lease.path.write_bytes(b"")
        ended = run_pytest(configuration(platform, tmp_path), *up_to("create"))
        assert ended.first_bad == ("reach", "error"), ended.output
        assert lease.path.name in ended.output
        assert leftovers(platform, tmp_path) == [lease.path.name]


def test_foreign_files_in_the_store_are_no_obstacle_and_are_not_touched(tmp_path: Path) -> None:
    foreign = {"README": b"ours", "notes.json": b"{}", ".hidden": b"", "run.0123.json": b"[]"}
    leases = tmp_path / "leases"
    (leases / "folder").mkdir(parents=True)
    for name, content in foreign.items():
        (leases / name).write_bytes(content)
    os.mkfifo(leases / "pipe")
    with sandbox() as platform:
        path = configuration(platform, tmp_path)
        ended = run_pytest(path, *up_to("create"))
        assert ended.exit_code == 0, ended.output
        assert sweep(path)[0] == 0
    assert {path.name for path in leases.iterdir()} == {*foreign, "folder", "pipe"}
    assert {name: (leases / name).read_bytes() for name in foreign} == foreign


def test_store_that_becomes_read_only_is_told_beside_what_was_left(tmp_path: Path) -> None:
    """After the create its lease can't be released: the job goes, the note stays, and is told."""
    leases = tmp_path / "leases"
    (tmp_path / "conftest.py").write_text(
        "from pathlib import Path\n"
        "def pytest_vdkprobe_step_finished(step):\n"
        f"    if step['step'] == 'create': Path({str(leases)!r}).chmod(0o500)\n"
    )
    with sandbox() as platform:
        path = configuration(platform, tmp_path)
        ended = run_pytest(path, *up_to("delete"), before=OBEYS_PERMISSIONS)
        leases.chmod(0o700)
        assert ended.first_bad == ("delete", "error"), ended.output
        assert ended.exit_code == 6
        assert "Permission denied" in ended.output
        assert [name for name in leftovers(platform, tmp_path) if ".json" not in name] == []
        assert sweep(path)[0] == 0
        assert leftovers(platform, tmp_path) == []


def test_read_only_store_stops_a_sweep_that_has_something_to_do(tmp_path: Path) -> None:
    with sandbox() as platform:
        store = LeaseStore(tmp_path / "leases", run_id="fromelsewhere")
        lease = store.take("job", "job-of-it", where=where(platform))
        create_job(platform, "job-of-it", f"Heartbeat {lease.mark}")
        as_of(lease.path, place="0123456789ab", expires_in_s=-60)
        path = configuration(platform, tmp_path)
        store.folder.chmod(0o500)
        ended = run_pytest(path, "--vdk-sweep", before=OBEYS_PERMISSIONS)
        store.folder.chmod(0o700)
        assert ended.exit_code == 6, ended.output
        assert "can't be claimed" in ended.output
        assert leftovers(platform, tmp_path) == ["job-of-it", lease.path.name]


def test_leftovers_on_a_platform_that_is_not_reached_are_an_error(tmp_path: Path) -> None:
    with sandbox() as platform:
        store = LeaseStore(tmp_path / "leases", run_id="fromelsewhere")
        lease = store.take("job", "job-of-it", where=where(platform))
        as_of(lease.path, place="0123456789ab", expires_in_s=-60)
        path = configuration(platform, tmp_path, run=IMPATIENT)
    ended = run_pytest(path, "--vdk-sweep")
    assert ended.exit_code == 6, ended.output
    assert "could not be removed" in ended.output
    assert "the connection was refused" in ended.output


@pytest.mark.parametrize("options", [up_to("create"), ("--vdk-sweep",)], ids=["run", "sweep"])
def test_store_that_cannot_be_read_is_an_error(options: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "leases").write_text("a file in its place")
    with sandbox() as platform:
        ended = run_pytest(configuration(platform, tmp_path), *options)
        assert ended.exit_code == 6, ended.output
        assert str(tmp_path / "leases") in ended.output
