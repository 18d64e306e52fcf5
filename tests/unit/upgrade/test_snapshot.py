"""What is in a snapshot, and which files are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.upgrade.snapshot import Snapshot, read_snapshot


def snapshot(salt: str | None = None) -> Snapshot:
    return Snapshot.new(run_id="12345678", tool="1", where={}, salt=salt)


def test_it_reads_back_as_it_was_written(tmp_path: Path) -> None:
    taken = snapshot()
    taken.add("jobs", "hello", {"team": "a", "config": {"n": 5, "none": None, "mail": ["x"]}})
    taken.add_hidden("properties", "hello.cursor", "hunter2")
    path = tmp_path / "before.json"
    taken.write(path)
    assert read_snapshot(path) == taken
    assert taken.aspects["jobs"] == {
        "hello.team": "a",
        "hello.config.n": 5,
        "hello.config.mail": '["x"]',
    }
    assert "hunter2" not in path.read_text()


def test_a_hash_tells_whether_the_value_is_the_same_and_nothing_else() -> None:
    first, second, other = snapshot(), snapshot(), snapshot()
    second.salt = first.salt
    for taken in (first, second, other):
        taken.add_hidden("secrets", "a.token", "hunter2")
        taken.add_hidden("secrets", "b.token", "hunter2")
    assert first.aspects == second.aspects
    hashes = [*first.aspects["secrets"].values(), *other.aspects["secrets"].values()]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no snapshot"),
        ("", "is no snapshot"),
        ("{", "is no snapshot"),
        ("[]", "is no snapshot"),
        ('{"format": 1}', "is no snapshot"),
        ('{"format": 99}', "is of a newer pytest-vdkprobe"),
        ("[" * 100_000, "is no snapshot"),
    ],
)
def test_a_file_that_is_none_is_refused(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "before.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=says):
        read_snapshot(path)


def test_a_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        read_snapshot(tmp_path)
