"""A connection of kafka-python that does not come about leaves no socket to the collector."""

from __future__ import annotations

import gc
import logging
import socket
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_vdkprobe.connections.kafka import driver
from pytest_vdkprobe.connections.kafka_sockets import Unopened, direct
from pytest_vdkprobe.waiting import Deadline, wait_until


def sockets() -> set[str]:
    """Those that this process has open, each by its own number."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(entry.readlink().name)
    return {name for name in found if name.startswith("socket:")}


def left_by(mended: bool) -> set[str]:
    """The sockets that a client leaves that finds no broker."""
    kafka = driver()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{taken.getsockname()[1]}"
        limits = {"bootstrap_timeout_ms": 400, "reconnect_backoff_ms": 20}
        before = sockets()
        with Unopened() as client:
            own = {"proxy_url": direct(), "kafka_client": client.make} if mended else {}
            with pytest.raises(kafka.errors.KafkaError):
                kafka.KafkaProducer(bootstrap_servers=server, **limits, **own)
        return sockets() - before


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts what Linux lists")
@pytest.mark.parametrize("mended", [True, False], ids=["ours", "its own"])
def test_client_that_finds_no_broker_leaves_no_socket(
    mended: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own way is shown too: once it closes them by itself, ours can go."""
    # What pytest keeps of a log holds the error, and through it the sockets.
    caplog.set_level(logging.CRITICAL + 1, logger="kafka")
    gc.collect()
    gc.disable()
    before = sockets()
    try:
        left = left_by(mended)
        with warnings.catch_warnings():
            # Its thread holds them for a while; collected later they would be another test's.
            warnings.simplefilter("ignore", ResourceWarning)
            wait_until(
                "the sockets to be collected",
                lambda: sockets() - before if gc.collect() >= 0 else before,
                done=lambda new: not new,
                deadline=Deadline.after(20),
            )
    finally:
        gc.enable()
    assert (not left) == mended
