"""A journal kept for months: begun anew with what its lines amount to, whatever kills us."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap64

from pytest_vdkprobe.accounting import journal
from pytest_vdkprobe.accounting.journal import Journal
from pytest_vdkprobe.accounting.ledger import RESTARTED, SETS, Ledger
from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.sightings import Sightings
from pytest_vdkprobe.errors import ProbeError

ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)
REFUSED = SendResult(Outcome.REFUSED, "no room")
SMALL = 4096


class Killed(BaseException):
    """What nothing catches."""


class Cut:
    """Stands for `os` where a journal uses it: the kill comes at the call number `at`.

    After it nothing is done any more, or what is cleaned up on the way out would not be left.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(os, name)
        return self.cutting(name, found) if name in ("open", "write", "fsync", "close") else found

    def cutting(self, name: str, found: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, if the kill has not come."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if len(self.calls) < self.at:
                return found(*args, **kwargs)
            if len(self.calls) == self.at and name == "write":
                os.write(args[0], args[1][: len(args[1]) // 2])
            raise Killed

        return call


def ledger(path: Path, count: int) -> Ledger:
    """One event after the other, as a stream notes them; every tenth is refused."""
    made = Ledger.create(path, run_id="01234567", profile="small", start_us=0, rate_per_s=1.0)
    for seq in range(count):
        made.intend(range(seq, seq + 1))
        made.settle([seq], [ACKNOWLEDGED if seq % 10 else REFUSED], soon=True)
    made.settle([5], [SendResult(Outcome.UNKNOWN, RESTARTED)])
    return made


def told(path: Path) -> dict[str, object]:
    """All that a ledger on the disk says."""
    found = Ledger.open(path)
    found.close()
    said: dict[str, object] = {name: getattr(found, name) for name in SETS}
    return said | {"reasons": found.reasons, "next": found.next_seq, "run_id": found.run_id}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LARGE", SMALL)


def test_ledger_says_the_same_folded_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    made = ledger(path, 500)
    made.flush()
    before, size = told(path), path.stat().st_size
    made.fold()
    assert path.stat().st_size < size / 10
    assert told(path) == before
    assert before["forgone"] == BitMap64([5])
    made.intend(range(500, 501))
    made.settle([500], [ACKNOWLEDGED])
    made.close()
    after = told(path)
    assert after["next"] == 501
    with pytest.raises(ProbeError, match="in the ledger already"):
        Ledger.open(path).intend(range(3, 4))


def test_kill_at_any_moment_leaves_the_old_ledger_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, cuts = 1, []
    while True:
        path = tmp_path / f"ledger-{at}"
        made = ledger(path, 300)
        made.flush()
        before = told(path)
        cut = Cut(at)
        with monkeypatch.context() as patched:
            patched.setattr(journal, "os", cut)
            patched.setattr(Path, "replace", cut.cutting("replace", Path.replace))
            try:
                made.fold()
            except Killed:
                cuts.append(cut.calls[at - 1])
            else:
                break
        assert told(path) == before, cut.calls
        again = Ledger.open(path)
        again.fold()  # whatever the killed one has left lies in nobody's way
        again.close()
        assert told(path) == before
        assert list(tmp_path.glob(f"ledger-{at}.*")) == []
        at += 1
    assert cuts == ["open", "write", "fsync", "replace", "close"]


def test_disk_without_room_for_a_new_ledger_leaves_the_old_one_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_args: object, **_kwargs: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "ledger"
    made = ledger(path, 300)
    made.flush()
    for place in ("os.fsync", "Path.replace"):
        with monkeypatch.context() as patched:
            patched.setattr(f"pytest_vdkprobe.accounting.journal.{place}", refused)
            with pytest.raises(ProbeError, match="No space left"):
                made._journal.begin_anew("x")
    assert not made._journal.large  # it is not tried again at once
    made.intend(range(300, 301))
    made.close()
    assert told(path)["next"] == 301
    assert [file.name for file in tmp_path.iterdir()] == ["ledger"]


def test_what_was_seen_is_the_same_folded_and_a_duplicate_is_still_one(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    made = Sightings.create(path, run_id="01234567", totals={"x": 3.0})
    seen = Observation(late=BitMap64(), reordered=0)
    for seq in range(1000):
        seen.seen.add(seq)
        if seq % 100 == 0:
            seen.duplicate += 1
            seen.duplicated.add(seq)
            seen.foreign += 1
        made.note(seen)
    size = path.stat().st_size
    made.fold(seen)
    assert path.stat().st_size < size / 10
    seen.seen.add(1000)
    made.note(seen)
    made.close()
    again = Sightings.open(path)
    restored = again.restored()
    again.close()
    assert restored.seen == seen.seen
    assert (restored.duplicate, restored.foreign, restored.duplicated) == (10, 10, seen.duplicated)
    assert again.totals == {"x": 3.0}


def test_ledger_of_many_events_stays_small_on_the_disk_and_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    made = Ledger.create(path, run_id="01234567", profile="small", start_us=0, rate_per_s=1.0)
    largest = 0
    for seq in range(20_000):
        made.intend(range(seq, seq + 1))
        made.settle([seq], [ACKNOWLEDGED], soon=True)
        made.fold()
        largest = max(largest, made._journal._written)
    made.close()
    # Where nothing went wrong there is nothing to tell but how far it has come.
    assert largest < SMALL + 200
    assert len(made.sent.serialize()) < 8192 + 200
    assert len(Journal.open(path, what="ledger")[1][0]) < 1000
    assert told(path)["next"] == 20_000
