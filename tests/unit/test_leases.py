"""A lease is on the disk before its object is, and is swept only when its holder is dead."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.errors import LeaseError
from pytest_vdkprobe.leases import (
    Lease,
    LeaseState,
    LeaseStore,
    clean_url,
    default_folder,
    marked_leases,
)
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.renewing import Renewer
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.children import OBEYS_PERMISSIONS

WHERE = {"url": "https://control.example.org", "team": "platform"}
DEAD = Process(Process.current().place, 2**22 + 7, 12345)
"""Above Linux's largest process id: it can't run."""
CHECK = """
import sys, pathlib
from pytest_vdkprobe.leases import LeaseStore
LeaseStore(pathlib.Path(sys.argv[1]), run_id="7f3a90c2").check()
"""


@pytest.fixture
def store(tmp_path: Path) -> LeaseStore:
    return LeaseStore(tmp_path / "leases", run_id="7f3a90c2")


def in_another_process(store: LeaseStore, lines: str, *, run_id: str = "7f3a90c2") -> str:
    """What a child prints that has `store` and runs `lines`; it is dead afterwards."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pytest_vdkprobe.leases import LeaseStore\n"
        f"store = LeaseStore(Path({str(store.folder)!r}), run_id={run_id!r})\n"
        f"where = {WHERE!r}\n" + lines
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def rewrite(lease: Lease, *, expiry: float | None = None, **fields: Any) -> None:
    """Change what a lease's file says, as another machine would have written it."""
    note = json.loads(lease.path.read_text())
    lease.path.write_text(json.dumps(note | fields))
    if expiry is not None:
        expires_at = datetime.fromtimestamp(expiry, UTC).isoformat()
        lease.path.write_text(json.dumps(note | fields | {"expires_at": expires_at}))
        os.utime(lease.path, (expiry, expiry))


def dead_lease(store: LeaseStore, name: str = "hello-platform", **fields: Any) -> Lease:
    lease = store.take("job", name, where=WHERE)
    rewrite(lease, pid=DEAD.pid, pid_started=DEAD.started, **fields)
    return next(found for found in store.all() if found.id == lease.id)


def test_a_taken_lease_is_read_back_whole(store: LeaseStore) -> None:
    taken = store.take("job", "hello-platform", where=WHERE)
    (found,) = LeaseStore(store.folder, run_id="anotherrun").all()
    assert (found.id, found.kind, found.name) == (taken.id, "job", "hello-platform")
    assert found.where == WHERE
    assert found.run_id == "7f3a90c2"
    assert found.holder == Process.current()
    assert found.created_at.tzinfo is not None
    assert found.expires_at > found.created_at
    assert found.state is LeaseState.ALIVE


def test_what_is_known_of_the_object_later_is_added_for_the_next_run(store: LeaseStore) -> None:
    lease = store.take("topic", "events", where=WHERE)
    lease.add(topic_id="863fe054")
    (read,) = LeaseStore(store.folder, run_id="another").all()
    assert read.where == lease.where == {**WHERE, "topic_id": "863fe054"}
    assert (read.id, read.created_at, read.expires_at) == (
        lease.id,
        lease.created_at,
        lease.expires_at,
    )
    lease.release()
    assert store.all() == []


def test_the_file_says_all_that_a_person_needs(store: LeaseStore) -> None:
    note = json.loads(store.take("job", "hello-platform", where=WHERE).path.read_text())
    assert {"id", "kind", "name", "where", "run_id", "pid", "host", "boot_id"} <= note.keys()
    assert datetime.fromisoformat(note["created_at"]).utcoffset() is not None
    assert datetime.fromisoformat(note["expires_at"]).utcoffset() is not None


