"""The schedule hands each record out once, not before its time, and never forgets one."""

from __future__ import annotations

from pytest_vdkprobe.routes.schedule import Schedule
from pytest_vdkprobe.waiting import pause


def test_each_is_handed_out_once_and_in_order() -> None:
    schedule = Schedule(100, rate_per_s=1e6)
    pause(0.001)
    given = [seq for _ in range(20) for seq in schedule.due(7)]
    assert given == list(range(100))
    assert schedule.done
    assert not schedule.due(7)


def test_none_is_due_before_its_time() -> None:
    schedule = Schedule(100, rate_per_s=0.01)
    assert list(schedule.due(7)) == [0]
    assert not schedule.due(7)
    assert not schedule.done


def test_intended_times_do_not_drift() -> None:
    schedule = Schedule(10**7, rate_per_s=3.0)
    assert schedule.intended_us(3_000_000) - schedule.start_us == 1_000_000 * 1_000_000


def test_clock_follows_the_schedules_own_start() -> None:
    schedule = Schedule(1, rate_per_s=1.0)
    assert 0 <= schedule.now_us - schedule.start_us < 5_000_000
