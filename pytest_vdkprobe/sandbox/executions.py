"""How a job runs: submitted, running, and one of five ends.

Starting is refused while the job runs, whoever started it; the scheduler forbids itself to overlap,
and a scheduled run that meets a manual one is skipped. Ids have a second's resolution, as on the
real service: two starts within one second share an id, and the later takes the earlier's row.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from pytest_vdkprobe.sandbox import wire
from pytest_vdkprobe.sandbox.deployments import Deployments, check_cluster
from pytest_vdkprobe.sandbox.errors import (
    bug,
    not_deployed,
    problem,
    unknown_execution,
    unknown_job,
)
from pytest_vdkprobe.sandbox.executor import Executor, JobRun, JSONObject, Outcome
from pytest_vdkprobe.sandbox.faults import Faults
from pytest_vdkprobe.sandbox.schedule import is_due, start_of
from pytest_vdkprobe.sandbox.settings import Settings
from pytest_vdkprobe.sandbox.state import (
    Deployment,
    Execution,
    Job,
    State,
    now,
    stamp,
)

MESSAGES: dict[wire.Status, str] = {
    "running": "Running",
    "succeeded": "Success",
    "user_error": "User error",
    "platform_error": "Platform error",
    "skipped": "Skipping job execution due to another parallel running execution.",
    "cancelled": "Job execution cancelled by user.",
}
"""The service's own texts; clients compare them, so they are its words (recorded)."""

SET_BY_SERVICE = "Status is set by VDK Control Service"
"""What it says of an execution whose Kubernetes job has vanished, and which it calls succeeded."""

FIRST_POLL_S, SLOWEST_POLL_S, POLL_GROWTH = 0.0005, 0.05, 1.5


@dataclass(frozen=True)
class JobAddress:
    """Where a job finds the service, and what it shows there."""

    url: str
    token: str | None
    ca_file: Path | None


