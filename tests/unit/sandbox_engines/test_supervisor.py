"""What the supervisor of a run's engines answers while one of them is coming up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_vdkprobe.processes import Process
from pytest_vdkprobe.sandbox.engines import supervisor as module
from pytest_vdkprobe.sandbox.engines.addresses import Address, Addresses
from pytest_vdkprobe.sandbox.engines.messages import Run
from pytest_vdkprobe.sandbox.engines.supervisor import Supervisor

PATIENCE_S = 60.0
KAFKA = Address(host="127.0.0.1", port=9092, user="", pid=1)


class Slow:
    """An engine that is up when the test says so."""

    name = "kafka"
    address = KAFKA

    def __init__(self, up: threading.Event) -> None:
        self._up = up

    def start(self, *, progress: object) -> None:
        """Come up."""
        self._up.wait(PATIENCE_S)

    def require_alive(self) -> None:
        """It is."""

    def close(self) -> None:
        """Nothing is left."""


def test_who_asks_what_is_up_does_not_wait_for_what_somebody_else_has_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up = threading.Event()
    monkeypatch.setattr(module, "engine_class", lambda _name: lambda: Slow(up))
    supervisor = Supervisor(Run(folder=str(tmp_path), owner=Process.current()))
    with ThreadPoolExecutor(2) as pool:
        try:
            started = pool.submit(supervisor._addresses, ("kafka",), print)
            asked = pool.submit(supervisor._addresses, (), print)
            assert asked.result(PATIENCE_S / 2) == Addresses()
            up.set()
            assert started.result(PATIENCE_S) == Addresses(kafka=KAFKA)
            assert supervisor._addresses((), print) == Addresses(kafka=KAFKA)
        finally:
            up.set()
            supervisor._stopping.set()
    for slot in supervisor._slots.values():
        slot.join()
