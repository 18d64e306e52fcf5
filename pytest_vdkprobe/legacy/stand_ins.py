"""Stand-ins for what run tests import of vdk-heartbeat, where that is not installed.

A run test begins with `from vdk.internal.heartbeat.heartbeat_test import HeartbeatTest`. With the
package beside us that works; without it these modules take its place, with the few names that run
tests use, so that nobody has to install what they are leaving.
"""

from __future__ import annotations

import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.legacy.config_object import HeartbeatConfig

if TYPE_CHECKING:
    from pytest_vdkprobe.control.client import ControlClient

F = TypeVar("F")
PACKAGES = ("vdk.internal.heartbeat", "taurus.vdk.heartbeat")
"""Its name, and the one before that."""


class HeartbeatTest(ABC):
    """The base of run tests: three methods, and the configuration as `self.config`."""

    def __init__(self, config: HeartbeatConfig) -> None:
        self.config = config

    @abstractmethod
    def setup(self) -> None:
        """Get ready."""

    @abstractmethod
    def execute_test(self) -> None:
        """Verify; returning is a pass, raising a failure."""

    @abstractmethod
    def clean_up(self) -> None:
        """Remove what `setup` made."""


class LogDecorator:
    """There it logs calls with their arguments; here it does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, function: F) -> F:
        """The function itself."""
        return function


class JobController:
    """What run tests ask of the job, answered by the run's own client."""

    client: ControlClient | None = None
    """That of the journey under way; set before a run test is constructed."""

    def __init__(self, config: HeartbeatConfig) -> None:
        self.config = config

    def login(self, *_: object) -> None:
        """The client has logged in already."""

    def get_job_properties(self, *_: object) -> dict[str, Any]:
        """The job's properties."""
        return dict(self._client.properties(self.config.job_name))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise ProbeError(
            f"The run test calls JobController.{name}, which has no stand-in here.",
            seen="vdk-heartbeat is not installed beside pytest-vdkprobe",
            expected="one of login, get_job_properties",
            to_try="install vdk-heartbeat in the same environment, or use the fixture vdk_control "
            "in a scenario of your own",
        )

    @property
    def _client(self) -> ControlClient:
        if self.client is None:
            raise ProbeError("There is no Control Service client yet.")
        return self.client


def provide() -> None:
    """Make the modules importable where vdk-heartbeat is not."""
    for package in PACKAGES:
        if _installed(package):
            continue
        parts: list[str] = []
        for part in package.split("."):
            parts.append(part)
            _module(".".join(parts), package=True)
        for name, names in MODULES.items():
            vars(_module(f"{package}.{name}")).update(names)


MODULES: dict[str, dict[str, object]] = {
    "config": {"Config": HeartbeatConfig},
    "heartbeat_test": {"HeartbeatTest": HeartbeatTest},
    "heartbeat_base_test": {"HeartbeatBaseTest": HeartbeatTest},
    "job_controller": {"JobController": JobController},
    "tracing": {"LogDecorator": LogDecorator},
}


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(f"{package}.heartbeat_test") is not None
    except (ImportError, ValueError):
        return False


def _module(name: str, *, package: bool = False) -> ModuleType:
    """The module of that name; what is really there, vdk itself say, stays what it is."""
    found = sys.modules.get(name)
    if found is None:
        try:
            there = package and importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            there = False
        found = importlib.import_module(name) if there else ModuleType(name, "A stand-in.")
        if package and not hasattr(found, "__path__"):
            found.__path__ = []
        sys.modules[name] = found
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, found)
    return found
