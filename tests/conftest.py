"""What every test may rely on: an environment that is nobody's but its own.

Inner runs of pytest inherit the outer one's environment: xdist's variables would make them workers,
ours would configure them, and a developer's own leases are not a test's to find.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pytest_vdkprobe.config import registry
from pytest_vdkprobe.config.sections import SECTIONS
from pytest_vdkprobe.secrets import REDACTOR

pytest_plugins = ["pytester"]

CI_NAMES = ("CI", "BUILD_NUMBER")
SHIPPED = frozenset(SECTIONS)

# How long an example takes, or is made, says more of who shares the machine than of us.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores it, and so would every process that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """A temporary folder for all workers and what they start, which goes with the last of them.

    A red run keeps its evidence for its user, and a killed one what it had; here both are tests.
    """
    if hasattr(config, "workerinput"):
        return
    outside = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="vdkprobe-tests-")
    Path(folder).chmod(0o711)  # root's PostgreSQL runs as nobody
    changed = pytest.MonkeyPatch()
    changed.setenv("TMPDIR", folder)
    changed.setattr(tempfile, "tempdir", folder)
    # What a test wrote into its tmp_path is looked at after it has failed.
    changed.setenv("PYTEST_DEBUG_TEMPROOT", os.environ.get("PYTEST_DEBUG_TEMPROOT", outside))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    config.add_cleanup(changed.undo)


@pytest.fixture(autouse=True)
def own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test made a secret is forgotten after it: "wrong" may be another test's plain word."""
    monkeypatch.setattr(REDACTOR, "_forms", set(REDACTOR._forms))
    monkeypatch.setattr(REDACTOR, "_long", REDACTOR._long)
    monkeypatch.setattr(REDACTOR, "_pattern", REDACTOR._pattern)


@pytest.fixture(autouse=True)
def own_kinds() -> None:
    """What a test's conftest has registered is forgotten: the next may call its own alike."""
    for one in registry.EVERY:
        one.forget()
    for name in SECTIONS.keys() - SHIPPED:
        del SECTIONS[name]


@pytest.fixture(autouse=True)
def own_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No settings from outside, a fixed terminal width, a home for state that is thrown away."""
    for name in list(os.environ):
        # With CI or BUILD_NUMBER set, pytest cuts no line of its short summary.
        if name.startswith(("PYTEST_XDIST_", "VDKPROBE_", "PYTEST_ADDOPTS")) or name in CI_NAMES:
            monkeypatch.delenv(name)
    state: Path = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
