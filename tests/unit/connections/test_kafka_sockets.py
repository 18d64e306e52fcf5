"""A connection of kafka-python that does not come about leaves no socket to the collector."""

from __future__ import annotations

import gc
import socket
import warnings
from pathlib import Path

import pytest

from pytest_vdkprobe.connections.kafka import driver
from pytest_vdkprobe.connections.kafka_sockets import Unopened, direct


def sockets() -> int:
    """How many this process has open."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += entry.readlink().name.startswith("socket:")
        except OSError:
            continue
    return found


def left_by(mended: bool) -> int:
    """How many sockets a client leaves that finds no broker."""
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
def test_client_that_finds_no_broker_leaves_no_socket(mended: bool) -> None:
    """Its own way is shown too: once it closes them by itself, ours can go."""
    gc.collect()
    gc.disable()
    try:
        left = left_by(mended)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    finally:
        gc.enable()
    assert (left == 0) == mended
