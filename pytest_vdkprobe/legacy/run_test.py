"""A run test of vdk-heartbeat's kind, played by steps of ours.

There a class is constructed with the configuration, `setup` is called before the job runs,
`execute_test` after, `clean_up` at the end; what raises has failed. Here each call has a deadline
that it can't outlive, and `clean_up` is called whatever happened.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.config.registry import in_short, place_of, raised_at, refuse_lacking
from pytest_vdkprobe.errors import ConfigError, Finding, PlatformFailure, ProbeError
from pytest_vdkprobe.legacy import stand_ins
from pytest_vdkprobe.legacy.config_object import HeartbeatConfig
from pytest_vdkprobe.workers import Abandoned, Workers

if TYPE_CHECKING:
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.jobs.settings import RunTestSettings
    from pytest_vdkprobe.waiting import Deadline

METHODS = ("setup", "execute_test", "clean_up")


class RunTest:
    """One instance of the user's class."""

    def __init__(self, kind: type, config: HeartbeatConfig, client: ControlClient) -> None:
        stand_ins.JobController.client = client
        self._kind = kind
        self._config = config
        self._made: Any = None
        self._cleaned = False
        self._workers = Workers()

    def setup(self, *, deadline: Deadline) -> str:
        """Construct it and let it get ready."""

        def act() -> None:
            self._made = self._kind(self._config)
            self._made.setup()

        return self._call("setup", act, deadline)

    def execute_test(self, *, deadline: Deadline) -> str:
        """Let it verify."""
        return self._call("execute_test", self._made.execute_test, deadline)

    def clean_up(self, *, deadline: Deadline) -> str:
        """Let it remove what it made."""
        self._cleaned = True
        return self._call("clean_up", self._made.clean_up, deadline)

    def close(self, *, deadline: Deadline) -> None:
        """Clean up if no step has done so, and let its threads end. May be called again."""
        try:
            if self._made is not None and not self._cleaned:
                self.clean_up(deadline=deadline)
        finally:
            self._workers.close()

    def _call(self, method: str, act: Callable[[], object], deadline: Deadline) -> str:
        name = f"{self._kind.__name__}.{method}"
        started = time.monotonic()
        try:
            self._workers.run(lambda _: act(), timeout_s=deadline.remaining_s())
        except Abandoned as exc:
            raise PlatformFailure(
                f"{name} did not return within {deadline.name}.",
                seen=f"still running after {time.monotonic() - started:.1f} s",
                expected="that it returns, or raises",
                checked=place_of(self._kind),
                to_try="see what it waits for; RUN_TEST_TIMEOUT_SECONDS, or run.step_timeout_s, "
                "is its limit",
            ) from exc
        except Finding:
            raise
        except Exception as exc:
            # What vdk-heartbeat's contract calls a failure; getting ready says nothing about the
            # platform's answer, so there it is ours.
            kind = PlatformFailure if method == "execute_test" else ProbeError
            raise kind(
                f"{name} raised {type(exc).__name__}: {exc}",
                seen=f"after {time.monotonic() - started:.1f} s",
                expected="that it returns",
                checked=raised_at(exc) or place_of(self._kind),
            ) from exc
        return f"{name} returned after {time.monotonic() - started:.1f} s"


def load(settings: RunTestSettings, *, base_dir: Path, file: str, key: str) -> type:
    """The class, imported and looked at. Raises ConfigError, which names file, key and remedy."""
    stand_ins.provide()
    for folder in (Path.cwd(), base_dir.absolute()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    try:
        module = importlib.import_module(settings.module)
    except Exception as exc:
        raise ConfigError(
            f"The run test's module {settings.module} can't be imported.",
            file=file,
            key=f"{key}.module",
            value=settings.module,
            expected="a module that is installed, on PYTHONPATH, or beside the configuration",
            to_try=f"correct it: {in_short(exc)} ({raised_at(exc) or 'nowhere in its own code'})",
        ) from exc
    kind = getattr(module, settings.class_name, None)
    if not isinstance(kind, type):
        names = sorted(n for n, v in vars(module).items() if isinstance(v, type) and n[0] != "_")
        raise ConfigError(
            f"The module {settings.module} has no class {settings.class_name}.",
            file=file,
            key=f"{key}.class_name",
            value=settings.class_name,
            expected="one of " + (", ".join(names) or "none: the module has no class"),
            to_try=f"look into {module.__file__}",
        )
    lacks = [name for name in METHODS if not callable(getattr(kind, name, None))]
    lacks += sorted(getattr(kind, "__abstractmethods__", ()))
    refuse_lacking("run test", settings.class_name, list(dict.fromkeys(lacks)), kind)
    return kind
