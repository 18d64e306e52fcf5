"""A killed sandbox's folder is removed by the next; everybody else's is left alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest

from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox.folders import OWNER, PREFIX, make_folder, sweep
from pytest_vdkprobe.sandbox.server import Sandbox


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def gone() -> Process:
    """A process of this machine that ended long ago."""
    return Process(Process.current().place, 2**22 - 7, 1)


def test_folder_of_a_process_that_is_gone_is_removed(tmp_path: Path) -> None:
    dead = make_folder()
    (dead / OWNER).write_bytes(msgspec.json.encode(gone()))
    alive = make_folder()
    assert sorted(tmp_path.iterdir()) == [alive]


@pytest.mark.parametrize("owner", [b"", b"{}", b"\xff"], ids=["empty", "other", "garbage"])
def test_folder_whose_owner_can_t_be_told_is_left_alone(tmp_path: Path, owner: bytes) -> None:
    strange = tmp_path / f"{PREFIX}strange"
    strange.mkdir()
    (strange / OWNER).write_bytes(owner)
    (tmp_path / f"{PREFIX}bare").mkdir()
    assert sweep() == []
    assert strange.exists()


def test_stopped_sandbox_takes_its_folder_and_its_leases_along(tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        tables = sandbox.configuration()
        leases = Path(tables["run"]["lease_folder"])  # type: ignore[index]
        leases.mkdir()
        assert leases.is_relative_to(tmp_path)
    assert list(tmp_path.iterdir()) == []
