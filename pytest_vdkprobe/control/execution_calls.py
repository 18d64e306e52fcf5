"""The operations on executions: start, follow, cancel, and what they logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from pytest_vdkprobe.control.calls import segment
from pytest_vdkprobe.control.deployment_calls import DEPLOYMENT
from pytest_vdkprobe.control.errors import ServiceFailure, excerpt
from pytest_vdkprobe.control.job_calls import GONE, Calls
from pytest_vdkprobe.control.models import (
    DataJobExecution,
    DataJobExecutionLogs,
    DataJobExecutionRequest,
    ExecutionStatus,
)
from pytest_vdkprobe.control.transport import Answer


class ExecutionCalls(Calls):
    """Executions. The service may give one id twice within a second: compare the op id as well."""

    def start_execution(
        self,
        name: str,
        *,
        args: Mapping[str, Any],
        started_by: str,
        op_id: str | None = None,
    ) -> str:
        """Start the job; returns the execution's id. Status 409 means that one is under way.

        The execution remembers `op_id` (this call's X-OPID). When it stays unknown whether it was
        started, the one with this op id is looked for; so it should be unique to this call.
        """
        path = f"{self._job(name)}/deployments/{DEPLOYMENT}/executions"
        own_op_id = op_id or self._caller.op_id
        request = DataJobExecutionRequest(started_by=started_by, args=dict(args))
        # An op id that was used before would find that execution instead of this one.
        known = {each.id for each in self.executions(name)} if op_id is None else set()

        def start() -> str:
            answer = self._caller.need("POST", path, document=request, op_id=own_op_id)
            return self._id_of(answer, path)

        def started() -> str | None:
            found = [each for each in self.executions(name) if each.op_id == own_op_id]
            return next((each.id for each in found if each.id and each.id not in known), None)

        return self._caller.unless_done(start, started)

    def execution(self, name: str, execution_id: str) -> DataJobExecution | None:
        """The execution, or None when the service knows none of that id and job."""
        path = self._execution(name, execution_id)
        answer = self._caller.call("GET", path, absent=GONE)
        if answer is None:
            return None
        return self._caller.decode(answer, DataJobExecution, method="GET", path=path)

    def executions(
        self, name: str, statuses: Sequence[str] = (), *, deployment_id: str | None = None
    ) -> list[DataJobExecution]:
        """The job's executions in no order, or those in `statuses`; none without a job."""
        path = f"{self._job(name)}/executions"
        if deployment_id is not None:
            path = f"{self._job(name)}/deployments/{segment(deployment_id)}/executions"
        query = {"execution_status": [str(each) for each in statuses]} if statuses else None
        answer = self._caller.call("GET", path, query=query, absent=GONE)
        if answer is None:
            return []
        return self._caller.decode(answer, list[DataJobExecution], method="GET", path=path)

    def cancel_execution(self, name: str, execution_id: str) -> None:
        """Cancel it. Status 400 means that it had ended, 404 that there is none."""
        path = self._execution(name, execution_id)
        try:
            self._caller.need("DELETE", path)
        except ServiceFailure as failure:
            if failure.status not in {400, 404} or not self._caller.repeated:
                raise
            # A repeated cancel is refused when the first one, whose answer was lost, was effective.
            found = self.execution(name, execution_id)
            if found is None or found.status is not ExecutionStatus.CANCELLED:
                raise

    def logs(self, name: str, execution_id: str, *, tail_lines: int | None = None) -> str:
        """What it logged: empty when its pod is gone. Status 404 means that there is none."""
        path = f"{self._execution(name, execution_id)}/logs"
        query = {"tail_lines": str(tail_lines)} if tail_lines else None
        answer = self._caller.need("GET", path, query=query)
        found = self._caller.decode(answer, DataJobExecutionLogs, method="GET", path=path)
        return found.logs or ""

    def _id_of(self, answer: Answer, path: str) -> str:
        """The id stands only in the header Location, as the last part of its path."""
        location = answer.headers.get("location", "")
        try:
            execution_id = unquote(urlsplit(location).path.rpartition("/")[2])
        except ValueError:
            execution_id = ""
        if execution_id and execution_id.isprintable():
            return execution_id
        seen = f"Location: {excerpt(location.encode())}" if location else "no header Location"
        raise self._caller.unfit(
            answer, f"{seen}, which names no execution", method="POST", path=path
        )

    def _execution(self, name: str, execution_id: str) -> str:
        return f"{self._job(name)}/executions/{segment(execution_id)}"