def test_the_lease_is_on_the_disk_before_take_returns(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    sync, rename = os.fsync, Path.rename

    def recorded_sync(handle: int) -> None:
        kind = "folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file"
        calls.append(f"sync {kind}")
        sync(handle)

    def recorded_rename(path: Path, target: Path) -> Path:
        calls.append("rename")
        return rename(path, target)

    store.take("job", "the-first", where=WHERE)
    monkeypatch.setattr(os, "fsync", recorded_sync)
    monkeypatch.setattr(Path, "rename", recorded_rename)
    store.take("job", "hello-platform", where=WHERE)
    assert calls == ["sync file", "rename", "sync folder"]


def test_ids_are_unique_and_long_enough(store: LeaseStore) -> None:
    ids = {store.take("job", "hello-platform", where=WHERE).id for _ in range(50)}
    assert len(ids) == 50
    assert all(len(lease_id) >= 12 and int(lease_id, 16) >= 0 for lease_id in ids)


def test_only_the_owner_can_read_the_store(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    assert lease.path.stat().st_mode & 0o077 == 0
    assert store.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://control.example.org:8443/base", "https://control.example.org:8443/base"),
        ("https://control.example.org/a@b", "https://control.example.org/a@b"),
        ("https://[::1]:8443/?mail=a@b#c", "https://[::1]:8443/"),
        ("https://user:word@control.example.org?token=abc", "https://control.example.org"),
        ("https://word@control.example.org", "https://control.example.org"),
        ("https://user:w/o@r?d#@control.example.org/base", "https://control.example.org/base"),
        ("platform", "platform"),
    ],
)
def test_a_lease_holds_no_user_info(store: LeaseStore, url: str, clean: str) -> None:
    lease = store.take("job", "hello-platform", where={"url": url})
    assert lease.where == {"url": clean}
    assert clean_url(clean) == clean


