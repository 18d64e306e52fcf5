"""Runs a job's steps in this process: for benchmarks and fault tests, where milliseconds count.

It plays the simple part of the real `vdk`: the numbered Python steps, one after the other, with an
`IJobInput` whose properties and secrets travel over the service's own API. SQL steps, queries,
ingestion and templates need the real one: a job that uses them ends as `platform_error` and its log
says so. Code is trusted here: it runs with this process's rights.

A step's module gets builtins of its own, in which `import time` and `import logging` give stand-ins
and `print` writes to the job's log. So a sleeping job can be cancelled, and its records reach its
own log and not this process's. A thread can't be killed: one that waits elsewhere (a lock, a
socket) is interrupted at its next line of Python, while its execution is cancelled at once.
"""

from __future__ import annotations

import builtins
import ctypes
import logging
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from pytest_vdkprobe.sandbox.executor import FinalStatus, JobRun, Outcome
from pytest_vdkprobe.sandbox.job_documents import PlatformUnavailable
from pytest_vdkprobe.sandbox.job_input import InstantJobInput, SkipRest, Unsupported

VERSION = "instant"
"""What an execution shows as its vdk version: nobody should take it for the real one."""

INTERRUPT_AFTER_S = 0.05
"""How long a cancelled job may take to wake by itself."""
INTERRUPTIONS = 200
"""How often one that catches everything is interrupted; after that its thread is left alone."""


class Cancelled(BaseException):
    """Thrown into a job's thread; no `except Exception` of its code swallows it."""


class InstantExecutor:
    """Runs each job in a thread of this process."""

    def __init__(self) -> None:
        self._runs: list[InstantRun] = []

    def prepare(self, sources: Path) -> None:
        """Nothing to build: what the steps import must be importable here."""

    def start(self, run: JobRun) -> InstantRun:
        """Start the job in a thread."""
        started = InstantRun(run)
        # Begun before it is listed: whoever closes meanwhile joins only threads that run.
        started.begin()
        self._runs = [one for one in self._runs if one.poll() is None] + [started]
        return started

    def close(self) -> None:
        """Interrupt every run."""
        for run in self._runs:
            run.cancel()


class InstantRun:
    """One job in its thread."""

    def __init__(self, run: JobRun) -> None:
        self._run = run
        self._lines: list[str] = []
        self._outcome: Outcome | None = None
        self._cancel = threading.Event()
        self._guard = threading.Lock()
        self._in_step = False
        self._thread = threading.Thread(target=self._work, name=run.execution_id, daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def poll(self) -> Outcome | None:
        """The outcome, once there is one."""
        return self._outcome

    def log(self) -> str:
        """The lines so far."""
        return "\n".join(self._lines)

    def cancel(self) -> None:
        """Wake the job's sleeps; if that is not enough, interrupt its code until it ends."""
        if not self._cancel.is_set():
            self._cancel.set()
            threading.Thread(target=self._insist, name="sandbox-reaper", daemon=True).start()

    def sleep(self, seconds: float) -> None:
        """What `time.sleep` is to the job: ends at once when the job is cancelled."""
        if self._cancel.wait(seconds):
            raise Cancelled

    def write(self, line: str) -> None:
        """Add a line to the job's log."""
        self._lines.append(line)

    def _insist(self) -> None:
        self._thread.join(INTERRUPT_AFTER_S)
        for _ in range(INTERRUPTIONS):
            with self._guard:
                # Outside of the job's code it would hit ours, which sees the event by itself.
                if self._in_step and self._thread.ident is not None:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(self._thread.ident), ctypes.py_object(Cancelled)
                    )
            self._thread.join(INTERRUPT_AFTER_S)
            if not self._thread.is_alive():
                return

    def _work(self) -> None:
        with suppress(Cancelled):
            self._play()

    def _play(self) -> None:
        run = self._run
        self._note(f"Running data job {run.job_name}, execution {run.execution_id}")
        status, why = self._steps()
        self._note(
            f"Job execution result: {'SUCCESS' if status == 'succeeded' else 'ERROR'}. {why}"
        )
        self._outcome = Outcome(status, vdk_version=VERSION)

    def _steps(self) -> tuple[FinalStatus, str]:
        """Run all steps; the final status and why it is that."""
        job_input = InstantJobInput(self._run)
        world = World(self)
        found = self._run.sources.iterdir()
        steps = sorted(path for path in found if path.suffix in {".py", ".sql"})
        try:
            for step in steps:
                self._step(world, step, job_input)
        except SkipRest:
            return "succeeded", "The remaining steps were skipped."
        except Unsupported as exc:
            return "platform_error", f"The instant executor does not run {exc}: use the real vdk."
        except PlatformUnavailable as exc:
            return "platform_error", str(exc)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever user code raises
            self.write("".join(traceback.format_exception(exc)).rstrip())
            return "user_error", f"{type(exc).__name__}: {exc}"
        finally:
            job_input.close()
        return ("succeeded", "") if steps else ("user_error", "The job has no steps.")

    def _step(self, world: World, step: Path, job_input: InstantJobInput) -> None:
        if step.suffix == ".sql":
            raise Unsupported(f"the SQL step {step.name}")
        entry = getattr(world.load(step), "run", None)
        if not callable(entry):
            return
        self._note(f"Step {step.name}")
        self.sleep(0)
        with self._guard:
            self._in_step = True
        try:
            entry(job_input=job_input)
        finally:
            with self._guard:
                self._in_step = False

    def _note(self, text: str) -> None:
        self.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z [VDK] {text}")


