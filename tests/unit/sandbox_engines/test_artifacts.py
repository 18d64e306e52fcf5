"""An engine's files are the pinned ones, whole, or the call says what is wrong."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.engines import artifacts
from pytest_vdkprobe.sandbox.engines.artifacts import Artifact

CONTENTS = {"one": b"first" * 100, "two": b"second" * 100}
DATA = resources.files("pytest_vdkprobe.sandbox.engines") / "data"


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An engine of two files, and an empty cache."""
    lines = [
        f"{hashlib.sha256(content).hexdigest()} {len(content)} org.example:{name}:jar:1.0"
        for name, content in CONTENTS.items()
    ]
    monkeypatch.setattr(artifacts, "_lock_text", lambda _: "\n".join(lines))
    monkeypatch.setenv("VDKPROBE_CACHE", str(tmp_path))
    return tmp_path / "engines"


class Warehouse:
    """Delivers the toy's files, and counts how often each was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.contents = dict(CONTENTS)

    def __call__(self, artifact: Artifact, folder: Path, count: Callable[[int], None]) -> Path:
        self.asked.append(artifact.name)
        folder.mkdir(exist_ok=True)
        path = folder / artifact.file_name
        path.write_bytes(self.contents[artifact.name])
        count(artifact.size)
        return path


def test_what_is_fetched_is_complete_and_fetched_once() -> None:
    warehouse = Warehouse()

    folder = artifacts.fetch("toy", download=warehouse)
    again = artifacts.fetch("toy", download=warehouse)

    assert folder == again == artifacts.fetched("toy")
    assert {path.name: path.read_bytes() for path in folder.glob("*.jar")} == {
        f"{name}-1.0.jar": content for name, content in CONTENTS.items()
    }
    assert sorted(warehouse.asked) == ["one", "two"]


def test_a_file_with_another_sum_is_refused_and_both_sums_are_named(toy: Path) -> None:
    warehouse = Warehouse()
    warehouse.contents["two"] = b"tampered with"

    with pytest.raises(ProbeError) as caught:
        artifacts.fetch("toy", download=warehouse)

    said = str(caught.value)
    assert "two-1.0.jar" in said
    assert hashlib.sha256(CONTENTS["two"]).hexdigest() in said
    assert hashlib.sha256(b"tampered with").hexdigest() in said
    assert artifacts.fetched("toy") is None
    assert not list(toy.rglob("two-1.0.jar"))


def test_a_fetch_that_failed_is_taken_up_where_it_stopped() -> None:
    warehouse = Warehouse()
    warehouse.contents["two"] = b"tampered with"
    with pytest.raises(ProbeError):
        artifacts.fetch("toy", download=warehouse)

    warehouse.contents["two"] = CONTENTS["two"]
    artifacts.fetch("toy", download=warehouse)

    assert warehouse.asked.count("one") == 1


def test_without_network_and_cache_the_message_names_the_command_and_what_is_lost() -> None:
    def unreachable(_: Artifact, __: Path, ___: Callable[[int], None]) -> Path:
        raise ConnectionError("no route to host")

    with pytest.raises(ProbeError) as caught:
        artifacts.fetch("kafka", download=unreachable)

    said = str(caught.value)
    assert "vdkprobe sandbox fetch" in said
    assert "nothing that needs kafka can be judged" in said
    assert "no route to host" in said


def test_a_download_that_fails_once_is_tried_again() -> None:
    warehouse = Warehouse()
    failed = threading.Event()

    def flaky(artifact: Artifact, folder: Path, count: Callable[[int], None]) -> Path:
        if artifact.name == "one" and not failed.is_set():
            failed.set()
            raise ConnectionError("cut off")
        return warehouse(artifact, folder, count)

    assert artifacts.fetch("toy", download=flaky).is_dir()


def test_two_that_fetch_at_once_fetch_once() -> None:
    warehouse = Warehouse()
    threads = [
        threading.Thread(target=artifacts.fetch, args=("toy",), kwargs={"download": warehouse})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(warehouse.asked) == ["one", "two"]


def test_a_fetch_that_is_killed_leaves_nothing_that_counts(toy: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from pytest_vdkprobe.sandbox.engines import artifacts
artifacts._lock_text = lambda _: {artifacts._lock_text("toy")!r}
def download(artifact, folder, count):
    if artifact.name == "two":
        os.kill(os.getpid(), signal.SIGKILL)
    folder.mkdir(exist_ok=True)
    path = folder / artifact.file_name
    path.write_bytes({CONTENTS["one"]!r})
    return path
artifacts.AT_ONCE = 1
artifacts.fetch("toy", download=download)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -9
    assert artifacts.fetched("toy") is None

    warehouse = Warehouse()
    folder = artifacts.fetch("toy", download=warehouse)

    assert (folder / "one-1.0.jar").read_bytes() == CONTENTS["one"]
    assert warehouse.asked == ["two"]


def test_progress_tells_files_and_megabytes() -> None:
    lines: list[str] = []

    artifacts.fetch("toy", download=Warehouse(), progress=lines.append)

    assert lines
    assert all(line.startswith("toy: ") for line in lines)
    assert any("of 2 files" in line for line in lines)


def test_a_cache_that_cannot_be_written_is_said_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VDKPROBE_CACHE", str(tmp_path / "file"))

    with pytest.raises(ProbeError, match="can't be used"):
        artifacts.fetch("toy", download=Warehouse())


@pytest.mark.parametrize(("engine", "count"), [("kafka", 45), ("trino", 2)])
def test_a_lock_file_pins_every_file_of_its_engine(engine: str, count: int) -> None:
    lines = [
        line.split()
        for line in (DATA / f"{engine}.lock").read_text().splitlines()
        if line[0] != "#"
    ]

    assert len(lines) == count
    for sha256, size, coordinates in lines:
        assert len(sha256) == 64
        assert int(size) > 0
        assert len(coordinates.split(":")) == 4
