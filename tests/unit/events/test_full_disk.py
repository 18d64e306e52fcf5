"""A state folder without room: nothing is posted that can't be noted, and it ends by itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.accounting import journal
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.unit.events.streams import LIMIT_S, seen, stream


class Disk:
    """Stands for `os` where a journal writes; half of a line goes out before it is full."""

    def __init__(self) -> None:
        self.full = False

    def write(self, descriptor: int, content: bytes) -> int:
        if not self.full:
            return os.write(descriptor, content)
        if len(content) > 8:
            return os.write(descriptor, content[:8])
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk()
    monkeypatch.setattr(journal, "os", made)
    return made


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


def test_full_disk_is_ours_and_ends_by_itself_and_nothing_is_lost_by_it(
    sandbox: Sandbox, tmp_path: Path, disk: Disk
) -> None:
    with stream(sandbox, tmp_path, watch=True, within_s=20.0) as made:
        made.open()
        made.start()
        seen(made, 3)
        made.take()
        disk.full = True
        found = wait_until(
            "trouble with the disk",
            made.take,
            done=lambda found: found.trouble is not None and found.missed > 1,
            deadline=Deadline.after(LIMIT_S),
        ).value
        with pytest.raises(ProbeError, match="can't be written: No space left") as told:
            found.require()
        assert "watch.state_folder" in str(told.value)
        sent = made.look().sent
        assert made.look().sent == sent
        disk.full = False
        seen(made, sent + 3)
        wait_until(
            "all to be well",
            made.take,
            done=lambda found: found.trouble is None and found.account.seen > 0,
            deadline=Deadline.after(LIMIT_S),
        ).value.require()
        before = made.look()
    with stream(sandbox, tmp_path, watch=True, within_s=20.0) as made:
        made.open()
        made.start()
        found_again = made.look()
        assert found_again.lost == 0
        assert found_again.seen >= before.seen
        assert made.books.ledger.sent.issuperset(before.members["delivered"])


def test_run_with_a_full_disk_ends_with_its_words(
    sandbox: Sandbox, tmp_path: Path, disk: Disk
) -> None:
    with stream(sandbox, tmp_path, events=1000) as made:
        made.open()
        made.start()
        disk.full = True
        found = made.finish(deadline=Deadline.after(LIMIT_S))
        with pytest.raises(ProbeError, match="No space left"):
            found.require()
        disk.full = False