class World:
    """What a job's modules see instead of the process's builtins, `time` and `logging`."""

    def __init__(self, run: InstantRun) -> None:
        self._modules: dict[str, ModuleType] = {
            "time": _copy(time, sleep=run.sleep),
            "logging": _private_logging(run),
        }
        self._folder: Path | None = None
        self._builtins = {**vars(builtins), "__import__": self._import}
        self._builtins["print"] = lambda *values, sep=" ", end="", file=None, flush=False: (
            run.write((sep or "").join(map(str, values)))
            if file is None
            else print(*values, sep=sep, end=end, file=file, flush=flush)
        )

    def load(self, path: Path, name: str | None = None) -> ModuleType:
        """Execute a file of the job as a module of this world."""
        self._folder = path.parent
        module = ModuleType(name or path.stem)
        module.__file__ = str(path)
        module.__dict__["__builtins__"] = self._builtins
        if name is not None:
            self._modules[name] = module
        code = compile(path.read_bytes(), str(path), "exec")
        exec(code, module.__dict__)  # noqa: S102 - running the job's code is what this is for
        return module

    def _import(
        self,
        name: str,
        global_names: Mapping[str, object] | None = None,
        local_names: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and name in self._modules:
            return self._modules[name]
        # The real vdk puts the job's folder on sys.path; a process that runs many jobs can't.
        if level == 0 and self._folder is not None and "." not in name:
            sibling = self._folder / f"{name}.py"
            if sibling.is_file():
                return self.load(sibling, name)
        return builtins.__import__(name, global_names, local_names, fromlist, level)


def _copy(module: ModuleType, **changes: object) -> ModuleType:
    stand_in = ModuleType(module.__name__, module.__doc__)
    stand_in.__dict__.update(vars(module), **changes)
    return stand_in


def _private_logging(run: InstantRun) -> ModuleType:
    """The logging module with a tree of loggers of its own, which ends in the job's log."""

    class ToLog(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            run.write(self.format(record))

    handler = ToLog()
    form = "%(asctime)s [%(levelname)-5.5s] %(name)s - %(message)s"
    handler.setFormatter(logging.Formatter(form))
    root = logging.RootLogger(logging.INFO)
    root.addHandler(handler)
    manager = logging.Manager(root)

    def get_logger(name: str | None = None) -> logging.Logger:
        return manager.getLogger(name) if name else root

    shortcuts = ("debug", "info", "warning", "error", "exception", "critical", "log")
    return _copy(
        logging,
        root=root,
        getLogger=get_logger,
        basicConfig=lambda **_options: None,
        **{name: getattr(root, name) for name in shortcuts},
    )
