"""The way of checks into Kafka, when the client itself is in trouble."""

from __future__ import annotations

from typing import Any, cast

from pytest_vdkprobe.connections.kafka import KafkaClients, driver
from pytest_vdkprobe.pipeline.message import Check
from pytest_vdkprobe.pipeline.outbox import Outbox
from pytest_vdkprobe.pipeline.settings import PipelineKafka
from pytest_vdkprobe.waiting import Deadline, wait_until

CHECK = Check(
    unix_timestamp=1_795_882_134.0, returned_code=200, response_time=0.25, regexp=None, site=7
)


class Sent:
    """An acknowledged message."""

    def add_callback(self, act: Any) -> None:
        act(None)

    def add_errback(self, act: Any, check: Check) -> None:
        """There is no error."""


class Client:
    """A producer that can't be closed in time, and sends or not."""

    def __init__(self, *, broken: bool) -> None:
        self._broken = broken

    def partitions_for(self, _topic: str) -> set[int]:
        return {0}

    def send(self, _topic: str, *, key: bytes, value: bytes) -> Sent:
        if self._broken:
            raise RuntimeError("on purpose")
        return Sent()

    def close(self, timeout: float) -> None:
        raise driver().errors.KafkaTimeoutError(f"not within {timeout} s")


def outbox(*clients: Client) -> Outbox:
    """One that is given these clients in turn."""
    waiting = list(clients)

    class Clients:
        def producer(self, **_settings: object) -> Client:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return Outbox(PipelineKafka(servers=("127.0.0.1:9",)), cast("KafkaClients", Clients()))


def test_what_could_not_be_written_is_told_although_the_client_can_t_be_closed() -> None:
    box = outbox(Client(broken=True))
    box.start()
    box.put(CHECK)
    assert box.close(limit_s=0.1) == 1


def test_a_broken_client_is_replaced_although_it_can_t_be_closed() -> None:
    box = outbox(Client(broken=True), Client(broken=False))
    box.start()
    box.put(CHECK)
    wait_until(
        "the check is written",
        lambda: box.written,
        done=lambda written: written == 1,
        deadline=Deadline.after(30),
    )
    assert box.close(limit_s=1) == 0
