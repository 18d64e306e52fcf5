"""The file reader: follows what grows, from where it ended, and says when it can't."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pyroaring import BitMap64

from pytest_vdkprobe.accounting.expectation import Expectation
from pytest_vdkprobe.accounting.observation import Observation
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.connections.files import Layout, encode
from pytest_vdkprobe.errors import ConfigError, PlatformFailure
from pytest_vdkprobe.readers.file import FileReader, FileReaderSettings
from pytest_vdkprobe.records import wire_json
from pytest_vdkprobe.waiting import Deadline, wait_until

RUN = "run-12345678"
SMALL = profile("small")
LIMIT_S = 10.0
EXPECTATION = Expectation(
    RUN,
    SMALL,
    sent=BitMap64(range(10)),
    acknowledged=BitMap64(range(10)),
    refused=BitMap64(),
    start_us=time.time_ns() // 1000,
    rate_per_s=1000.0,
    within_s=600.0,
    late_s=1.0,
)


def encoded(*seqs: int, run: str = RUN, layout: Layout = "vdk") -> bytes:
    made = [SMALL.make(run, seq, sent_at_us=EXPECTATION.intended_us(seq)) for seq in seqs]
    return b"".join(encode(wire_json(record), layout) for record in made)


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def observed(reader: FileReader, done: Callable[[Observation], bool]) -> Observation:
    return wait_until(
        "records",
        lambda: reader.observe(EXPECTATION, deadline=Deadline.after(LIMIT_S)),
        done=done,
        deadline=Deadline.after(LIMIT_S),
        describe=lambda seen: f"{list(seen.seen)}",
    ).value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.json"


def reader_of(path: Path, layout: Layout = "vdk") -> FileReader:
    reader = FileReader(FileReaderSettings(path=str(path), layout=layout))
    reader.prepare(SMALL.columns)
    return reader


def test_what_was_there_before_does_not_count(path: Path) -> None:
    append(path, encoded(0, 1, run="an-old-run"))
    with reader_of(path) as reader:
        append(path, encoded(2, 3))
        seen = observed(reader, lambda seen: len(seen.seen) == 2)
    assert list(seen.seen) == [2, 3]
    assert seen.foreign == 0


@pytest.mark.parametrize("layout", ["lines", "vdk"])
def test_the_last_object_is_read_when_it_is_whole(path: Path, layout: Layout) -> None:
    content = encoded(0, 1, layout=layout)
    with reader_of(path, layout) as reader:
        append(path, content[:-3])
        seen = observed(reader, lambda seen: len(seen.seen) == 1)
        assert list(seen.seen) == [0]
        append(path, content[-3:])
        seen = observed(reader, lambda seen: len(seen.seen) == 2)
    assert seen.corrupted == BitMap64()


def test_a_file_may_come_later_than_its_reader(path: Path) -> None:
    with reader_of(path) as reader:
        assert reader.observe(EXPECTATION, deadline=Deadline.after(1)).seen == BitMap64()
        append(path, encoded(0))
        observed(reader, lambda seen: len(seen.seen) == 1)


def test_a_file_that_takes_the_other_s_place_is_read_too(path: Path) -> None:
    append(path, b"")
    with reader_of(path) as reader:
        append(path, encoded(0) + encoded(1)[:20])
        observed(reader, lambda seen: len(seen.seen) == 1)
        path.rename(path.with_suffix(".old"))
        append(path, encoded(2))
        seen = observed(reader, lambda seen: len(seen.seen) == 2)
    assert list(seen.seen) == [0, 2]
    # What the first one ended with is no record.
    assert seen.foreign == 1


def test_a_file_that_is_emptied_is_the_platform_s_doing(path: Path) -> None:
    with reader_of(path) as reader:
        append(path, encoded(0))
        observed(reader, lambda seen: len(seen.seen) == 1)
        path.write_bytes(b"")
        with pytest.raises(PlatformFailure, match="has become shorter"):
            observed(reader, lambda seen: len(seen.seen) == 2)


def test_what_is_no_record_is_shown(path: Path) -> None:
    with reader_of(path, "lines") as reader:
        append(path, b'not json\n[1, 2]\n{"seq": 3}\n')
        seen = observed(reader, lambda seen: seen.foreign == 3)
    assert "not json" in seen.foreign_examples[0]
    assert str(path) in seen.foreign_examples[0]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There can't be a file .*gone/x\.json"):
        reader_of(tmp_path / "gone" / "x.json")