class Executions:
    """Starts, follows, cancels and shows executions."""

    def __init__(
        self,
        state: State,
        settings: Settings,
        faults: Faults,
        *,
        deployments: Deployments,
        executor: Executor,
        address: Callable[[], JobAddress],
    ) -> None:
        self._state = state
        self._settings = settings
        self._faults = faults
        self._deployments = deployments
        self._executor = executor
        self._address = address
        self._closed = threading.Event()

    def close(self) -> None:
        """Stop following; the executor ends the runs."""
        self._closed.set()
        with self._state.lock:
            for job in self._state.jobs.values():
                for execution in job.unfinished():
                    execution.cancelled.set()

    def start(
        self,
        team: str,
        name: str,
        request: wire.ExecutionRequest | None,
        *,
        op_id: str,
        user: str | None,
    ) -> str:
        """Start the deployed job by hand; the new execution's id."""
        with self._state.lock:
            job = self._job(team, name)
            check_cluster(self._faults, name)
            live = job.deployment
            if live is None:
                raise not_deployed(name)
            running = job.unfinished() and not self._faults.lies("start-not-exclusive", name)
            if running or self._faults.lies("start-refused", name):
                raise problem(
                    409,
                    f"The data job {name} can't be started.",
                    why="It is running already.",
                    countermeasures="Wait until the execution has ended, or cancel it.",
                )
            if request is None:
                raise bug("The request has no body.")
            started_by = request.started_by
            if started_by is not None:
                # Without a login the real one writes its language's word for no user.
                started_by = f"{started_by}/{user or 'null'}"
            moment = now()
            execution_id = f"{name}-{int(moment.timestamp())}"
            if self._faults.lies("start-lost", name):
                return execution_id
            execution = Execution.submitted(
                name,
                execution_id,
                kind="manual",
                op_id="0" if self._faults.lies("op-id-lost", name) else op_id,
                at=moment,
                started_by=started_by,
            )
            execution.listed = not self._faults.lies("run-unlisted", name)
            self._keep(job, execution)
        arguments = {} if self._faults.lies("arguments-dropped", name) else (request.args or {})
        self._follow_in_background(job, live, execution, arguments)
        return execution_id

    def tick(self, minute: int) -> None:
        """Start what the schedule says is due in this cron minute."""
        with self._state.lock:
            jobs = list(self._state.jobs.values())
        for job in jobs:
            live = job.deployment
            if live is None or not self._fires(job, live):
                continue
            if is_due(live.schedule_cron, start_of(minute)):
                self._start_scheduled(job, live, minute)

    def cancel(self, team: str, name: str, execution_id: str) -> None:
        """End an unfinished execution; its log goes with it."""
        with self._state.lock:
            self._job(team, name)
            execution = self._find(team, execution_id)
            if not execution.unfinished:
                raise problem(
                    400,
                    f"The execution {execution_id} can't be cancelled.",
                    why=f"It is {execution.body.status}.",
                    countermeasures="Only submitted and running executions can be cancelled.",
                )
            if self._faults.lies("cancel-ignored", name):
                return
            lie = self._faults.lies("cancel-as-success", name)
            self._finish(execution, "succeeded" if lie else "cancelled", end_digits=6)
            execution.log_wiped = True
            execution.cancelled.set()
            run = execution.run
        if run is not None:
            run.cancel()

    def read(self, team: str, name: str, execution_id: str) -> wire.Execution:
        """One execution, by its id alone once the job is known: any job of the team will do."""
        with self._state.lock:
            self._job(team, name)
            body = replace(self._find(team, execution_id).body)
        if self._faults.lies("run-read-other", name):
            body.id, body.op_id = f"{name}-1", "another"
        return body

    def list(self, team: str, name: str, statuses: Iterable[str]) -> list[wire.Execution]:
        """The job's executions, newest first, of these statuses or of any."""
        wanted = set(statuses)
        with self._state.lock:
            job = self._job(team, name)
            unknown = wanted - set(wire.STATUSES)
            if unknown:
                raise problem(
                    404,
                    "The executions can't be filtered.",
                    why=f"No status is called {', '.join(sorted(unknown))}.",
                    countermeasures=f"Use {', '.join(wire.STATUSES)}.",
                )
            return [
                replace(execution.body)
                for execution in reversed(job.executions.values())
                if execution.listed and (not wanted or execution.body.status in wanted)
            ]

    def logs(self, team: str, name: str, execution_id: str, tail_lines: int) -> str:
        """The log, or its last lines; empty once it is gone."""
        with self._state.lock:
            self._job(team, name)
            execution = self._find(team, execution_id)
        if self._faults.lies("logs-empty", name):
            return ""
        if self._faults.lies("logs-foreign", name):
            return "another execution's log"
        log = execution.log().rstrip("\n")
        return "\n".join(log.split("\n")[-tail_lines:]) if tail_lines > 0 else log

    def _job(self, team: str, name: str) -> Job:
        job = self._state.job(team, name)
        if job is None:
            raise unknown_job(name)
        return job

    def _find(self, team: str, execution_id: str) -> Execution:
        for job in self._state.jobs.values():
            if job.team == team and execution_id in job.executions:
                return job.executions[execution_id]
        raise unknown_execution(execution_id)

    def _keep(self, job: Job, execution: Execution) -> None:
        """Add the row, in place of one with its id, and drop those past their time."""
        job.executions.pop(execution.body.id, None)
        job.executions[execution.body.id] = execution
        oldest = now() - timedelta(seconds=self._settings.executions_kept_s)
        ended = [one for one in job.executions.values() if not one.unfinished]
        too_many = len(job.executions) - self._settings.executions_kept
        for number, one in enumerate(ended):
            if number < too_many or one.started_at < oldest:
                del job.executions[one.body.id]

    def _fires(self, job: Job, live: Deployment) -> bool:
        if self._faults.lies("schedule-never", job.name):
            return False
        if live.enabled:
            return not self._faults.lies("enable-ineffective", job.name)
        return self._faults.lies("disable-ineffective", job.name)

    def _start_scheduled(self, job: Job, live: Deployment, minute: int) -> None:
        execution_id = f"{job.name}-{minute}"
        with self._state.lock:
            others = job.unfinished()
            if any(other.body.type == "scheduled" for other in others):
                return
            execution = Execution.submitted(
                job.name, execution_id, kind="scheduled", op_id=execution_id, at=now()
            )
            self._keep(job, execution)
        # The job itself looks for others at its start and leaves at once when there is one.
        end: wire.Status | None = "skipped" if others else None
        if self._faults.lies("schedule-fails", job.name):
            end = "user_error"
        self._follow_in_background(job, live, execution, {}, end)

    def _follow_in_background(
        self,
        job: Job,
        live: Deployment,
        execution: Execution,
        arguments: JSONObject,
        end: wire.Status | None = None,
    ) -> None:
        threading.Thread(
            target=self._follow,
            args=(job, live, execution, arguments, end),
            name=f"sandbox-{execution.body.id}",
            daemon=True,
        ).start()

    def _follow(
        self,
        job: Job,
        live: Deployment,
        execution: Execution,
        arguments: JSONObject,
        end: wire.Status | None,
    ) -> None:
        """An execution's life after its row: on a thread of its own, until it has ended."""
        if execution.cancelled.wait(self._settings.start_delay_s):
            return
        if self._faults.lies("run-stuck-submitted", job.name):
            return
        if end is None and self._faults.lies("run-vanished", job.name):
            self._finish(execution, "succeeded", message=SET_BY_SERVICE)
            return
        outcome = None
        folder = self._deployments.code_of(job, live)
        with self._state.lock:
            if not execution.unfinished:
                return
            execution.body.status = "running"
            execution.body.message = MESSAGES["running"]
            execution.body.deployment = live.as_run()
        if end is not None:
            self._finish(execution, end)
            return
        address = self._address()
        if folder is not None:
            run = JobRun(
                execution_id=execution.body.id,
                job_name=job.name,
                team=job.team,
                op_id=execution.body.op_id,
                sources=folder,
                arguments=arguments,
                control_service_url=address.url,
                python_version=live.python_version,
                vdk_version=live.vdk_version,
                token=address.token,
                ca_file=address.ca_file,
            )
            outcome = self._run(execution, run)
        else:
            outcome = Outcome("platform_error")
        if outcome is not None and not self._faults.lies("run-stuck-running", job.name):
            self._end(job, execution, outcome)

    def _run(self, execution: Execution, run: JobRun) -> Outcome | None:
        """Run it and wait for its end; None if it was cancelled."""
        try:
            running = self._executor.start(run)
        except Exception as exc:  # noqa: BLE001 - or the execution would stay running for ever
            return Outcome("platform_error", f"The job could not be started: {exc}")
        execution.run = running
        pause_s = FIRST_POLL_S
        while (outcome := running.poll()) is None:
            if execution.cancelled.wait(pause_s):
                running.cancel()
                return None
            pause_s = min(pause_s * POLL_GROWTH, SLOWEST_POLL_S)
        return outcome

    def _end(self, job: Job, execution: Execution, outcome: Outcome) -> None:
        status: wire.Status = outcome.status
        lies = self._faults.lies
        if status in {"user_error", "platform_error"} and lies("failure-as-success", job.name):
            status = "succeeded"
        elif status == "user_error" and lies("user-error-as-platform-error", job.name):
            status = "platform_error"
        elif status == "succeeded" and lies("success-as-user-error", job.name):
            status = "user_error"
        elif status == "succeeded" and lies("success-as-platform-error", job.name):
            status = "platform_error"
        elif lies("run-cancelled", job.name):
            status = "cancelled"
        message = outcome.message if status == outcome.status else None
        self._finish(execution, status, message=message, vdk_version=outcome.vdk_version)

    def _finish(
        self,
        execution: Execution,
        status: wire.Status,
        *,
        message: str | None = None,
        vdk_version: str | None = None,
        end_digits: int = 0,
    ) -> None:
        """Set the final status, unless there is one: a final status is never overwritten."""
        with self._state.lock:
            if execution.unfinished:
                execution.body.status = status
                execution.body.message = message or MESSAGES[status]
                execution.ended_at = now()
                if not self._faults.lies("run-end-missing", execution.body.job_name):
                    execution.body.end_time = stamp(execution.ended_at, end_digits)
                if vdk_version is not None:
                    shown = replace(execution.body.deployment, vdk_version=vdk_version)
                    execution.body.deployment = shown
