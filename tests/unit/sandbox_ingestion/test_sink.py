"""The sink loses nothing: an offset is committed when its rows have landed, and not before."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_vdkprobe.sandbox.engines.addresses import Address
from pytest_vdkprobe.sandbox.faults import Faults
from pytest_vdkprobe.sandbox.ingestion.engines import Engines
from pytest_vdkprobe.sandbox.ingestion.landing import Landing
from pytest_vdkprobe.sandbox.ingestion.sink import CLOSE_LIMIT_S, Sink
from pytest_vdkprobe.sandbox.ingestion.topics import load_driver
from pytest_vdkprobe.sandbox.ingestion.trouble import EngineDownError
from tests.unit.sandbox_ingestion.test_landing import Memory

TOPIC = "to-memory.t"
PATIENCE_S = 60.0


class Partition(NamedTuple):
    topic: str
    partition: int


class Message(NamedTuple):
    offset: int
    value: bytes | None
    partition: int = 0


class Consumer:
    """A consumer that has messages once, and knows what was committed."""

    def __init__(self, *values: object) -> None:
        self.messages = [
            Message(at, value if isinstance(value, bytes) else json.dumps(value).encode())
            for at, value in enumerate(values)
        ]
        self.committed: dict[str, int] = {}

    def assignment(self) -> set[Partition]:
        return {Partition(TOPIC, 0)}

    def poll(self, *, timeout_ms: int) -> dict[Partition, list[Message]]:
        assert timeout_ms
        messages, self.messages = self.messages, []
        return {Partition(TOPIC, 0): messages} if messages else {}

    def commit(self, offsets: dict[Partition, Any], *, timeout_ms: int) -> None:
        assert timeout_ms
        self.committed |= {place.topic: at.offset for place, at in offsets.items()}


class Flaky(Memory):
    """Takes rows at the third attempt."""

    attempts = 0

    def land(self, batches: Any) -> None:
        self.attempts += 1
        if self.attempts < 3:
            raise EngineDownError("not yet")
        super().land(batches)


def sink(memory: Memory) -> Sink:
    load_driver()
    engines = Engines()
    landing = Landing(Faults(), engines)
    landing.tables = {memory.name: memory}
    return Sink("memory", landing=landing, engines=engines, prefix="to-")


def failures(sink: Sink) -> list[str]:
    return [str(failure["why"]) for failure in sink._landing.failures]


def test_rows_land_and_their_offset_is_committed() -> None:
    memory, consumer = Memory(), Consumer({"n": 1, "@table": "other"}, {"n": 2}, {"n": 3})
    one = sink(memory)
    one._drain(consumer)
    assert memory.rows == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert consumer.committed == {TOPIC: 3}
    assert one.landed == {TOPIC: 3}


def test_an_engine_that_is_down_is_waited_for() -> None:
    memory, consumer = Flaky(), Consumer({"n": 1})
    one = sink(memory)
    one._drain(consumer)
    assert (memory.rows, consumer.committed) == ([{"n": 1}], {TOPIC: 1})
    assert failures(one) == ["not yet", "not yet"]


def test_without_its_rows_no_offset_is_committed() -> None:
    memory, consumer = Memory(), Consumer({"n": 1})
    memory.down_at = 0
    one = sink(memory)
    one._wait = lambda topic, exc: one.stop()  # type: ignore[method-assign]
    one._drain(consumer)
    assert (memory.rows, consumer.committed) == ([], {})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param({"n": "x"}, "column n", id="misfit"),
        pytest.param({}, "is empty", id="empty"),
        pytest.param(b"", "no JSON", id="no-value"),
        pytest.param(b"\x00\x01", "no JSON", id="binary"),
        pytest.param([{"n": 9}], "not an object", id="list"),
    ],
)
def test_a_message_that_can_not_land_holds_nobody_up(value: object, why: str) -> None:
    memory, consumer = Memory(), Consumer({"n": 1}, value, {"n": 2}, {"n": 3})
    one = sink(memory)
    one._drain(consumer)
    assert memory.rows == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert consumer.committed == {TOPIC: 4}
    assert [why in text for text in failures(one)] == [True]


def test_a_topic_without_a_table_is_left_out_and_noted() -> None:
    memory, consumer = Memory(), Consumer({"n": 1})
    one = sink(memory)
    memory.types = {"other": "bigint"}
    one._drain(consumer)
    assert (memory.rows, consumer.committed) == ([], {TOPIC: 1})
    assert "no column 'n'" in failures(one)[0]


def test_a_sink_without_kafka_starts_nothing(tmp_path: Path) -> None:
    from pytest_vdkprobe.processes import Process
    from pytest_vdkprobe.sandbox.engines.messages import Run

    run = Run(folder=str(tmp_path / "run"), owner=Process.current())
    engines = Engines(run)
    looked = []

    def running(name: str) -> Address | None:
        looked.append(name)
        return Engines.running(engines, name)

    engines.running = running  # type: ignore[method-assign]
    one = Sink("postgres", landing=Landing(Faults(), engines), engines=engines, prefix="to-")
    one.start()
    one.start()
    while not looked:
        assert one._thread is not None
        assert one._thread.is_alive()
    one.close()
    one.close()
    assert not (tmp_path / "run").exists()


def test_a_sink_gives_up_soon_on_a_kafka_that_answers_nothing() -> None:
    load_driver()
    engines = Engines()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        engines._known["kafka"] = Address(host="127.0.0.1", port=silent.getsockname()[1])
        one = Sink("postgres", landing=Landing(Faults(), engines), engines=engines, prefix="to-")
        one.start()
        connection, _ = silent.accept()
        with connection:
            started = time.monotonic()
            one.close()
    assert time.monotonic() - started < CLOSE_LIMIT_S / 2
    assert one._thread is not None
    assert not one._thread.is_alive()
