"""The Control Service client: every operation of its API, with the service's real behaviour.

It works without pytest. Whoever runs steps sets `deadline` and `op_id` before each, and reads
`exchanges` after one that failed. What is doubtful is read back and repeated only if it had no
effect, what is harmless is repeated a few times, and both are counted; nothing is hidden.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from pytest_vdkprobe.control.auth import Auth
from pytest_vdkprobe.control.calls import Caller
from pytest_vdkprobe.control.deployment_calls import DeploymentCalls
from pytest_vdkprobe.control.document_calls import DocumentCalls
from pytest_vdkprobe.control.exchanges import Counts, Exchange, ExchangeLog
from pytest_vdkprobe.control.execution_calls import ExecutionCalls
from pytest_vdkprobe.control.job_calls import JobCalls
from pytest_vdkprobe.control.settings import ControlSettings
from pytest_vdkprobe.control.transport import Transport
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    import requests


class ControlClient(JobCalls, DeploymentCalls, ExecutionCalls, DocumentCalls):
    """A Control Service, as one team sees it. Close it, or use it as a context manager."""

    def __init__(
        self,
        settings: ControlSettings,
        auth: Auth,
        *,
        op_id_prefix: str,
        session: requests.Session | None = None,
    ) -> None:
        log = ExchangeLog()
        self._transport = Transport(settings, log=log, session=session)
        caller = Caller(settings, auth, self._transport, log=log, op_id=op_id_prefix)
        super().__init__(caller, settings.team)
        self.settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back connections and threads; safe to call again."""
        self._transport.close()

    def for_team(self, team: str) -> ControlClient:
        """The same client, login and counts, speaking for another team."""
        if team == self.team:
            return self
        other = object.__new__(ControlClient)
        other._transport = self._transport
        other.settings = self.settings
        super(ControlClient, other).__init__(self._caller, team)
        return other

    @property
    def auth_kind(self) -> str:
        """How it logs in."""
        return self._caller.auth.kind

    @property
    def deadline(self) -> Deadline | None:
        """When the step under way must end: every call ends by then."""
        return self._caller.deadline

    @deadline.setter
    def deadline(self, deadline: Deadline | None) -> None:
        self._caller.deadline = deadline

    @property
    def op_id(self) -> str:
        """What calls carry as X-OPID."""
        return self._caller.op_id

    @op_id.setter
    def op_id(self, op_id: str) -> None:
        self._caller.op_id = op_id

    def mark(self) -> None:
        """A step begins: forget the exchanges and start counting anew."""
        self._caller.log.clear()

    @property
    def exchanges(self) -> list[Exchange]:
        """The requests and answers since the mark, redacted; the latest of very many."""
        return self._caller.log.read()

    @property
    def counts(self) -> Counts:
        """Calls, retries and repeats since the mark."""
        return self._caller.log.counts
