"""A ledger survives its writer: wherever a kill cuts it, it tells what was sent, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.accounting.ledger import Ledger
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.errors import ProbeError
from tests.unit.accounting.making import ledger

OK = SendResult(Outcome.ACKNOWLEDGED)
NO = SendResult(Outcome.REFUSED, "no room\nleft")


def written(path: Path) -> Path:
    with ledger(path) as book:
        book.intend(range(10))
        book.settle(range(10), [OK] * 6 + [NO] * 3 + [SendResult(Outcome.UNKNOWN, "timed out")])
        book.intend(range(10, 20))
        book.settle(range(10, 20), [OK] * 10)
    return path


def test_reopened_ledger_knows_every_outcome_and_its_first_reason(tmp_path: Path) -> None:
    with Ledger.open(written(tmp_path / "book")) as book:
        assert list(book.sent) == list(range(20))
        assert list(book.refused) == [6, 7, 8]
        assert 9 not in book.acknowledged
        assert book.reasons == {"refused": "no room left", "unknown": "timed out"}
        assert book.next_seq == 20


def test_cut_at_any_byte_nothing_is_acknowledged_that_was_not_sent(tmp_path: Path) -> None:
    content = written(tmp_path / "book").read_bytes()
    first_line = content.index(b"\n") + 1
    part = tmp_path / "part"
    sent_before = 0
    for cut in range(first_line, len(content) + 1):
        part.write_bytes(content[:cut])
        with Ledger.open(part) as book:
            sent = len(book.sent)
            assert sent in (0, 10, 20)
            assert sent >= sent_before
            assert (book.acknowledged | book.refused) <= book.sent
            book.intend(range(book.next_seq, book.next_seq + 1))
        with Ledger.open(part) as again:
            assert len(again.sent) == sent + 1
        sent_before = sent


def test_damage_before_the_end_is_told_not_skipped(tmp_path: Path) -> None:
    path = written(tmp_path / "book")
    content = bytearray(path.read_bytes())
    content[content.index(b"I 0-9") + 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProbeError, match="damaged before its end"):
        Ledger.open(path)


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("hello\n")
    with pytest.raises(ProbeError, match="no ledger"):
        Ledger.open(tmp_path / "other")


def test_number_is_never_sent_twice(tmp_path: Path) -> None:
    with ledger(tmp_path / "book") as book:
        book.intend(range(5))
        with pytest.raises(ProbeError, match="in the ledger already"):
            book.intend(range(4, 6))


def test_outcome_for_each_record_or_none_at_all(tmp_path: Path) -> None:
    with ledger(tmp_path / "book") as book:
        book.intend(range(5))
        with pytest.raises(ProbeError, match="another number of outcomes"):
            book.settle(range(5), [OK] * 4)


def test_intended_and_never_settled_is_unknown(tmp_path: Path) -> None:
    with ledger(tmp_path / "book") as book:
        book.intend(range(5))
        expected = book.expectation(within_s=1, late_s=1)
    assert list(expected.unknown) == list(range(5))


def test_ten_million_records_take_little_room(tmp_path: Path) -> None:
    path = tmp_path / "book"
    with ledger(path) as book:
        for start in range(0, 10_000_000, 1_000_000):
            seqs = range(start, start + 1_000_000)
            book.intend(seqs)
            book.settle(seqs, [OK] * len(seqs))
    assert path.stat().st_size < 2000


def test_full_disk_is_told_and_leaves_no_half_line(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="can't be written"):
        ledger(Path("/dev/full/book"))
    with ledger(tmp_path / "book"), pytest.raises(ProbeError, match="can't be written"):
        ledger(tmp_path / "book")


def test_schedule_that_began_later_is_still_known_when_reopened(tmp_path: Path) -> None:
    with ledger(tmp_path / "book") as book:
        book.intend(range(3))
        book.rebase(1_900_000_000_000_000)
        book.settle(range(3), [OK] * 3)
    with Ledger.open(tmp_path / "book") as again:
        expectation = again.expectation(within_s=1, late_s=1)
        assert expectation.start_us == 1_900_000_000_000_000
        assert list(expectation.acknowledged) == [0, 1, 2]
