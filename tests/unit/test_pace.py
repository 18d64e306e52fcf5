"""A fixed schedule keeps to its slots whatever its workers do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from pytest_vdkprobe.pace import Errand, Pace
from pytest_vdkprobe.waiting import Deadline, wait_until

LIMIT_S = 30.0


class Served:
    """What was served, by which slot; slots in `hanging` wait for `let_go`."""

    def __init__(self, *hanging: int) -> None:
        self.slots: list[int] = []
        self.dues: list[float] = []
        self.workers = 0
        self.hanging = hanging
        self.let_go = threading.Event()

    def open(self) -> Served:
        self.workers += 1
        return self

    def serve(self, slot: int, due: float) -> None:
        if slot in self.hanging:
            self.let_go.wait(LIMIT_S)
        self.dues.append(due)
        self.slots.append(slot)

    def close(self) -> None:
        pass

    def wait_for(self, count: int) -> None:
        wait_until(
            "slots",
            lambda: len(self.slots),
            done=lambda served: served >= count,
            deadline=Deadline.after(LIMIT_S),
            longest_pause_s=0.01,
        )


@contextmanager
def pace(
    served: Served,
    *,
    interval_s: float,
    limit: int | None = None,
    at_once: int = 8,
    begin: Callable[[int, float], bool] = lambda _slot, _due: True,
    **more: object,
) -> Iterator[Pace]:
    made = Pace(
        "test",
        interval_s=interval_s,
        open_worker=served.open,
        begin=begin,
        at_once=at_once,
        limit=limit,
        **more,  # type: ignore[arg-type]
    )
    with closing(made):
        yield made
        served.let_go.set()


def test_slots_are_start_plus_k_intervals() -> None:
    served = Served()
    with pace(served, interval_s=0.02, limit=5) as made:
        at = time.monotonic()
        made.start(at=at)
        served.wait_for(5)
    # Sorted, since each worker has a thread of its own.
    assert sorted(served.slots) == [0, 1, 2, 3, 4]
    assert sorted(served.dues) == [at + slot * 0.02 for slot in range(5)]


def test_one_that_hangs_delays_no_other_and_one_worker_is_enough_for_the_rest() -> None:
    served = Served(1)
    with pace(served, interval_s=0.01, limit=6) as made:
        made.start()
        served.wait_for(5)
        assert sorted(served.slots) == [0, 2, 3, 4, 5]
        served.let_go.set()
        served.wait_for(6)
    assert served.workers <= 6


def test_slots_that_were_slept_through_are_missed_and_not_made_up_for() -> None:
    served = Served()
    begun: list[int] = []

    def begin(slot: int, _due: float) -> bool:
        begun.append(slot)
        return True

    with pace(served, interval_s=0.5, begin=begin) as made:
        made.start(at=time.monotonic() - 5.1)
        served.wait_for(1)
        assert begun[0] >= 10
        assert made.missed >= begun[0]


def test_slot_that_finds_too_many_under_way_is_missed() -> None:
    served = Served(*range(10_000))
    with pace(served, interval_s=0.01, at_once=2) as made:
        made.start()
        wait_until(
            "missed slots",
            lambda: made.missed,
            done=lambda missed: missed >= 3,
            deadline=Deadline.after(LIMIT_S),
            longest_pause_s=0.01,
        )
        assert served.slots == []


def test_a_schedule_goes_on_where_another_process_left_it() -> None:
    served = Served()
    with pace(served, interval_s=100.0) as made:
        made.start(at=time.monotonic() - 700.0, first=7)
        served.wait_for(1)
    assert served.slots == [7]
    assert made.missed == 0


def test_errands_are_run_between_slots() -> None:
    served = Served()
    moments: list[float] = []
    errand = Errand(0.01, moments.append)
    with pace(served, interval_s=100.0, errands=[errand]) as made:
        made.start()
        wait_until(
            "errands", lambda: len(moments), done=lambda n: n >= 3, deadline=Deadline.after(LIMIT_S)
        )
        served.wait_for(1)
    assert served.slots == [0]


def test_what_a_worker_raises_ends_the_schedule_and_is_kept() -> None:
    class Broken(Served):
        def serve(self, slot: int, due: float) -> None:
            raise ValueError(slot)

    with pace(Broken(), interval_s=0.01) as made:
        made.start()
        wait_until("the end", lambda: made.stopped, done=bool, deadline=Deadline.after(LIMIT_S))
        assert isinstance(made.error, ValueError)


def test_an_errand_that_breaks_ends_the_schedule_and_says_so() -> None:
    def broken(_now: float) -> None:
        raise OSError("no")

    served = Served()
    with pace(served, interval_s=0.01, errands=[Errand(0.01, broken)]) as made:
        made.start()
        assert made.done.wait(LIMIT_S)
        assert str(made.error) == "no"


def test_slot_that_can_not_begin_is_missed_and_the_schedule_goes_on() -> None:
    served = Served()
    with pace(served, interval_s=0.005, begin=lambda slot, _due: slot >= 3) as made:
        made.start()
        served.wait_for(2)
        assert served.slots[0] >= 3
        assert made.missed >= 3
        assert made.error is None
