"""Runs deployed jobs with the real `vdk run`, one process group each, as a platform's pods do.

What a job may see is built here, never inherited: its settings, a home and a working folder of its
own, the way to the Control Service. How it ended comes from the termination message that vdk writes
for the platform, as on a real one. Starting vdk costs 0.6 s, nearly all of it imports, so one
process is kept waiting with those done; it takes the next job.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox import environment, job_process
from pytest_vdkprobe.sandbox.bounded_log import BoundedLog
from pytest_vdkprobe.sandbox.environment import Environment, Progress
from pytest_vdkprobe.sandbox.executor import BuildError, FinalStatus, JobRun, Outcome

STATUSES: dict[str, FinalStatus] = {
    "Success": "succeeded",
    "User error": "user_error",
    "Platform error": "platform_error",
    "Skipped": "skipped",
}
"""The words of vdk's termination message (vdk-core, termination_message/writer.py)."""

DRAIN_S = 0.5
"""How long the log of an ended job is waited for when something that left its group holds it."""
KILLED_WITHIN_S = 5.0
NEVER_EXPIRES_S = 10 * 365 * 24 * 3600


class VdkExecutor:
    """The executor that runs jobs truly. Raises ProbeError if vdk's environment can't be made."""

    def __init__(
        self,
        *,
        settings: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        keep_ready: bool = True,
    ) -> None:
        """`settings` are environment variables that every job gets, such as `VDK_TRINO_HOST`."""
        if os.name != "posix":
            raise ProbeError("The vdk executor needs process groups, which this system has not.")
        self._base = environment.fetch("vdk", progress=progress)
        self._settings = dict(settings or {})
        self._progress = progress
        self._keep_ready = keep_ready
        self._environments: dict[Path, Environment] = {}
        self._running: set[VdkProcess] = set()
        self._ready: VdkProcess | None = None
        self._closed = False
        self._lock = threading.Lock()
        # Every job holds the reading end; the kernel closes ours however this process ends.
        self._lifeline, self._held = os.pipe()
        atexit.register(self.close)
        self._make_ready(self._base)

    def prepare(self, sources: Path) -> None:
        """Install what the job's `requirements.txt` asks for, once for each content."""
        self._make_ready(self._prepared(sources))

    def start(self, run: JobRun) -> VdkProcess:
        """Hand the job to the process that waits for one, or to a new one; else OSError."""
        try:
            wanted = self._environments.get(run.sources) or self._prepared(run.sources)
        except BuildError as exc:
            raise ChildProcessError(str(exc)) from exc
        with self._lock:
            if self._closed:
                raise ChildProcessError("the executor is closed")
            ready, self._ready = self._ready, None
            if ready is None or ready.environment != wanted or not ready.alive():
                unfit, ready = ready, self._spawn(wanted)
            else:
                unfit = None
            self._running.add(ready)
        if unfit is not None:
            unfit.cancel()
        ready.on_end = self._ended
        try:
            ready.begin(run)
        except OSError:
            ready.cancel()
            raise
        return ready

    def close(self) -> None:
        """End every job, and forget what they wrote."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            running = [*self._running, *([self._ready] if self._ready else [])]
            self._ready = None
        atexit.unregister(self.close)
        for process in running:
            process.cancel()
        os.close(self._held)
        os.close(self._lifeline)

    def _prepared(self, sources: Path) -> Environment:
        made = environment.layer(self._base, sources, progress=self._progress)
        self._environments[sources] = made
        return made

    def _ended(self, process: VdkProcess) -> None:
        with self._lock:
            self._running.discard(process)
        self._make_ready(process.environment)

    def _make_ready(self, wanted: Environment) -> None:
        """See to it that a process of this environment waits for the next job."""
        with self._lock:
            stale = self._ready
            if self._closed or not self._keep_ready or (stale and stale.environment == wanted):
                return
            self._ready = self._spawn(wanted)
        if stale is not None:
            stale.cancel()

    def _spawn(self, wanted: Environment) -> VdkProcess:
        return VdkProcess(wanted, base=self._base, settings=self._settings, lifeline=self._lifeline)


class VdkProcess:
    """One process that waits for its job, runs it, and is gone."""

    def __init__(
        self,
        environ: Environment,
        *,
        base: Environment,
        settings: Mapping[str, str],
        lifeline: int,
    ) -> None:
        self.environment = environ
        self.on_end: Callable[[VdkProcess], None] = _nobody
        self._base = base
        self._folder = Path(tempfile.mkdtemp(prefix="vdkprobe-job-"))
        self._outcome: Outcome | None = None
        self._exited_at: float | None = None
        self._lock = threading.Lock()
        self._log = BoundedLog()
        for name in ("home", "tmp", "work"):
            (self._folder / name).mkdir()
        launcher = str(Path(job_process.__file__))
        self._process = subprocess.Popen(
            [environ.python, "-u", "-P", "-B", launcher, str(lifeline), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder / "work",
            env=_environ(self._folder, environ, base) | dict(settings),
            pass_fds=(lifeline,),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="job-log", daemon=True)
        self._reader.start()

    def alive(self) -> bool:
        """Whether it can still take or run a job."""
        return self._process.poll() is None

    def begin(self, run: JobRun) -> None:
        """Tell the process what its job is. Raises OSError if it is no longer there."""
        job = {
            "environ": self._run_environ(run),
            "sources": str(run.sources),
            "arguments": run.arguments,
        }
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - asked for above
        pipe.write(json.dumps(job).encode() + b"\n")
        pipe.close()

    def poll(self) -> Outcome | None:
        """The outcome once the process has ended and its log is complete."""
        with self._lock:
            if self._outcome is None and self._process.poll() is not None:
                if self._exited_at is None:
                    self._exited_at = time.monotonic()
                    self._kill_group()  # a pod, too, ends with its main process
                overdue = time.monotonic() - self._exited_at > DRAIN_S
                if overdue or not self._reader.is_alive():
                    self._outcome = self._read_outcome()
                    shutil.rmtree(self._folder, ignore_errors=True)
                    ended = True
                else:
                    ended = False
            else:
                ended = False
        if ended:
            self.on_end(self)
        return self._outcome

    def log(self) -> str:
        """What the job has written so far to standard output and error."""
        return self._log.text()

    def cancel(self) -> None:
        """End the job and whatever it started."""
        with self._lock:
            if self._outcome is not None:
                return
            self._kill_group()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(KILLED_WITHIN_S)
            if self._process.stdin:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            self._outcome = Outcome("platform_error", "The job was ended from outside.")
            shutil.rmtree(self._folder, ignore_errors=True)
        self.on_end(self)

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 - asked for above
        with pipe:
            while data := os.read(pipe.fileno(), 65536):
                self._log.write(data)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _read_outcome(self) -> Outcome:
        """As the platform reads it: the termination message, or else the exit code."""
        try:
            told = json.loads((self._folder / "termination").read_text("utf-8"))
            return Outcome(STATUSES[told["status"]], vdk_version=str(told.get("vdk_version", "")))
        except (OSError, ValueError, KeyError, TypeError):
            status: FinalStatus = "succeeded" if self._process.returncode == 0 else "platform_error"
            return Outcome(status)

    def _run_environ(self, run: JobRun) -> dict[str, str]:
        """What only this job gets."""
        environ = {
            "VDK_CONTROL_SERVICE_REST_API_URL": run.control_service_url,
            "VDK_TEAM": run.team,
            "VDK_EXECUTION_ID": run.execution_id,
            "VDK_OP_ID": run.op_id,
        }
        if run.token is not None:
            self._log_in(run.token)
        if run.ca_file is not None:
            bundle = self._folder / "ca.pem"
            public = self._base.site_packages / "certifi" / "cacert.pem"
            bundle.write_bytes(public.read_bytes() + run.ca_file.read_bytes())
            environ |= {"SSL_CERT_FILE": str(bundle), "REQUESTS_CA_BUNDLE": str(bundle)}
        return environ

    def _log_in(self, token: str) -> None:
        """Leave the token where vdk keeps the one of a login: in a file, not in an argument."""
        folder = self._folder / "home" / ".vdk.internal"
        folder.mkdir(exist_ok=True)
        path = folder / "vdk-cred.json"
        path.touch(mode=0o600)
        until = time.time() + NEVER_EXPIRES_S
        path.write_text(json.dumps({"access_token": token, "access_token_expiration_time": until}))


def _environ(folder: Path, environ: Environment, base: Environment) -> dict[str, str]:
    """What every job gets, as a platform's image and deployer would set it."""
    binaries = [environ.folder / "bin", base.folder / "bin", "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(str(path) for path in dict.fromkeys(binaries)),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        # The sources are shared by every run: no bytecode is written into them.
        "PYTHONDONTWRITEBYTECODE": "1",
        "VDK_LOG_CONFIG": "CLOUD",
        "VDK_TEMPORARY_WRITE_DIRECTORY": str(folder / "tmp"),
        "VDK_TERMINATION_MESSAGE_WRITER_ENABLED": "true",
        "VDK_TERMINATION_MESSAGE_WRITER_OUTPUT_FILE": str(folder / "termination"),
        "VDK_PROPERTIES_DEFAULT_TYPE": "control-service",
        "VDK_VERSION_CHECK_DISABLED": "true",
        "VDK_NOTIFICATION_ENABLED": "false",
    }


def _nobody(_: VdkProcess) -> None:
    return
