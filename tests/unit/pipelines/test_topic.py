"""The probe's own look at the pipeline's topic ends, whatever the brokers do."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection
from pytest_vdkprobe.pipelines import topic


class Gone:
    """A consumer whose brokers went away after they had said how many messages there are."""

    def __init__(self) -> None:
        self.polls = 0

    def end_offsets(self, parts: list[Any], timeout_ms: int | None = None) -> dict[Any, int]:
        assert timeout_ms, "it would wait for ever"
        return dict.fromkeys(parts, 5)

    def position(self, _part: Any, timeout_ms: int | None = None) -> int | None:
        assert timeout_ms, "it would wait for ever"
        return None

    def poll(self, timeout_ms: int) -> dict[Any, list[Any]]:
        del timeout_ms
        self.polls += 1
        assert self.polls < 10_000_000, "it looks for ever"
        return {}


def test_brokers_that_do_not_come_back_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic, "LIMIT_S", 0.05)
    looked_at = topic.Topic(KafkaClients(KafkaConnection(servers=("127.0.0.1:9",))), "checks")
    consumer = Gone()
    monkeypatch.setattr(looked_at, "_open", lambda: consumer)
    looked_at._parts = ["checks-0"]
    assert looked_at.read() == []
    assert consumer.polls