def test_release_removes_the_file_and_may_be_called_again(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    lease.release()
    lease.release()
    assert store.all() == []
    assert list(store.folder.iterdir()) == []


def test_a_store_that_does_not_exist_has_no_leases(store: LeaseStore) -> None:
    assert store.all() == store.stale() == store.mine() == []
    assert not store.folder.exists()


def test_the_mark_in_a_description_names_its_lease(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    assert lease.mark == f"[vdkprobe lease {lease.id}]"
    assert marked_leases(f"Heartbeat {lease.mark}") == [lease.id]
    assert marked_leases("vdkprobe lease nothing") == []


def test_a_lease_of_a_killed_process_is_stale(store: LeaseStore) -> None:
    in_another_process(
        store,
        "store.take('job', 'hello-platform', where=where)\nos.kill(os.getpid(), signal.SIGKILL)",
    )
    (lease,) = store.stale()
    assert lease.name == "hello-platform"


def test_a_zombie_is_dead(store: LeaseStore) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    started = Process.current().started
    lease = store.take("job", "hello-platform", where=WHERE)
    state = Path(f"/proc/{child.pid}/stat")
    wait_until(
        "the child becomes a zombie",
        lambda: state.read_text().rpartition(")")[2],
        done=lambda rest: rest.split()[0] == "Z",
        deadline=Deadline.after(20),
    )
    start_of_child = int(state.read_text().rpartition(")")[2].split()[19])
    assert start_of_child >= started
    rewrite(lease, pid=child.pid, pid_started=start_of_child)
    assert [found.state for found in store.all()] == [LeaseState.STALE]
    child.wait()


def test_a_lease_of_a_running_process_is_alive(store: LeaseStore) -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    lease = store.take("job", "hello-platform", where=WHERE)
    rewrite(lease, pid=child.pid, pid_started=int(fields[19]), expiry=1.0)
    assert [found.state for found in store.all()] == [LeaseState.ALIVE]
    child.communicate()
    assert [found.state for found in store.all()] == [LeaseState.STALE]


def test_a_process_id_used_again_is_another_process(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    rewrite(lease, pid_started=lease.holder.started - 1)
    assert [found.name for found in store.stale()] == ["hello-platform"]


@pytest.mark.parametrize(
    ("expires_in_s", "state"), [(60.0, LeaseState.ALIVE), (-60.0, LeaseState.STALE)]
)
def test_on_another_host_the_expiry_decides(
    store: LeaseStore, expires_in_s: float, state: LeaseState
) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    # The pid is that of a living process here, which says nothing about the other host.
    rewrite(lease, place="0123456789ab", host="elsewhere", expiry=time.time() + expires_in_s)
    assert [found.state for found in store.all()] == [state]


def test_where_the_system_hides_start_times_the_expiry_decides(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    rewrite(lease, pid=DEAD.pid, pid_started=0, expiry=time.time() + 60)
    assert [found.state for found in store.all()] == [LeaseState.ALIVE]


def test_renewing_pushes_the_expiry_ahead(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    rewrite(lease, place="0123456789ab", expiry=time.time() - 60)
    assert len(store.stale()) == 1
    assert store.renew() == []
    assert store.stale() == []


def test_renewing_does_not_bring_back_what_was_removed(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    lease.path.unlink()
    assert store.renew() == [lease]
    assert store.renew() == []
    assert store.all() == []


def test_a_renewer_keeps_leases_alive_from_its_thread(tmp_path: Path) -> None:
    store = LeaseStore(tmp_path, run_id="7f3a90c2", ttl_s=0.2)
    lease = store.take("job", "hello-platform", where=WHERE)
    first = lease.expires_at
    with Renewer(store) as renewer:
        assert all(thread.daemon for thread in threading.enumerate() if "leases" in thread.name)
        wait_until(
            "a renewal",
            lambda: lease.expires_at,
            done=lambda expires_at: expires_at > first,
            deadline=Deadline.after(20),
        )
    renewer.close()
    assert not [thread for thread in threading.enumerate() if "leases" in thread.name]


def test_a_renewer_outlives_a_store_in_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LeaseStore(tmp_path, run_id="7f3a90c2", ttl_s=0.02)
    troubled = threading.Event()

    def renew() -> list[Lease]:
        if not troubled.is_set():
            troubled.set()
            raise LeaseError("The leases can't be renewed: read-only.")
        return []

    monkeypatch.setattr(store, "renew", renew)
    with Renewer(store) as renewer:
        assert troubled.wait(20)
        wait_until(
            "it recovers",
            lambda: renewer.error,
            done=lambda error: error is None,
            deadline=Deadline.after(20),
        )


def test_mine_are_those_of_this_process_only(store: LeaseStore) -> None:
    mine = store.take("job", "hello-platform", where=WHERE)
    dead_lease(store, "of-a-dead-worker")
    assert [lease.id for lease in store.mine()] == [mine.id]


def test_of_run_lists_what_any_process_of_the_run_took(store: LeaseStore) -> None:
    store.take("job", "of-the-controller", where=WHERE)
    in_another_process(store, "store.take('job', 'of-a-worker', where=where)")
    in_another_process(
        store, "store.take('job', 'of-another-run', where=where)", run_id="7f3a90c2.b"
    )
    names = [lease.name for lease in store.of_run("7f3a90c2")]
    assert names == ["of-the-controller", "of-a-worker"]


def test_a_run_id_may_hold_what_a_file_name_may_not(tmp_path: Path) -> None:
    store = LeaseStore(tmp_path, run_id="build/12 .a")
    store.take("job", "hello-platform", where=WHERE)
    assert [lease.run_id for lease in store.mine()] == ["build/12 .a"]


def test_of_two_sweepers_one_gets_the_lease(store: LeaseStore) -> None:
    dead_lease(store)
    seen_by_both = store.stale()
    other = (
        f"print([lease.claim() for lease in store.stale() if lease.id == {seen_by_both[0].id!r}])"
    )
    assert in_another_process(store, f"{other}\nsys.stdin.read()") == "[True]"
    # That sweeper is dead by now; but what we saw was the lease as it was before its claim.
    assert seen_by_both[0].claim() is False


def test_a_lease_claimed_by_a_living_sweeper_is_not_stale(store: LeaseStore) -> None:
    lease = dead_lease(store)
    assert lease.claim() is True
    assert in_another_process(store, "print(len(store.all()), len(store.stale()))") == "1 0"
    lease.release()
    assert store.all() == []


def test_what_a_dead_sweeper_claimed_is_claimed_again(store: LeaseStore) -> None:
    dead_lease(store)
    in_another_process(
        store, "assert store.stale()[0].claim()\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    (lease,) = store.stale()
    assert lease.claim() is True
    assert [found.state for found in store.all()] == [LeaseState.ALIVE]


def test_many_sweepers_at_once_get_each_lease_once(store: LeaseStore) -> None:
    for number in range(40):
        dead_lease(store, f"job-{number}")
    code = (
        "import sys\nfrom pathlib import Path\nfrom pytest_vdkprobe.leases import LeaseStore\n"
        f"store = LeaseStore(Path({str(store.folder)!r}), run_id='sweeper1')\n"
        "print(flush=True); sys.stdin.readline()\n"
        "print(' '.join(lease.id for lease in store.stale() if lease.claim()), flush=True)\n"
        "sys.stdin.readline()\n"
    )
    sweepers = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for sweeper in sweepers:
        assert sweeper.stdout is not None
        sweeper.stdout.readline()
    for sweeper in sweepers:
        assert sweeper.stdin is not None
        sweeper.stdin.write("go\n")
        sweeper.stdin.flush()
    claimed: list[str] = []
    for sweeper in sweepers:
        assert sweeper.stdout is not None
        claimed += sweeper.stdout.readline().split()
    for sweeper in sweepers:
        sweeper.communicate()
    assert len(claimed) == len(set(claimed)) == 40


def test_a_living_run_keeps_its_lease(store: LeaseStore) -> None:
    store.take("job", "hello-platform", where=WHERE)
    assert in_another_process(store, "print([lease.claim() for lease in store.all()])") == "[False]"


def test_a_holder_elsewhere_that_came_back_keeps_its_lease(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    rewrite(lease, place="0123456789ab", expiry=time.time() - 60)
    (found,) = store.stale()
    os.utime(found.path, (time.time() + 60, time.time() + 60))
    assert found.claim() is False


def test_our_own_lease_needs_no_claiming(store: LeaseStore) -> None:
    lease = store.take("job", "hello-platform", where=WHERE)
    assert lease.claim() is True
    lease.release()
    assert lease.claim() is False


@pytest.mark.parametrize(
    "content",
    [b"", b'{"id": "012', b"\xff\xfe\x00", b"[]", b"{}", b"x" * 100_000, b"[" * 5_000],
    ids=["empty", "cut", "binary", "list", "no fields", "large", "deep"],
)
def test_a_file_that_was_cut_is_reported_and_left(store: LeaseStore, content: bytes) -> None:
    good = store.take("job", "hello-platform", where=WHERE)
    bad = store.folder / "7f3a90c2.0123456789abcdef.json"
    bad.write_bytes(content)
    assert [lease.id for lease in store.all()] == [good.id]
    assert [found.path for found in store.unreadable()] == [bad]
    assert bad.read_bytes() == content


def test_foreign_things_in_the_folder_are_reported_and_left(store: LeaseStore) -> None:
    store.folder.mkdir()
    os.mkfifo(store.folder / "run.0123456789abcdef.json")
    (store.folder / "run.0123456789abcdee.json").mkdir()
    (store.folder / "run.0123456789abcded.json").symlink_to("/dev/zero")
    (store.folder / "notes.txt").write_text("mine")
    lease = store.take("job", "hello-platform", where=WHERE)
    renamed = store.folder / "7f3a90c2.0123456789abcdea.json"
    renamed.write_bytes(lease.path.read_bytes())
    assert len(store.unreadable()) == 5
    assert [found.id for found in store.all()] == [lease.id]
    assert len(list(store.folder.iterdir())) == 6


@pytest.mark.parametrize(
    "fields",
    [{"pid": -1}, {"pid": 10**30}, {"pid": "1"}, {"where": []}, {"created_at": "2026-01-01"}],
    ids=str,
)
def test_a_lease_with_impossible_values_is_unreadable(
    store: LeaseStore, fields: dict[str, Any]
) -> None:
    rewrite(store.take("job", "hello-platform", where=WHERE), **fields)
    assert store.all() == []
    assert len(store.unreadable()) == 1


def test_a_field_of_a_later_version_is_ignored(store: LeaseStore) -> None:
    rewrite(store.take("job", "hello-platform", where=WHERE), colour="blue")
    assert len(store.all()) == 1


def test_an_abandoned_temporary_file_is_removed_and_a_fresh_one_is_not(store: LeaseStore) -> None:
    store.folder.mkdir()
    old, fresh, foreign = (
        store.folder / name for name in (".0123456789abcdef.tmp", ".fedcba9876543210.tmp", ".keep")
    )
    for path in (old, fresh, foreign):
        path.write_bytes(b"")
    os.utime(old, (1, 1))
    os.utime(foreign, (1, 1))
    assert store.all() == []
    assert store.unreadable() == []
    assert sorted(store.folder.iterdir()) == sorted([fresh, foreign])


def test_a_folder_that_cannot_be_made_is_a_lease_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = LeaseStore(tmp_path / "file" / "leases", run_id="7f3a90c2")
    for use in (store.check, lambda: store.take("job", "hello-platform", where=WHERE)):
        with pytest.raises(LeaseError) as caught:
            use()
        assert "lease store" in str(caught.value)
        assert "choose another folder" in str(caught.value)


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_is_a_lease_error_and_leaves_nothing(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "the/lease")

    store.check()
    monkeypatch.setattr(os if call == "fsync" else Path, call, full)
    with pytest.raises(LeaseError, match="No space left on device"):
        store.take("job", "hello-platform", where=WHERE)
    with pytest.raises(LeaseError, match="No space left on device"):
        store.check()
    monkeypatch.undo()
    assert list(store.folder.iterdir()) == []


def test_a_read_only_folder_is_a_lease_error(store: LeaseStore) -> None:
    store.folder.mkdir(mode=0o500)
    done = subprocess.run(
        # Root may write everywhere, unless it gives that right up.
        [*OBEYS_PERMISSIONS, sys.executable, "-c", CHECK, str(store.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "LeaseError: The lease store can't be written: Permission denied" in done.stderr


def test_check_leaves_nothing_behind(store: LeaseStore) -> None:
    store.check()
    assert list(store.folder.iterdir()) == []


def test_a_folder_that_cannot_be_listed_is_a_lease_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LeaseError, match="can't be read"):
        LeaseStore(tmp_path / "file", run_id="7f3a90c2").all()


def test_a_thousand_leases_are_read_in_a_moment(store: LeaseStore) -> None:
    note = store.take("job", "hello-platform", where=WHERE)
    content = msgspec.json.decode(note.path.read_bytes())
    for number in range(1000):
        lease_id = f"{number:016x}"
        path = store.folder / f"otherrun.{lease_id}.json"
        path.write_bytes(msgspec.json.encode(content | {"id": lease_id, "run_id": "otherrun"}))
    started = time.process_time()
    assert len(store.all()) == 1001
    assert store.stale() == []
    assert time.process_time() - started < 3
    assert [lease.id for lease in store.of_run("7f3a90c2")] == [note.id]


def test_the_default_folder_follows_the_xdg_specification() -> None:
    assert default_folder({"XDG_STATE_HOME": "/state"}) == Path("/state/vdkprobe/leases")
    # "All paths must be absolute. If not, the implementation should consider the path invalid."
    relative = default_folder({"XDG_STATE_HOME": "state", "HOME": "/home/me"})
    assert relative == Path("/home/me/.local/state/vdkprobe/leases")
