"""The process that has the engines of one run as its children, and ends with the run.

The run's own processes come and go (xdist's workers are killed and replaced), so none of them can
hold what all share. This one is started by the first that asks, detached from it, and watches the
run's owner: when that is gone, however it went, so are the engines, their folders and this process.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec

from pytest_vdkprobe.durable import write_durably
from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox.engines.addresses import Address, Addresses
from pytest_vdkprobe.sandbox.engines.catalogue import engine_class
from pytest_vdkprobe.sandbox.engines.engine import Engine
from pytest_vdkprobe.sandbox.engines.java import JavaEngine
from pytest_vdkprobe.sandbox.engines.messages import Answer, Notice, Question, Run, Trouble

NOTICE = "supervisor.json"
LOG = "supervisor.log"
WATCH_S = 0.5
"""How often to look for the owner where the system can't tell when it ends."""
LONGEST_SOCKET_PATH = 90
"""unix(7) allows 108 characters, some systems 104."""
LOWEST_PRIORITY = 19
LINE_LIMIT_BYTES = 65536

Tell = Callable[[str], None]


class Slot:
    """One engine of the run. Its thread stays as long as it does, which launch.py asks for."""

    def __init__(self, engine: Engine, stopping: threading.Event) -> None:
        self._engine = engine
        self._stopping = stopping
        self._settled = threading.Event()
        self._trouble: ProbeError | None = None
        self._listeners: list[Tell] = []
        self._thread = threading.Thread(target=self._live, name=engine.name)
        self._thread.start()

    def address(self, tell: Tell) -> Address:
        """Where it answers, once it does; raises what its start or its end raised."""
        self._listeners.append(tell)
        try:
            self._settled.wait()
        finally:
            self._listeners.remove(tell)
        if self._trouble is not None:
            raise self._trouble
        self._engine.require_alive()
        return self._engine.address

    @property
    def settled(self) -> bool:
        """Whether it came up, or was seen not to."""
        return self._settled.is_set()

    @property
    def worked(self) -> bool:
        """Whether it ever came up."""
        return self._settled.is_set() and self._trouble is None

    def restart(self) -> None:
        """Stop the engine and start it again; raises what that raises."""
        done = threading.Event()
        trouble: list[ProbeError] = []

        def live() -> None:
            try:
                self._engine.restart()
            except ProbeError as error:
                trouble.append(error)
            finally:
                done.set()
            # The engine is this thread's now, which must stay as long (launch.py).
            self._stopping.wait()

        threading.Thread(target=live, name=self._engine.name).start()
        done.wait()
        if trouble:
            raise trouble[0]

    def join(self) -> None:
        """Wait until it is gone."""
        self._thread.join()

    def _live(self) -> None:
        try:
            with contextlib.ExitStack() as stack:
                try:
                    stack.callback(self._engine.close)
                    self._engine.start(progress=self._tell)
                except ProbeError as error:
                    self._trouble = error
                except Exception as exc:  # noqa: BLE001 - whoever asked must hear of any
                    self._trouble = ProbeError(
                        f"The sandbox's {self._engine.name} could not be started.",
                        seen=f"{type(exc).__name__}: {exc}",
                    )
                self._settled.set()
                self._stopping.wait()
        finally:
            self._settled.set()

    def _tell(self, line: str) -> None:
        for listener in list(self._listeners):
            listener(line)


