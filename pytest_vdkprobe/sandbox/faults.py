"""Being wrong on purpose: faults that are planted by name while the sandbox runs.

A check that can't fail proves nothing, so each names the faults that must turn it red. There are
two kinds. A *transport* fault acts on calls, by method and path, at one point in front of the
application. A *lie* acts on what the service does or says; the code that would do it right asks
`faults.lies(name, job)` at that one place. Either can hit a share of its chances, a number of them,
or for a time; the dice are seeded, so that a red run can be repeated.
"""

from __future__ import annotations

import random
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from pytest_vdkprobe.config.nearest import did_you_mean

TRANSPORT = {
    "status": "answers `status`; with when=after the call has had its effect (an ambiguous POST)",
    "slow": "answers rightly, after `delay_s`, a second by default",
    "hang": "does not answer for `delay_s`, an hour by default",
    "reset": "cuts the connection without an answer; with when=after the effect is there",
    "cut": "cuts the connection in the middle of the right answer's body",
    "wrong-body": "keeps the status and answers `body` instead",
    "empty-body": "keeps the status and answers no body",
    "not-json": "answers 200 and an HTML page, as a login portal or a proxy does",
}

LIES = {
    "cluster-down": "the cluster refuses: starting a job and reading deployments answer 503",
    "create-lost": "create answers 201, and there is no job",
    "update-dropped": "update answers 200 and changes nothing",
    "read-other-job": "reading a job answers another one",
    "delete-ignored": "delete answers 200, and the job remains",
    "delete-stays-listed": "a deleted job is gone, but for the list",
    "team-ignored": "a job that is read has another team than it was created in",
    "list-empty": "the list has no job at all",
    "list-foreign": "the list has another team's job only",
    "list-null": "the list's content is null",
    "list-omits-job": "the list misses this job (plant it with for_s for a list that lags)",
    "keytab-lost": "the keytab is not there",
    "keytab-empty": "the keytab is there and has no bytes",
    "properties-foreign": "reading properties answers values that another run has written",
    "properties-dropped": "writing properties answers 204 and writes nothing",
    "properties-stale": "reading properties answers what was there before the last write",
    "properties-merged": "writing properties adds to the old ones instead of replacing them",
    "secrets-dropped": "writing secrets answers 202 and writes nothing",
    "upload-new-version": "the same content gets another version each time",
    "upload-lost": "the upload answers the version that was there before",
    "build-fails": "a deployment is accepted, its build fails, and it never appears",
    "deploy-never": "a deployment is accepted and never appears",
    "deploy-wrong-version": "the deployment shows another job_version",
    "deploy-wrong-python": "the deployment shows another python_version",
    "deploy-wrong-vdk": "the deployment shows another vdk_version",
    "deploy-old-code": "the new version is shown, the previous one runs",
    "disable-dropped": "disable answers 202 and changes nothing",
    "enable-dropped": "enable answers 202 and changes nothing",
    "disable-ineffective": "the deployment shows disabled, and the schedule goes on",
    "enable-ineffective": "the deployment shows enabled, and the schedule never fires",
    "undeploy-ignored": "undeploy answers 202, and the deployment remains",
    "start-lost": "start answers 202 and an id, and nothing was started",
    "start-not-exclusive": "a second start is accepted while one runs",
    "start-refused": "start answers 409 although nothing runs",
    "arguments-dropped": "the job gets no arguments",
    "op-id-lost": "the execution carries another op id than its start call",
    "run-unlisted": "an execution can be read, and is never listed",
    "run-read-other": "reading an execution answers another one",
    "run-end-missing": "an execution that has ended has no end_time",
    "run-stuck-submitted": "an execution stays submitted",
    "run-stuck-running": "a job that has ended stays running (a failed pod that is not seen)",
    "run-vanished": "the job never runs; its execution becomes succeeded, set by the service",
    "failure-as-success": "a job that failed is reported as succeeded",
    "success-as-user-error": "a job that succeeded is reported as user_error",
    "success-as-platform-error": "a job that succeeded is reported as platform_error",
    "user-error-as-platform-error": "a failure of user code is reported as platform_error",
    "run-cancelled": "an execution that nobody cancelled ends as cancelled",
    "cancel-ignored": "cancel answers 200, and the job goes on",
    "cancel-as-success": "a cancelled execution is reported as succeeded",
    "schedule-never": "the schedule never fires",
    "schedule-fails": "scheduled executions end as user_error without running",
    "logs-empty": "the log is empty",
    "logs-foreign": "the log is another execution's",
}

