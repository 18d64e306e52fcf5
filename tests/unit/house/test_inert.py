"""Without --vdk-config the plugin adds its options and nothing else: a bare run does not pay."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

HEAVY = {"requests", "msgspec", "kafka", "trino", "sqlalchemy", "alembic", "croniter"}
HEAVY |= {"starlette", "uvicorn", "graphql", "psycopg2", "prometheus_client", "rich"}
OURS = {"pytest_vdkprobe", "pytest_vdkprobe.plugin", "pytest_vdkprobe.hookspecs"}

DRIVER = """
import json, sys, pytest
code = pytest.main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump({"code": int(code), "modules": sorted(sys.modules)}, file)
"""


def bare_pytest(folder: Path, *arguments: str) -> tuple[int, set[str], str]:
    """Exit code, modules imported and output of pytest on one small test, the plugin installed."""
    (folder / "test_small.py").write_text("def test_small(): pass\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    result = folder / "result.json"
    installed = any(point.name == "vdkprobe" for point in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "pytest_vdkprobe.plugin"]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(result), *plugin, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    seen = json.loads(result.read_text())
    return seen["code"], set(seen["modules"]), done.stdout


@pytest.mark.parametrize("arguments", [[], ["--collect-only"], ["--help"]], ids=" ".join)
def test_no_driver_and_no_room_is_imported(tmp_path: Path, arguments: list[str]) -> None:
    _, modules, _ = bare_pytest(tmp_path, *arguments)
    assert "pytest_vdkprobe.plugin" in modules
    assert {name.split(".")[0] for name in modules} & HEAVY == set()
    assert {name for name in modules if name.split(".")[0] == "pytest_vdkprobe"} <= OURS


def test_a_bare_run_looks_as_it_would_without(tmp_path: Path) -> None:
    code, _, output = bare_pytest(tmp_path)
    assert code == 0
    assert "1 passed" in output
    assert "vdk" not in output.replace("vdkprobe-", "").split("test_small.py")[-1]
