"""A wait ends at the first poll that satisfies it, and one that does not tells what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from pytest_vdkprobe import waiting
from pytest_vdkprobe.errors import PlatformFailure, WaitFailure
from pytest_vdkprobe.waiting import Deadline, Waited, WaitEvent, listening, pause, wait_until


class Clock:
    """A monotonic clock that only sleeping moves, so that these tests take no time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    # Only for waiting: pytest's plugins and threads look at the real clock meanwhile.
    stand_in = SimpleNamespace(monotonic=lambda: clock.now, sleep=clock.sleep)
    monkeypatch.setattr("pytest_vdkprobe.waiting.time", stand_in)
    return clock


def states(*values: str) -> Callable[[], str]:
    """A poll that gives these one after the other, and the last for ever."""
    left = list(values)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def wait(poll: Callable[[], str], seconds: float = 60.0, **options: object) -> Waited[str]:
    return wait_until(
        "the job",
        poll,
        done=lambda state: state == "done",
        describe=str,
        deadline=Deadline.after(seconds, "the step's limit"),
        **options,  # type: ignore[arg-type]
    )


def test_what_is_there_already_costs_no_sleep(clock: Clock) -> None:
    waited = wait(states("done"))
    assert (waited.value, waited.polls, clock.naps) == ("done", 1, [])


def test_polls_start_in_milliseconds_and_back_off(clock: Clock) -> None:
    wait(states(*["running"] * 30, "done"), seconds=1000)
    assert clock.naps[0] <= 0.01
    assert clock.naps == sorted(clock.naps)
    assert clock.naps[-1] == waiting.LONGEST_PAUSE_S


def test_the_states_on_the_way_are_remembered(clock: Clock) -> None:
    waited = wait(states("submitted", "running", "running", "done"))
    assert str(waited) == "submitted -> running -> done"
    running = waited.history[1]
    assert (running.state, running.polls) == ("running", 2)
    assert running.first_s < running.last_s


def test_a_deadline_that_passes_tells_every_state_and_when(clock: Clock) -> None:
    with pytest.raises(WaitFailure) as caught:
        wait(
            states("submitted", "running"),
            seconds=10,
            expected="done",
            checked="GET /x",
            to_try="look",
        )
    failure = caught.value
    assert isinstance(failure, PlatformFailure)
    assert failure.what == "the job: not within 10.0 s (the step's limit)."
    assert failure.seen is not None
    assert failure.seen.startswith("submitted (at 0.0 s), then running (from 0.0 to 10.0 s, ")
    assert (failure.expected, failure.checked, failure.to_try) == ("done", "GET /x", "look")


def test_a_wait_never_sleeps_past_its_deadline_and_looks_once_more_at_it(clock: Clock) -> None:
    polled_at = []

    def poll() -> str:
        polled_at.append(clock.now)
        return "running"

    with pytest.raises(WaitFailure):
        wait(poll, seconds=7)
    assert polled_at[-1] == pytest.approx(1007)


def test_a_passed_deadline_still_allows_one_look(clock: Clock) -> None:
    assert wait(states("done"), seconds=0).polls == 1
    with pytest.raises(WaitFailure):
        wait(states("running"), seconds=-5)


def test_what_a_poll_raises_ends_the_wait_as_it_is(clock: Clock) -> None:
    def poll() -> str:
        raise KeyError("end_time")

    with pytest.raises(KeyError, match="end_time"):
        wait(poll)


def test_alternating_states_stay_bounded(clock: Clock) -> None:
    with pytest.raises(WaitFailure) as caught:
        wait(states(*(f"state {number}" for number in range(500))), seconds=100_000)
    seen = caught.value.seen or ""
    assert len(seen) < 3000
    assert seen.startswith("state 0 ")
    assert "other states (from" in seen
    assert "state 499 (" in seen


def test_every_poll_is_counted_even_where_states_were_left_out(clock: Clock) -> None:
    waited = wait(states(*(f"state {number}" for number in range(500)), "done"), seconds=100_000)
    assert sum(sighting.polls for sighting in waited.history) == waited.polls == 501


def test_a_huge_state_is_cut(clock: Clock) -> None:
    with pytest.raises(WaitFailure) as caught:
        wait(states("x" * 10_000_000), seconds=1)
    assert len(str(caught.value)) < 1000
    assert "(10000000 characters)" in str(caught.value)


def test_listeners_hear_of_each_poll_and_of_the_end(clock: Clock) -> None:
    heard: list[WaitEvent] = []
    with listening(heard.append):
        wait(states("running", "done"))
    wait(states("done"))
    assert [(event.state, event.finished) for event in heard] == [
        ("running", False),
        ("done", True),
    ]
    assert heard[0].limit_s == pytest.approx(60)


def test_a_broken_display_does_not_end_a_wait(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def draw(event: WaitEvent) -> None:
        raise BrokenPipeError(event.what)

    with listening(draw):
        assert wait(states("running", "running", "done")).polls == 3
    assert len(caplog.records) == 1
    assert waiting._listeners == []


def test_a_pause_ends_at_the_deadline(clock: Clock) -> None:
    pause(5, deadline=Deadline.after(2))
    pause(3)
    pause(-1)
    assert clock.naps == [2, 3, 0]


def test_the_earlier_of_two_deadlines_counts(clock: Clock) -> None:
    run = Deadline.after(10, "the run's limit")
    assert run.within(60, "the step's limit") is run
    step = run.within(3, "the step's limit")
    assert (step.remaining_s(), step.name) == (3, "the step's limit")
    assert run.within(3).name == "the run's limit"


def test_a_deadline_has_nothing_left_once_it_has_passed(clock: Clock) -> None:
    deadline = Deadline.after(1)
    assert not deadline.expired
    clock.now += 2
    assert deadline.expired
    assert deadline.remaining_s() == 0


def test_the_wall_clock_does_not_move_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline.after(60)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 59 < deadline.remaining_s() <= 60


def test_a_real_wait_notices_within_a_few_milliseconds() -> None:
    began = time.monotonic()

    def poll() -> bool:
        return time.monotonic() - began > 0.02

    waited = wait_until("a moment", poll, done=bool, deadline=Deadline.after(20))
    assert waited.elapsed_s < 5


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    yield
    assert waiting._listeners == []