INGESTION_LIES = {
    "ingest-loses": "a record is acknowledged and never lands",
    "ingest-duplicates": "a record lands twice",
    "ingest-swaps": "a record lands after the one that was sent behind it",
    "ingest-late": "a record lands `delay_s` later than it is acknowledged, 3 s by default",
    "ingest-truncates": "a record's body lands without its second half",
    "ingest-rounds": "a decimal of a record lands without its last digit",
    "ingest-lowercases": "a text of a record lands in lower case",
    "ingest-shifts-time": "a timestamp of a record lands an hour later",
    "ingest-foreign": "beside a record lands one that nobody sent",
    "ingest-acknowledges-nothing": "a batch is acknowledged and never lands",
    "ingest-refuses-but-lands": "a batch lands, and is answered `status` (a 4xx, else 400)",
}
"""What goes wrong on the way of records; `job` is the table or the topic they are for."""

FLAKINESS = {
    "lag": "answers rightly, after a random time of up to `delay_s`, 3 s by default",
    "slow-body": "answers rightly, a piece of the body at a time over `delay_s`, 3 s by default",
    "flaky": "of calls to /metadata/, one in ten has the fault lag, one in twenty is answered 401",
}
"""Transport faults that no heartbeat is judged by: those of the local service for endpoints."""

EVENT_LIES = {
    "events-loses": "an event is acknowledged and never delivered",
    "events-duplicates": "an event is delivered twice to each listener",
    "events-late": "an event is delivered `delay_s` later than it is acknowledged, 3 s by default",
    "events-foreign": "before an event, one of another app is delivered",
    "events-truncates": "the body of an event's record is delivered without its second half",
    "events-closes": "each listener's connection is closed after `delay_s`, a second by default",
    "events-expires": "a listener's token expires after `delay_s`, a second by default: its "
    "connection is closed with code 1008, and only another token is let in",
    "events-silent": "listeners are accepted, and nothing is ever delivered to them",
    "events-refuses-listeners": "a listener is refused, as with a token that has expired",
}
"""What goes wrong in the event pipeline; `job` is the data set."""

CALLS = TRANSPORT | FLAKINESS
"""Faults that act on calls, by method and path."""

KNOWN = CALLS | LIES | INGESTION_LIES | EVENT_LIES

UNAUTHORIZED = '{"message": "Unauthorized"}'
LOCAL_PATH = "^/metadata/"
LAG_SHARE, UNAUTHORIZED_SHARE = 0.1, 0.05
"""Of the dataplatform-probe's own local service."""
LONGEST_LAG_S = 3.0

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class UnknownFaultError(ValueError):
    """There is no fault of this name."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to be wrong. Raises UnknownFaultError, or ValueError for a path that is no pattern.

    From configuration, command line and HTTP it comes by msgspec, which says where it is wrong.
    """

    name: str
    """One of `KNOWN`."""
    method: str | None = None
    """Of the calls that a transport fault hits; None is any."""
    path: str | None = None
    """A regular expression that is searched in the path of those calls; None is any."""
    job: str | None = None
    """The one job about which to lie; None is any."""
    share: Share = 1.0
    """Of its chances, by dice that are seeded."""
    skip: Count = 0
    """Chances to let pass before the first that may hit."""
    times: Count | None = None
    """At most so many hits."""
    after_s: Seconds = 0.0
    """Seconds from planting until it begins; with `for_s` that makes an outage."""
    for_s: Seconds | None = None
    """Seconds that it lasts from then on."""
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 503
    delay_s: Seconds | None = None
    body: str = '{"unexpected": true}'
    when: Literal["before", "after"] = "before"
    """Whether a call is hit before or after it has had its effect."""

    def __post_init__(self) -> None:
        """Refuse what could never hit; the texts are made to be told with the setting's key."""
        if self.name not in KNOWN:
            near = did_you_mean(self.name, KNOWN)
            raise UnknownFaultError(f"name: there is no fault {self.name!r}; {near}")
        try:
            re.compile(self.path or "")
        except re.error as exc:
            raise ValueError(f"path: it is no regular expression ({exc}); write /logs$") from exc


