"""The wheel carries everything that an ordinary install needs, the scenarios above all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

from tests.unit.house.sources import ROOT, TEMPLATES

MINIMAL = """
[control]
url = "http://127.0.0.1:9"
team = "platform"
auth = { kind = "none" }

[[jobs]]
name = "hello-platform"
"""


def run(*command: str | Path, cwd: Path, timeout_s: float = 120) -> str:
    """What the command prints; a failure shows all of it."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "VDKPROBE_", "PYTHONPATH", "COV_"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """This checkout's wheel, built once for all workers; from a copy, as a build leaves traces."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder = shared / "wheel"
    with FileLock(shared / "wheel.lock"):
        if not folder.exists():
            source = shared / "wheel-source"
            litter = shutil.ignore_patterns("__pycache__", "*.egg-info")
            for name in ("pytest_vdkprobe", "scenarios"):
                shutil.copytree(ROOT / name, source / name, ignore=litter)
            for name in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(ROOT / name, source / name)
            build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
            run(*build, "--outdir", shared / "wheel-built", source, cwd=shared)
            (shared / "wheel-built").rename(folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def names(wheel: Path) -> set[str]:
    """The paths inside the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_scenarios_ship_inside_the_package(names: set[str]) -> None:
    expected = {
        f"pytest_vdkprobe/scenarios/{path.name}" for path in (ROOT / "scenarios").glob("*.py")
    }
    assert expected <= names
    assert not any(name.startswith("scenarios/") for name in names)


def test_every_module_ships(names: set[str]) -> None:
    expected = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "pytest_vdkprobe").rglob("*.py")
    }
    assert expected - names == set()


def test_job_templates_ship_whole(names: set[str]) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in TEMPLATES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert expected - names == set()


def test_types_are_marked_as_shipped(names: set[str]) -> None:
    assert "pytest_vdkprobe/py.typed" in names


def test_tests_stay_at_home(names: set[str]) -> None:
    assert not any(name.startswith(("tests/", "docs/", "ci/")) for name in names)


def test_pytest_and_the_shell_find_their_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        text = archive.read(name).decode()
    assert "[pytest11]\nvdkprobe = pytest_vdkprobe.plugin\n" in text
    assert "[console_scripts]\nvdkprobe = pytest_vdkprobe.cli.main:main\n" in text


def test_the_licence_ships(names: set[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """A Python that has the wheel installed as any user would, and everything else from here.

    The outer site-packages come in by a path file: what they hold is found, but their own path
    files (the editable install of this checkout) are not read again.
    """
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    python = venv / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps"]
    run(*install, "--no-index", "--quiet", wheel, cwd=tmp_path)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_an_ordinary_install_collects_the_heartbeat_from_any_folder(
    installed: Path, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "platform.toml").write_text(MINIMAL)
    output = run(
        installed,
        "-m",
        "pytest",
        "--vdk-config=platform.toml",
        "--collect-only",
        "-q",
        cwd=work,
    )
    assert "heartbeat[hello-platform]::" in output
    assert str(ROOT) not in output
