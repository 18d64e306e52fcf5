"""The file target: what the system took is acknowledged, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_vdkprobe.accounting.outcomes import Outcome
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.connections.files import Layout, Splitter
from pytest_vdkprobe.errors import ConfigError, ProbeError
from pytest_vdkprobe.records import Record, wire_json
from pytest_vdkprobe.targets.file import FileTarget, FileTargetSettings
from pytest_vdkprobe.waiting import Deadline

COLUMNS = profile("small").columns


def records(*seqs: int) -> list[Record]:
    return [profile("small").make("run-12345678", seq, sent_at_us=1) for seq in seqs]


def soon() -> Deadline:
    return Deadline.after(10)


def test_a_full_disk_refuses_and_says_so() -> None:
    with FileTarget(FileTargetSettings(path="/dev/full")) as target:
        target.prepare(COLUMNS)
        results = target.send(records(0, 1), deadline=soon())
    assert {result.outcome for result in results} == {Outcome.REFUSED}
    assert "No space left on device" in results[0].reason


@pytest.mark.parametrize("layout", ["lines", "vdk"])
def test_a_disk_that_ends_in_a_record_refuses_it_and_what_follows(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "records.json"
    room = 300

    def write(handle: int, content: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        taken = os_write(handle, content[:room])
        room -= taken
        return taken

    os_write = os.write
    with FileTarget(FileTargetSettings(path=str(path), layout=layout)) as target:
        target.prepare(COLUMNS)
        monkeypatch.setattr("pytest_vdkprobe.targets.file.os.write", write)
        first = target.send(records(0, 1, 2, 3), deadline=soon())
        # Somebody made room: what comes now must not be lost in what was torn.
        room = 100_000
        second = target.send(records(4, 5), deadline=soon())
    outcomes = [result.outcome for result in first]
    taken = outcomes.count(Outcome.ACKNOWLEDGED)
    assert 0 < taken < 4
    assert outcomes == [Outcome.ACKNOWLEDGED] * taken + [Outcome.REFUSED] * (4 - taken)
    assert {result.outcome for result in second} == {Outcome.ACKNOWLEDGED}
    found = [each for each in Splitter(layout).feed(path.read_bytes()) if isinstance(each, dict)]
    assert [each["seq"] for each in found] == [*range(taken), 4, 5]


def test_several_writers_do_not_cut_each_other(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    settings = FileTargetSettings(path=str(path))
    with FileTarget(settings) as one, FileTarget(settings) as other:
        one.prepare(COLUMNS)
        other.prepare(COLUMNS)
        for seq in range(0, 40, 2):
            one.send(records(seq), deadline=soon())
            other.send(records(seq + 1), deadline=soon())
    found = list(Splitter("vdk").feed(path.read_bytes()))
    assert found == [wire_json(record) for record in records(*range(40))]


def test_after_the_deadline_nothing_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "records.json"
    with FileTarget(FileTargetSettings(path=str(path))) as target:
        target.prepare(COLUMNS)
        (result,) = target.send(records(0), deadline=Deadline.after(-1))
    assert result.outcome is Outcome.REFUSED
    assert path.read_bytes() == b""


def test_a_missing_file_may_not_come_about_unasked(tmp_path: Path) -> None:
    settings = FileTargetSettings(path=str(tmp_path / "none"), create=False)
    with FileTarget(settings) as target, pytest.raises(ConfigError, match="create = true"):
        target.prepare(COLUMNS)


def test_a_file_that_can_t_be_written_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "theirs"
    path.touch()
    monkeypatch.setattr("pytest_vdkprobe.targets.file.os.open", refuse)
    settings = FileTargetSettings(path=str(path))
    with FileTarget(settings) as target, pytest.raises(ProbeError, match="can't be written"):
        target.prepare(COLUMNS)


def test_a_relative_path_begins_in_the_configuration_s_folder(tmp_path: Path) -> None:
    with FileTarget(FileTargetSettings(path="x.json"), base_dir=tmp_path) as target:
        target.prepare(COLUMNS)
        assert (tmp_path / "x.json").exists()
        target.remove()
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(
    ("settings", "said"), [({"path": " "}, "path: empty"), ({"path": "x", "batch": 0}, "batch:")]
)
def test_unusable_settings_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FileTargetSettings(**settings)  # type: ignore[arg-type]
