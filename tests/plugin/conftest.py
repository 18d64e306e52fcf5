"""Inner runs of pytest with a configuration, and scenarios small enough to be read in a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# Imported here so that inner runs, which forget what they import, find it loaded: a sandbox keeps a
# schema, which would be one of another graphql.
import graphql  # noqa: F401 - as above
import pytest

import pytest_vdkprobe.activation
import pytest_vdkprobe.fixtures
import pytest_vdkprobe.history.looking_back
import pytest_vdkprobe.store.sqlite  # noqa: F401 - see above
from pytest_vdkprobe.history import recorder
from pytest_vdkprobe.observe import history

PLATFORM = """
[control]
url = "http://127.0.0.1:9"
team = "platform"

[[jobs]]
name = "hello-platform"
"""

HEAD = """
import pytest
from pytest_vdkprobe.errors import ConfigError, NoEvidence, PlatformFailure, ProbeError
from pytest_vdkprobe.waiting import Deadline, wait_until

pytestmark = pytest.mark.vdk_journey("jobs")
step = pytest.mark.vdk_step
"""

THREE = """
@step
def test_create(vdk_step): vdk_step.evidence("created")

@step(needs=["create"])
def test_run(vdk_step): vdk_step.evidence("ran")

@step(needs=["create"], cleanup=True)
def test_delete(vdk_step): vdk_step.evidence("deleted")
"""

LEAN = ("-p", "no:hypothesispytest", "-p", "no:anyio")
"""Development's own plugins, which would cost each inner run a second."""

STUB_JOB = """
import pytest

class Job:
    secrets_offered = True
    def __init__(self, run): self._run = run
    def __getattr__(self, name): return lambda: self._run.step.evidence("stub " + name)

@pytest.fixture(scope="module")
def vdk_job(vdk_run, vdk_subject):
    yield Job(vdk_run)
"""
"""A conftest that plays every step of the shipped heartbeat without a platform."""


@pytest.fixture(autouse=True)
def patient_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take longer to make a history's tables than a run waits for that."""
    for module in (recorder, history):
        monkeypatch.setattr(module, "PATIENCE_S", 60.0)


class Probe:
    """Runs pytest on a scenario in a folder of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.config = self.write("platform.toml", PLATFORM)

    def write(self, name: str, text: str) -> Path:
        """A file below the test's folder."""
        path = self.pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def jobs(self, *names: str) -> None:
        """Configure these jobs instead of the one."""
        head, _, _ = PLATFORM.partition("[[jobs]]")
        self.write("platform.toml", head + "".join(f'[[jobs]]\nname = "{n}"\n' for n in names))

    def scenario(self, body: str, name: str = "test_mine.py") -> Path:
        """A user's scenario."""
        return self.write(name, HEAD + body)

    def run(self, *args: str) -> pytest.RunResult:
        """Run it in this process."""
        return self.pytester.runpytest_inprocess(f"--vdk-config={self.config}", *LEAN, *args)

    def run_apart(self, *args: str) -> pytest.RunResult:
        """Run it in a process of its own: for exit codes, signals and workers."""
        config = f"--vdk-config={self.config}"
        return self.pytester.runpytest_subprocess(config, *LEAN, *args, timeout=180)

    def ids(self, *args: str) -> list[str]:
        """The ids that would run, in their order."""
        result = self.run("--collect-only", "-q", *args)
        return [line for line in result.outlines if "::" in line and " " not in line]


@pytest.fixture
def probe(pytester: pytest.Pytester) -> Probe:
    """Runs pytest with a configuration of one job."""
    return Probe(pytester)


@pytest.fixture
def verdicts(probe: Probe) -> Callable[..., dict[str, str]]:
    """Runs a scenario and tells each step's verdict, as the report file has it."""
    import json

    def run(body: str, *args: str) -> dict[str, str]:
        probe.scenario(body)
        probe.run("test_mine.py", "--vdk-report=report.json", *args)
        report = json.loads((probe.pytester.path / "report.json").read_text())
        return {s["step"]: s["verdict"] for j in report["journeys"] for s in j["steps"]}

    return run
