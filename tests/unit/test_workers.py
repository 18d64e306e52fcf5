from __future__ import annotations

import threading
import time

import pytest

from pytest_vdkprobe.workers import Abandoned, Workers

HANGS_S = 10.0


def test_results_and_errors_come_back() -> None:
    workers = Workers()
    assert workers.run(lambda job: 42, timeout_s=5) == 42
    with pytest.raises(ZeroDivisionError):
        workers.run(lambda job: 1 // 0, timeout_s=5)
    workers.close()


def test_one_thread_serves_calls_one_after_the_other() -> None:
    workers = Workers()
    threads = {workers.run(lambda job: threading.get_ident(), timeout_s=5) for _ in range(10)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    workers.close()


def test_a_call_that_hangs_is_left_behind_and_told() -> None:
    workers, over, told = Workers(), threading.Event(), threading.Event()

    def getresponse(job: object) -> None:
        over.wait(2 * HANGS_S)

    def call(job: object) -> None:
        job.on_abandon = told.set  # type: ignore[attr-defined]  # as the transport sets it
        getresponse(job)

    started = time.monotonic()
    with pytest.raises(Abandoned) as abandoned:
        workers.run(call, timeout_s=0.5)
    assert time.monotonic() - started < HANGS_S
    assert abandoned.value.phase == "waiting for the answer"
    assert told.is_set()
    assert workers.run(lambda job: "next", timeout_s=5) == "next"
    over.set()
    workers.close()


def test_a_call_through_the_thread_costs_well_under_a_millisecond() -> None:
    workers = Workers()
    workers.run(lambda job: None, timeout_s=5)
    # The best of many: what a call costs by itself, and not what others leave us of the machine.
    assert min(_cost_s(workers) for _ in range(500)) < 0.001
    workers.close()


def _cost_s(workers: Workers) -> float:
    started = time.perf_counter()
    workers.run(lambda job: None, timeout_s=5)
    return time.perf_counter() - started


def test_idle_threads_end_when_they_are_given_back() -> None:
    workers = Workers()
    idents: list[threading.Thread] = []
    workers.run(lambda job: idents.append(threading.current_thread()), timeout_s=5)
    workers.close()
    idents[0].join(5)
    assert not idents[0].is_alive()
