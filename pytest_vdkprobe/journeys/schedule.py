"""A deployed job's schedule: that it fires, that disabling stops it, that enabling restarts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import PlatformFailure
from pytest_vdkprobe.journeys.executions import FINAL
from pytest_vdkprobe.journeys.live_job import EVERY_MINUTE
from pytest_vdkprobe.journeys.proof import SCHEDULED_NONCE, read_proof
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.control.models import DataJobExecution
    from pytest_vdkprobe.journeys.live_job import LiveJob

STRAY_TICK_SHARE = 0.2
"""A run that was due at the disable may still be seen for this share of a minute."""
QUIET_MINUTES = 1.2
"""How long a disabled job must stay quiet: more than one period, or nothing has been shown."""


class Schedule:
    """The schedule of one job; each method returns what it saw, for the step's evidence."""

    def __init__(self, job: LiveJob) -> None:
        self.job = job
        self.minute_s = job.client.settings.cron_minute_s

    def require_fires(self, *, deadline: Deadline) -> str:
        """Store and deploy a schedule of every minute; an execution must come by itself."""
        known = self._executions()
        live = self.job.deployment()
        version = (live.job_version if live else None) or self.job.versions[1]
        self.job.set_schedule(EVERY_MINUTE, version=version, deadline=deadline)
        return self._await_next(set(known), deadline=deadline)

    def disable(self, *, deadline: Deadline) -> str:
        """Disable the deployment; for longer than its period, nothing may fire."""
        self.job.set_enabled(False, deadline=deadline)
        self._watch(
            set(self._executions()), for_s=STRAY_TICK_SHARE * self.minute_s, deadline=deadline
        )
        for_s = QUIET_MINUTES * self.minute_s
        fresh = self._watch(set(self._executions()), for_s=for_s, deadline=deadline)
        if fresh:
            raise PlatformFailure(
                "A disabled deployment went on firing.",
                seen=f"execution {', '.join(sorted(fresh))} after the disable",
                expected=f"no execution for {for_s:.0f} s",
                checked=f"PATCH .../jobs/{self.job.name}/deployments, then GET .../executions",
                to_try="is the job's cron job suspended in the cluster?",
            )
        return f"enabled false, nothing fired for {for_s:.1f} s"

    def enable(self, *, deadline: Deadline) -> str:
        """Enable it again; an execution must come by itself."""
        known = set(self._executions())
        self.job.set_enabled(True, deadline=deadline)
        return self._await_next(known, deadline=deadline)

    def _executions(self) -> dict[str, DataJobExecution]:
        """The scheduled executions that the service knows, by id."""
        return {
            execution.id: execution
            for execution in self.job.client.executions(self.job.name)
            if execution.id and str(execution.type) == "scheduled"
        }

    def _watch(self, known: set[str], *, for_s: float, deadline: Deadline) -> set[str]:
        """What fires within `for_s`; returns at the first."""
        window = Deadline.after(for_s)
        waited = wait_until(
            f"{self.job.name} to stay quiet",
            lambda: set(self._executions()) - known,
            done=lambda fresh: bool(fresh) or window.expired,
            deadline=deadline,
            describe=lambda fresh: ", ".join(sorted(fresh)) or "quiet",
            longest_pause_s=max(0.05, for_s / 10),
        )
        return waited.value

    def _await_next(self, known: set[str], *, deadline: Deadline) -> str:
        """Wait for a scheduled execution that is new, and judge it like any other."""

        def newest() -> DataJobExecution | None:
            fresh = {key: found for key, found in self._executions().items() if key not in known}
            # The first to fire is the one to judge, until it has ended; one that was skipped
            # for another's sake did not run, and the next is due in a minute.
            ran = [key for key, found in fresh.items() if str(found.status) != "skipped"]
            return fresh[min(ran or fresh)] if fresh else None

        waited = wait_until(
            f"a scheduled execution of {self.job.name}",
            newest,
            done=lambda found: found is not None and str(found.status) in FINAL - {"skipped"},
            deadline=deadline,
            describe=lambda found: "none yet" if found is None else f"{found.id} {found.status}",
            expected=f"a scheduled execution, succeeded; one minute is {self.minute_s:g} s",
            checked=f"GET .../jobs/{self.job.name}/executions",
            to_try="does the job's cron job have this schedule, and is it not suspended?",
        )
        found = waited.value
        if found is None or str(found.status) != "succeeded":
            raise PlatformFailure(
                "The schedule fired, but its execution did not succeed.",
                seen=f"{found.status}, message {found.message!r}" if found else "none",
                expected="succeeded",
                checked=f"GET .../jobs/{self.job.name}/executions",
            )
        self._require_it_ran(found, deadline=deadline)
        return f"{found.id} fired after {waited.elapsed_s:.1f} s, succeeded, and left its proof"

    def _require_it_ran(self, found: DataJobExecution, *, deadline: Deadline) -> None:
        """A scheduled success counts only with the proof that the job wrote without arguments."""
        run_id = self.job.run.run_id
        wait_until(
            f"the proof of scheduled execution {found.id}",
            lambda: read_proof(self.job.client, self.job.name),
            done=lambda proof: (
                (proof.get("run_id"), proof.get("nonce")) == (run_id, SCHEDULED_NONCE)
            ),
            deadline=deadline.within(10.0, "time for properties to settle"),
            describe=lambda proof: f"run {proof.get('run_id')}, nonce {proof.get('nonce')}",
            expected=f"run {run_id}, nonce {SCHEDULED_NONCE}",
            checked=f"GET .../jobs/{self.job.name}/deployments/.../properties",
        )
