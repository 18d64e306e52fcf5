"""`vdkprobe check` knows what the folder's conftest.py brings, as a run in that folder does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.docs.blocks import ROOT


@pytest.fixture
def own_ends(tmp_path: Path) -> Path:
    """The example whose target and reader only its conftest.py knows."""
    folder = tmp_path / "mine"
    shutil.copytree(ROOT / "conftest_examples" / "own_ends", folder)
    # Settings of pytest that a run would act on, and a check must not.
    (folder / "pytest.ini").write_text("[pytest]\nvdk_config = sandbox\naddopts = -n 2 --lf\n")
    return folder


def check(folder: Path, *args: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest_vdkprobe.cli.main", "check", "platform.toml", *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def test_kinds_of_the_folders_conftest_are_known_and_tried(own_ends: Path) -> None:
    before = {path.name for path in own_ends.iterdir()}
    code, said = check(own_ends, "--connect")
    assert code == 0, said
    assert "The configuration is usable, and what it points to answers." in said
    assert {path.name for path in own_ends.iterdir()} - before <= {"__pycache__"}


def test_a_setting_that_such_a_kind_does_not_have_is_refused(own_ends: Path) -> None:
    code, said = check(own_ends, "--set", "routes.0.target.tabel=x")
    assert (code, "has no setting tabel" in said) == (4, True), said


def test_without_the_conftest_it_is_said_where_kinds_come_from(own_ends: Path) -> None:
    (own_ends / "conftest.py").write_text("raise SystemError('not ours, not loaded')\n")
    code, said = check(own_ends)
    assert code == 4
    assert "There is no kind of target called" in said
    assert "from the conftest.py of the folder" in said


def test_a_conftest_that_can_not_be_loaded_is_told(own_ends: Path) -> None:
    with (own_ends / "conftest.py").open("a") as file:
        file.write("import no_such_module\n")
    code, said = check(own_ends)
    assert code == 4
    assert "conftest.py" in said
    assert "No module named 'no_such_module'" in said


def test_a_kind_that_lacks_something_is_told_by_name(own_ends: Path) -> None:
    with (own_ends / "conftest.py").open("a") as file:
        file.write("def pytest_vdkprobe_register(config, kinds):\n    kinds.auth('card', object)\n")
    code, said = check(own_ends)
    assert code == 4
    assert "The login card lacks settings" in said
    assert "Traceback" not in said


def test_a_hook_that_breaks_and_one_that_objects_are_told_as_a_run_does(own_ends: Path) -> None:
    conftest = own_ends / "conftest.py"
    text = conftest.read_text()
    broken = "def pytest_vdkprobe_configured(config, configuration):\n    raise RuntimeError('x')\n"
    conftest.write_text(text + broken)
    code, said = check(own_ends)
    assert code == 4
    assert "The hook pytest_vdkprobe_configured of conftest.py broke: RuntimeError: x." in said
    assert "Traceback" not in said
    objecting = "from pytest_vdkprobe.api import ConfigError\n" + broken.replace(
        "raise RuntimeError('x')", "return ConfigError('Not on a Friday.', key='routes')"
    )
    conftest.write_text(text + objecting)
    code, said = check(own_ends)
    assert (code, "Not on a Friday." in said) == (4, True), said
