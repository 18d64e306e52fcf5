"""What the rounds of checks add to the metrics: verdicts, durations, causes, accounts.

The same for a run in CI, which is one round, and for a watch.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from pytest_vdkprobe.journeys.results import Results
from pytest_vdkprobe.journeys.scenarios import Journey
from pytest_vdkprobe.journeys.steps import STEP_KEY
from pytest_vdkprobe.metrics.catalogue import EVENTS
from pytest_vdkprobe.metrics.recorder import Recorder
from pytest_vdkprobe.verdicts import Verdict

ROUTE = "vdk_route"
"""A journey whose steps take this fixture sends records, and accounts for them."""
ACCOUNTED = {
    family.name.removeprefix("vdkprobe_events_").removesuffix("_total"): family.name
    for family in EVENTS
    if family.kind == "counter"
}
"""What an account counts, and the counter for each."""


class RoundMetrics:
    """Declares the series of every check that was collected, and records a round of them."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Let every series exist before the first round."""
        for item in session.items:
            journey = item.getparent(Journey)
            if journey is None or STEP_KEY not in item.stash:
                continue
            check = journey.nodeid
            self.recorder.declare_check(check, item.stash[STEP_KEY].name)
            if ROUTE in getattr(item, "fixturenames", ()):
                for family in EVENTS:
                    if family.kind == "counter":
                        self.recorder.declare(family, check=check)

    def record(self, results: Results) -> None:
        """Take in a round that has just ended."""
        for check, steps in results.journeys.items():
            self._record_verdict(check, results.verdict_of(check))
            for step in steps:
                self._record_step(check, step)

    def record_beside(self, scenario: str, results: Results) -> None:
        """A round of what is no journey: tests that are no steps, and what went wrong around."""
        if results.beside is not None:
            self._record_verdict(scenario, results.beside)

    def _record_verdict(self, check: str, verdict: Verdict) -> None:
        self.recorder.declare_check(check)
        self.recorder.counter("vdkprobe_run_total", check=check, verdict=str(verdict)).inc()
        now = time.time()
        self.recorder.gauge("vdkprobe_last_run_timestamp_seconds", check=check).set(now)
        if verdict is Verdict.PASS:
            self.recorder.gauge("vdkprobe_last_success_timestamp_seconds", check=check).set(now)

    def _record_step(self, check: str, step: dict[str, Any]) -> None:
        if step["verdict"] in ("pass", "fail", "error", "unknown") and "duration_s" in step:
            took = self.recorder.histogram(
                "vdkprobe_step_duration_seconds", check=check, step=step["step"]
            )
            took.observe(step["duration_s"])
        if "cause" in step:
            self.recorder.counter("vdkprobe_errors_total", check=check, cause=step["cause"]).inc()
        account = step.get("attached", {}).get("account")
        if account is None or self.recorder.has_flights(check):
            return  # a pipeline that is watched while events fly has counted them already
        for name, metric in ACCOUNTED.items():
            if isinstance(account.get(name), int):
                self.recorder.counter(metric, check=check).inc(account[name])