class Supervisor:
    """Answers questions on a socket until its run is over."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stopping = threading.Event()
        self._slots: dict[str, Slot] = {}
        self._lock = threading.Lock()
        self._orderly = False
        """Whether somebody said that the run is over, rather than just being gone."""

    def serve(self) -> None:
        """Until SIGTERM, SIGINT or SIGHUP, until told to stop, or until the owner is gone."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        folder = Path(_short_temp("vdkprobe-engines-"))
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / "socket"))
                listener.listen()
                for target in (self._watch_owner, lambda: self._accept(listener)):
                    threading.Thread(target=target, daemon=True).start()
                notice = Notice(process=Process.current(), socket=str(folder / "socket"))
                write_durably(Path(self._run.folder) / NOTICE, msgspec.json.encode(notice))
                self._stopping.wait()
        finally:
            self._stopping.set()
            with self._lock:
                slots = list(self._slots.values())
            for slot in slots:
                slot.join()
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(self._run.folder, ignore_errors=True)
        if self._orderly:
            self._train()

    def _train(self) -> None:
        """Make archives of classes that are missing, for the next run: this one waits for nothing.

        Only after a run that ended in order, and once a machine. All that was the run's is gone by
        now; this has the lowest priority, takes about half a minute, and can be ended at any time.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.nice(LOWEST_PRIORITY)
        for name, slot in self._slots.items():
            one = engine_class(name)
            if slot.worked and issubclass(one, JavaEngine):
                with contextlib.suppress(ProbeError, OSError):
                    one.train()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping.set()

    def _watch_owner(self) -> None:
        """Set the end in motion when the owner is gone: at once where Linux tells, else soon."""
        owner = self._run.owner
        descriptor = None
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                descriptor = os.pidfd_open(owner.pid)
        while _there(owner):
            if descriptor is not None:
                # Also ends when the owner is a zombie that nobody waits for.
                if select.select([descriptor], [], [], WATCH_S)[0]:
                    break
            elif self._stopping.wait(WATCH_S):
                break
        self._stopping.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed: the end
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        """One question, its progress, its answer."""

        def say(answer: Answer) -> None:
            with contextlib.suppress(OSError):
                connection.sendall(msgspec.json.encode(answer) + b"\n")

        with connection, connection.makefile("rb") as lines:
            try:
                question = msgspec.json.decode(lines.readline(LINE_LIMIT_BYTES), type=Question)
                if question.stop:
                    self._orderly = True
                    self._stopping.set()
                    return
                if question.restart:
                    self._restart(question.restart)
                addresses = self._addresses(question.names, lambda line: say(Answer(progress=line)))
                say(Answer(addresses=addresses))
            except ProbeError as error:
                say(Answer(trouble=Trouble.of(error)))
            except (msgspec.MsgspecError, OSError) as exc:
                print(f"a question that could not be read: {exc}", file=sys.stderr, flush=True)

    def _restart(self, name: str) -> None:
        slot = self._slots.get(name)
        if slot is None or not slot.worked:
            raise ProbeError(f"No {name} runs that could be restarted.")
        slot.restart()

    def _addresses(self, names: tuple[str, ...], tell: Tell) -> Addresses:
        """Of these engines, new ones side by side; without names, of those that are up by now.

        Who asks for none in particular is not to wait for one that somebody else has start.
        """
        with self._lock:
            for name in names:
                if name not in self._slots and not self._stopping.is_set():
                    self._slots[name] = Slot(engine_class(name)(), self._stopping)
            up = [name for name, slot in self._slots.items() if slot.settled]
            wanted = {name: self._slots[name] for name in names or up}
        return Addresses(**{name: slot.address(tell) for name, slot in wanted.items()})


def _there(owner: Process) -> bool:
    """Whether the owner runs; where start times can't be seen, whether anybody has its id."""
    runs = owner.runs()
    if runs is None:
        try:
            os.kill(owner.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    return runs


def _short_temp(prefix: str) -> str:
    """A new folder for a socket, whose path the system wants short."""
    folder = tempfile.mkdtemp(prefix=prefix)
    if len(folder) > LONGEST_SOCKET_PATH:
        shutil.rmtree(folder)
        folder = tempfile.mkdtemp(prefix=prefix, dir="/tmp")
    return folder


def main() -> None:
    """Supervise the run that standard input tells, in a process that nobody has to wait for."""
    run = msgspec.json.decode(sys.stdin.buffer.read(), type=Run)
    if os.fork():
        os._exit(0)
    Supervisor(run).serve()


if __name__ == "__main__":
    main()
