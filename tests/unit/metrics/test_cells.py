"""Numbers in a file: seen by others at once, kept over a kill, never half there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdkprobe.metrics import cells as cells_module
from pytest_vdkprobe.metrics.cells import Cells, read

COUNT_AND_DIE = """
import os, signal, sys
from pathlib import Path
from pytest_vdkprobe.metrics.cells import Cells
cells = Cells(Path(sys.argv[1]))
index = cells.claim("counted", 1)
cells.publish()
for _ in range(1000):
    cells.values[index] += 1
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.cells"


def test_others_see_a_number_as_soon_as_it_is_written(file: Path) -> None:
    cells = Cells(file)
    index = cells.claim("counted", 2)
    cells.publish()
    assert read(file) == {"counted": [0, 0]}
    cells.values[index + 1] = 3.5
    assert read(file) == {"counted": [0, 3.5]}


def test_nobody_sees_a_file_that_is_not_published_yet(file: Path) -> None:
    Cells(file).claim("counted", 1)
    assert read(file) == {}


def test_numbers_survive_sigkill_and_go_on(file: Path) -> None:
    for times in (1, 2, 3):
        done = subprocess.run([sys.executable, "-c", COUNT_AND_DIE, str(file)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert read(file) == {"counted": [1000 * times]}


def test_a_start_that_is_killed_before_all_is_claimed_loses_nothing(file: Path) -> None:
    first = Cells(file)
    first.values[first.claim("counted", 1)] = 7
    first.publish()
    Cells(file).claim("other", 1)
    assert read(file) == {"counted": [7]}
    again = Cells(file)
    assert again.values[again.claim("counted", 1)] == 7


def test_names_that_nobody_claims_any_more_are_hidden_until_somebody_does(file: Path) -> None:
    first = Cells(file)
    first.values[first.claim("old", 1)] = 5
    first.claim("kept", 1)
    first.publish()
    second = Cells(file)
    second.claim("kept", 1)
    second.publish()
    assert read(file) == {"kept": [0], "old": [5]}
    second.hide_unclaimed()
    assert read(file) == {"kept": [0]}
    assert second.values[second.claim("old", 1)] == 5
    assert read(file) == {"kept": [0], "old": [5]}


def test_hidden_names_are_gone_with_the_next_process(file: Path) -> None:
    first = Cells(file)
    first.claim("old", 1)
    first.publish()
    second = Cells(file)
    second.publish()
    second.hide_unclaimed()
    assert Cells(file).items() == {}


def test_room_is_made_for_any_number_of_names(file: Path) -> None:
    for cells in (Cells(), Cells(file)):
        places = [cells.claim(f"name {number}", 3) for number in range(5000)]
        for number, index in enumerate(places):
            cells.values[index + 2] = number
        cells.publish()
        assert cells.items()["name 4999"] == [0, 0, 4999]
        assert len(cells.items()) == 5000
    assert read(file)["name 77"] == [0, 0, 77]


def test_moments_of_an_earlier_boot_are_forgotten_and_counters_are_not(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = Cells(file)
    cells.values[cells.claim("-moment", 1)] = 1234.5
    cells.values[cells.claim("counted", 1)] = 8
    cells.publish()
    monkeypatch.setattr(cells_module, "boot_id", lambda: "another boot")
    assert read(file) == {"counted": [8]}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"vdkcell1" + b"\xff" * 64])
def test_a_file_that_is_none_counts_as_empty(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    assert read(file) == {}
    cells = Cells(file)
    cells.claim("counted", 1)
    cells.publish()
    assert read(file) == {"counted": [0]}


def test_a_file_that_was_cut_short_gives_what_is_whole(file: Path) -> None:
    cells = Cells(file)
    cells.claim("first", 1)
    cells.claim("second", 9000)
    cells.publish()
    cells.close()
    os.truncate(file, 4096)
    assert read(file) == {"first": [0]}
