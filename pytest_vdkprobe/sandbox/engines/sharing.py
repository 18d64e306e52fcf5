"""One set of engines for a whole run: whoever asks first has it started, all get its addresses.

`begin()` in the process that the run hangs on, hand the `Run` to all others (it is plain data), and
`acquire(["kafka"], run=run)` wherever an engine is needed. They start when they are first asked
for, side by side, and end with the owner even if that is killed; `end()` is the orderly way.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pytest_vdkprobe.errors import ProbeError, WaitFailure
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox import environment
from pytest_vdkprobe.sandbox.engines import supervisor
from pytest_vdkprobe.sandbox.engines.addresses import ENGINES, Addresses
from pytest_vdkprobe.sandbox.engines.messages import Answer, Notice, Question, Run
from pytest_vdkprobe.sandbox.environment import Progress
from pytest_vdkprobe.waiting import Deadline, wait_until

SUPERVISOR_LIMIT_S = 30.0
END_LIMIT_S = 30.0
LOG_LINES_SHOWN = 12


def begin(*, owner: Process | None = None) -> Run:
    """A run that hangs on `owner` (default: this process). Starts nothing, creates nothing."""
    folder = Path(tempfile.gettempdir()) / f"vdkprobe-run-{secrets.token_hex(6)}"
    return Run(folder=str(folder), owner=owner or Process.current())


def acquire(names: Iterable[str], *, run: Run, progress: Progress | None = None) -> Addresses:
    """The addresses of these engines, which are truly ready when this returns.

    From any process of the run. Others that run already may be in it too. Raises ProbeError when
    one can't be fetched, does not come up, or ended since it was started.
    """
    wanted = tuple(names)
    if not wanted:
        return Addresses()
    unknown = sorted(set(wanted) - set(ENGINES))
    if unknown:
        raise ProbeError(
            f"There is no engine {unknown[0]!r}.", expected=f"some of {', '.join(ENGINES)}"
        )
    answer = _ask(Question(names=wanted), _listening(run), progress)
    assert answer.addresses is not None  # noqa: S101 - _ask returns no other
    return answer.addresses


def restart(name: str, *, run: Run) -> None:
    """Stop an engine that runs, and start it again with its data. Everybody's connections break.

    Raises ProbeError when there is none, or when it does not come up again.
    """
    notice = _notice(run)
    if notice is None:
        raise ProbeError(f"No {name} runs that could be restarted.")
    _ask(Question(restart=name), notice, None)


def require_alive(run: Run) -> Addresses:
    """Raise ProbeError, with the end of its log, if an engine of the run ended by itself."""
    notice = _notice(run)
    if notice is None:
        return Addresses()
    answer = _ask(Question(), notice, None)
    return answer.addresses or Addresses()


def end(run: Run) -> None:
    """Stop all engines of the run and see that they are gone. Idempotent."""
    notice = _notice(run)
    if notice is None:
        return
    try:
        with _connect(notice) as connection:
            connection.sendall(msgspec.json.encode(Question(stop=True)) + b"\n")
    except OSError:
        pass  # it is ending already; its children and folders go with it
    wait_until(
        "the end of the sandbox's engines",
        # Its folder goes last; what the process may do after that is for later runs.
        lambda: notice.process.runs() and Path(run.folder).exists(),
        done=lambda there: not there,
        deadline=Deadline.after(END_LIMIT_S),
        longest_pause_s=0.05,
    )
    shutil.rmtree(run.folder, ignore_errors=True)  # left by a supervisor that was killed
    shutil.rmtree(Path(notice.socket).parent, ignore_errors=True)


def _listening(run: Run) -> Notice:
    """The run's supervisor, started now if this is the first to ask."""
    import filelock  # noqa: PLC0415 - only the sandbox extra brings it

    folder = Path(run.folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with filelock.FileLock(folder / "lock"):
        return _notice(run) or _start(run)


def _start(run: Run) -> Notice:
    environ = environment.build_environ(os.environ)
    # All absolute: the process starts in a folder of its own.
    environ["VDKPROBE_CACHE"] = str(environment.cache_folder())
    environ["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    environ |= {
        name: os.environ[name] for name in ("VDKPROBE_PG_BIN", *FETCHING) if name in os.environ
    }
    log_file = Path(run.folder) / supervisor.LOG
    with log_file.open("ab") as log:
        subprocess.run(
            [sys.executable, "-m", supervisor.__name__],
            input=msgspec.json.encode(run),
            stdout=log,
            stderr=log,
            cwd=run.folder,
            env=environ,
            start_new_session=True,
            check=False,
        )
    try:
        found = wait_until(
            "the engines' supervisor",
            lambda: _notice(run),
            done=bool,
            deadline=Deadline.after(SUPERVISOR_LIMIT_S),
            longest_pause_s=0.05,
        ).value
    except WaitFailure as exc:
        raise _silent(run, "did not come up") from exc
    assert found is not None  # noqa: S101 - it is what was waited for
    return found


FETCHING = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "M2_REPO", "JGO_CONFIG_FILE")
"""Settings of jgo and requests, for the supervisor's downloads; no engine sees them."""


def _ask(question: Question, notice: Notice, progress: Progress | None) -> Answer:
    """Put one question, pass progress on, return what is no progress. Raises its trouble."""
    try:
        with _connect(notice) as connection, connection.makefile("rb") as lines:
            connection.sendall(msgspec.json.encode(question) + b"\n")
            for line in lines:
                answer = msgspec.json.decode(line, type=Answer)
                if answer.trouble is not None:
                    raise answer.trouble.error()
                if answer.addresses is not None:
                    return answer
                if answer.progress is not None and progress is not None:
                    progress(answer.progress)
    except OSError as exc:
        raise _gone(notice) from exc
    raise _gone(notice)


def _connect(notice: Notice) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(notice.socket)
    except BaseException:
        connection.close()
        raise
    return connection


def _notice(run: Run) -> Notice | None:
    try:
        path = Path(run.folder) / supervisor.NOTICE
        return msgspec.json.decode(path.read_bytes(), type=Notice)
    except (OSError, msgspec.MsgspecError):
        return None


def _gone(notice: Notice) -> ProbeError:
    return ProbeError(
        "The supervisor of the sandbox's engines is gone, and they with it.",
        seen=f"process {notice.process.pid} answers no more",
        to_try="run again; if nobody ended it, look for the kernel's out-of-memory killer",
    )


def _silent(run: Run, how: str) -> ProbeError:
    try:
        text = (Path(run.folder) / supervisor.LOG).read_text("utf-8", errors="replace")
    except OSError:
        text = ""
    said = "\n".join(text.strip().splitlines()[-LOG_LINES_SHOWN:])
    return ProbeError(
        f"The supervisor of the sandbox's engines {how}.", seen=said or "no word in its log"
    )
