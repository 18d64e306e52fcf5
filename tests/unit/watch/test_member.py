"""A scenario's process that does not end by itself is ended, whatever it was told before."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator

import pytest

from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.watch.channel import Channel
from pytest_vdkprobe.watch.member import Limits, Member
from pytest_vdkprobe.watch.process import ScenarioProcess


class Stuck(ScenarioProcess):
    """Takes everything it is told, and does nothing of it."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.channel = Channel(ours)
        self.ready, self.round, self.told_to_end = False, None, False
        self.started, self.round_began, self.told_at = time.monotonic(), 0.0, 0.0
        self.signals: list[int] = []

    def ended(self) -> int | None:
        return None

    def _signal(self, number: int) -> None:
        self.signals.append(number)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    made = Stuck()
    yield made
    made.channel.close()
    made.theirs.close()


@pytest.mark.parametrize("told", ["replace", "retire"])
def test_one_that_hangs_in_the_round_after_which_it_is_to_end_is_ended(
    stuck: Stuck, told: str
) -> None:
    member = Member(
        "mine",
        interval_s=1000.0,
        limits=Limits(round_s=10.0, grace_s=5.0),
        launch=lambda _name, _died: stuck,
        recorder=Recorder(),
        heard=lambda _member, _message: None,
    )
    member.tick(time.monotonic())
    member._take({"ready": ["mine"]})
    member.tick(time.monotonic())
    assert stuck.round == 1
    if told == "replace":
        member.replace()
    else:
        member.retire(now=False)
    now = time.monotonic()
    member.tick(now + 9)
    assert stuck.signals == []
    member.tick(now + 11)
    assert stuck.signals == [signal.SIGTERM]
    member.tick(now + 17)
    assert stuck.signals == [signal.SIGTERM, signal.SIGKILL]