@dataclass
class _Planted:
    fault: Fault
    name: str
    """What it was planted as: `flaky` is two faults."""
    since: float = field(default_factory=time.monotonic)
    chances: int = 0
    hits: int = 0

    def fires(self, dice: random.Random) -> bool:
        fault = self.fault
        age_s = time.monotonic() - self.since - fault.after_s
        if age_s < 0 or (fault.for_s is not None and age_s > fault.for_s):
            return False
        if fault.times is not None and self.hits >= fault.times:
            return False
        self.chances += 1
        if self.chances <= fault.skip or (fault.share < 1 and dice.random() >= fault.share):
            return False
        self.hits += 1
        return True


class Faults:
    """The planted faults. Safe between threads; costs nothing while none is planted."""

    def __init__(self, seed: int = 0) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - repeatable on purpose, no cryptography
        self._planted: list[_Planted] = []
        self._lock = threading.Lock()

    def plant(self, fault: Fault) -> Fault:
        """From now on, be wrong in this way."""
        parts = _flaky(fault) if fault.name == "flaky" else (fault,)
        with self._lock:
            self._planted = [*self._planted, *(_Planted(part, fault.name) for part in parts)]
        return fault

    def clear(self, name: str | None = None) -> None:
        """Remove the faults of this name, or all."""
        with self._lock:
            kept = [planted for planted in self._planted if planted.name != name]
            self._planted = kept if name is not None else []

    def planted(self) -> dict[str, int]:
        """How often each planted fault has hit so far, by name."""
        hits: dict[str, int] = {}
        for planted in self._planted:
            name = planted.name
            hits[name] = hits.get(name, 0) + planted.hits
        return hits

    def on_call(self, method: str, path: str) -> Fault | None:
        """The transport fault that hits this call, if one does."""
        for planted in self._planted:
            fault = planted.fault
            if (
                fault.name in CALLS
                and fault.method in {None, method}
                and (fault.path is None or re.search(fault.path, path))
            ):
                with self._lock:
                    if planted.fires(self._dice):
                        return self._lagging(fault) if fault.name == "lag" else fault
        return None

    def _lagging(self, fault: Fault) -> Fault:
        """The delay of this one call, by the same dice."""
        limit_s = LONGEST_LAG_S if fault.delay_s is None else fault.delay_s
        return msgspec.structs.replace(fault, name="slow", delay_s=self._dice.uniform(0, limit_s))

    def lies(self, name: str, job: str | None = None) -> bool:
        """Whether to be wrong now in this way about this job."""
        return self.lie(name, job) is not None

    def lie(self, name: str, job: str | None = None) -> Fault | None:
        """The fault that makes it be wrong now in this way about this job, if one does."""
        for planted in self._planted:
            fault = planted.fault
            if fault.name == name and (fault.job is None or fault.job == job):
                with self._lock:
                    if planted.fires(self._dice):
                        return fault
        return None


def _flaky(fault: Fault) -> tuple[Fault, Fault]:
    """What the dataplatform-probe's local service does; a share scales both of its shares."""
    replace = msgspec.structs.replace
    path = fault.path or LOCAL_PATH
    lag = replace(fault, name="lag", path=path, share=fault.share * LAG_SHARE)
    unauthorized = replace(
        fault,
        name="status",
        path=path,
        share=fault.share * UNAUTHORIZED_SHARE,
        status=401,
        body=UNAUTHORIZED,
    )
    return lag, unauthorized
