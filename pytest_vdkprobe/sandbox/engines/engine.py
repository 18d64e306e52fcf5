"""What the three engines have in common: start until truly ready, address, health, end."""

from __future__ import annotations

import signal
import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from pytest_vdkprobe.errors import ProbeError
from pytest_vdkprobe.sandbox.engines.addresses import Address
from pytest_vdkprobe.sandbox.engines.engine_process import (
    HOST,
    EngineDiedError,
    EngineProcess,
    free_port,
)
from pytest_vdkprobe.sandbox.environment import Progress

PORT_ATTEMPTS = 3
CONNECT_LIMIT_S = 2.0


class Engine(ABC):
    """A real server in its own folder: `with Postgres() as postgres: postgres.address`."""

    name: ClassVar[str]
    user: ClassVar[str] = ""
    keeps_data: ClassVar[bool] = True
    """Whether its folder holds all that it knows."""
    ready_limit_s: ClassVar[float]
    ask_with: ClassVar[signal.Signals]
    """The signal that stops it in an orderly and quick way."""
    kill_with: ClassVar[signal.Signals]
    """The signal that ends it at once, and that it is sent when its parent is gone."""

    def __init__(self) -> None:
        self._process: EngineProcess | None = None
        self._port = 0

    @classmethod
    @abstractmethod
    def provide(cls, progress: Progress | None = None) -> None:
        """Make now what the first start would fetch or make. Raises ProbeError if that fails."""

    @abstractmethod
    def _parent(self) -> Path:
        """Where its folder shall lie."""

    @abstractmethod
    def _launch(self, process: EngineProcess) -> None:
        """Fill the folder of `process` unless it is, and start it on `self._port`."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it does what it is for; may raise anything while it does not."""

    def start(self, *, progress: Progress | None = None) -> Address:
        """Start it and return once it is truly ready. Idempotent.

        The calling thread must stay: on Linux the engine ends with it (launch.py). Raises
        ProbeError, with the end of the engine's log, when it does not come up.
        """
        if self._process is not None:
            return self.address
        self.provide(progress)
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._port = free_port()
            self._process = EngineProcess(
                self.name, parent=self._parent(), kill_with=self.kill_with
            )
            try:
                self._launch(self._process)
                self._process.wait_ready(self._listens_and_works, self.ready_limit_s)
            except EngineDiedError as died:
                self.kill()
                if not died.port_was_taken or attempt == PORT_ATTEMPTS:
                    raise
            except BaseException:
                self.kill()
                raise
            else:
                break
        return self.address

    def restart(self) -> Address:
        """Stop it in an orderly way, and start it again on the same port with the same data.

        As with `start`, the calling thread must stay. Raises ProbeError.
        """
        if self._process is None:
            return self.start()
        if not self.keeps_data:
            raise ProbeError(f"The sandbox's {self.name} can't be restarted: it forgets its data.")
        self._process.stop(self.ask_with)
        self._launch(self._process)
        self._process.wait_ready(self._listens_and_works, self.ready_limit_s)
        return self.address

    def _listens_and_works(self) -> bool:
        # Drivers pause for seconds after a refused connection, so theirs is not the first.
        with socket.create_connection((HOST, self._port), timeout=CONNECT_LIMIT_S):
            pass
        return self._ready()

    @property
    def address(self) -> Address:
        """Where it answers."""
        pid = self._process.pid if self._process else None
        return Address(host=HOST, port=self._port, user=self.user, pid=pid or 0)

    def require_alive(self) -> None:
        """Raise EngineDiedError, with the end of its log, if it ended although not asked to."""
        if self._process is not None and self._process.exit_code() is not None:
            raise EngineDiedError(self._process)

    def close(self) -> None:
        """Stop it in an orderly way and remove its data. Idempotent."""
        if self._process is not None:
            self._process.stop(self.ask_with)
        self.kill()

    def finish(self, signal_number: signal.Signals, limit_s: float) -> None:
        """Ask it to end and give it `limit_s` to do so; its folder stays until `close`."""
        if self._process is not None:
            self._process.stop(signal_number, limit_s=limit_s)

    def kill(self) -> None:
        """End it at once and remove its data. Idempotent."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
