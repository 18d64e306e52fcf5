"""The data job that sends a route's records: made once for a route, run once for each profile.

It sends with VDK's own ingestion, so that VDK's plugins are what is tested. VDK acknowledges no
single record: it collects them, sends them when it likes, and fails the job at its end if one could
not be sent. So every record is unknown from before the start until the job has ended; if it ended
well, the platform claims to have taken all of them, and they count as acknowledged. What has come
out is looked at all the while, so that a job that fails leaves an account of what arrived.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_vdkprobe.accounting import payloads
from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.errors import Finding, PlatformFailure
from pytest_vdkprobe.jobs.settings import JobSettings
from pytest_vdkprobe.jobs.template import INGESTION, load_template
from pytest_vdkprobe.journeys.live_job import LiveJob
from pytest_vdkprobe.journeys.proof import PROOF_PROPERTY, SETTLES_S, read_proof
from pytest_vdkprobe.readers.returned import ReturnedFileReader
from pytest_vdkprobe.routes.by_job import job_name
from pytest_vdkprobe.routes.settings import JOB
from pytest_vdkprobe.waiting import Deadline, wait_until

if TYPE_CHECKING:
    from pytest_vdkprobe.control.client import ControlClient
    from pytest_vdkprobe.jobs.template import JobTemplate
    from pytest_vdkprobe.journeys.executions import Started
    from pytest_vdkprobe.journeys.run import Run
    from pytest_vdkprobe.routes.passage import Passage
    from pytest_vdkprobe.routes.route import Route

PAYLOADS = "vdkprobe_payloads.py"
"""What the job calls its copy of our payloads."""
RETURNED = "vdkprobe_file"
"""The property in which the job hands its file back."""
WELL = frozenset({"succeeded"})
_INGESTING = re.compile(r"Exception was: (.{3,300})")
"""What VDK logs of each batch that could not be sent; the first of them is the cause."""
_BOXED = re.compile(r"^\+ +(\S.*?) *\+$", re.MULTILINE)
"""VDK draws a box around the text of its own errors."""
_RAISED = re.compile(r"^(\w+(?:Error|Exception|Exit): .{3,300})", re.MULTILINE)
"""The last line of a traceback."""
_WRAPPED = re.compile(r"^\w+Error: An error of resolvable type \S+ occurred\s*")
"""What VDK puts before the text of its own errors."""
LOOK_EVERY_S = 0.5
LAST_LOOK_S = 10.0
"""How long is waited for what is still on its way when a job has failed."""


class RouteJob:
    """`prepare()` once, `send(passage)` for each profile, `remove()` at the end."""

    way = JOB

    def __init__(self, client: ControlClient, run: Run, route: Route) -> None:
        self.client = client
        self.run = run
        self.route = route
        self._told = route.instructions(profile(route.settings.profiles_of(JOB)[0]))
        settings = self._settings()
        self.job = LiveJob(
            client,
            run,
            name=settings.remote_name(run.run_id),
            settings=settings,
            template=self._template(settings),
        )
        self._count = 0

    def prepare(self) -> None:
        """Create the job under its lease, deploy it and see it live."""
        # First a call that creates nothing: of a service that is away nothing is left to look for.
        self.client.info()
        self.job.create()
        version = self.job.upload(1)
        waited = self.job.deploy(version, deadline=self._deadline())
        self._evidence(
            f"job {self.job.name}, version {version[:12]} live after {waited.elapsed_s:.1f} s"
        )

    def send(self, passage: Passage, *, deadline: Deadline) -> None:
        """Run the job for this passage and see it succeed; all its records are acknowledged then.

        Raises what became of the job otherwise. `passage.account` has what arrived all the same.
        """
        passage.entrust()
        started = self._start(passage)
        looking = _Looking(self.client, passage, started, deadline)
        executions = self.job.executions
        try:
            waited = executions.follow(
                started,
                until=WELL,
                deadline=deadline,
                beside=looking,
                longest_pause_s=LOOK_EVERY_S,
            )
            ended = str(waited.value.status) if waited.value is not None else "absent"
            if ended in WELL:
                self._require_handed(passage, started, deadline)
        except Finding as finding:
            looking.last(finding.what)
            raise
        if ended not in WELL:
            cause = self._cause(started)
            looking.last(f"the job ended as {ended}{cause}")
            raise PlatformFailure(
                f"The job that sends the records ended as {ended}{cause}.",
                seen=f"{passage.account or 'nothing'}{executions.log_tail(started)}",
                expected="succeeded, with every record sent",
                checked=started.checked,
                to_try="see its log above; what arrived all the same stands in the account",
            )
        looking.begin()
        passage.settle(SendResult(Outcome.ACKNOWLEDGED))
        self._evidence(f"execution {started.id} succeeded in {waited.elapsed_s:.1f} s")

    def remove(self) -> None:
        """Delete the job, if it is there, and see it gone."""
        if self.run.step is not None:
            self.client.op_id = self.run.step.op_id
        self.job.remove(deadline=self._deadline())

    def _start(self, passage: Passage) -> Started:
        self._count += 1
        told = self.route.instructions(passage.profile)
        nonce = f"{self.run.run_id}-{self._count}-{time.monotonic_ns() % 1_000_000:06d}"
        arguments: dict[str, Any] = {
            "run_id": passage.run_id,
            "nonce": nonce,
            "profile": passage.profile.name,
            "first": 0,
            "count": passage.records,
            "rate_per_s": passage.settings.rate_per_s,
            "method": told.method,
            "target": told.target,
            "table": told.table,
            "read_back": told.read_back,
            "kafka": dict(told.kafka),
        }
        return self.job.executions.start(arguments, nonce=nonce)

    def _require_handed(self, passage: Passage, started: Started, deadline: Deadline) -> None:
        """The job says itself that it ran to its end: a status alone is a claim."""
        wait_until(
            f"word from the job of {started.id}, which succeeded, that it sent all its records",
            lambda: _proof(self.client, started),
            done=lambda proof: proof.get("handed") == passage.records,
            deadline=deadline.within(SETTLES_S, "time for properties to settle"),
            describe=_described,
            expected=f"{PROOF_PROPERTY} with handed {passage.records}, nonce {started.nonce}",
            checked=f"GET .../jobs/{started.job}/deployments/.../properties; {started.checked}",
            to_try="the status says that it ran, the job does not: see its log and its pod",
        )
        if isinstance(passage.reader, ReturnedFileReader):
            text = str(self.client.properties(started.job).get(RETURNED, ""))
            passage.reader.give(text, checked=f"property {RETURNED} of {started.job}")

    def _cause(self, started: Started) -> str:
        """What its log gives as the cause, if anything, to be put behind how it ended."""
        said = self.job.executions.log(started)
        boxed = " ".join(_BOXED.findall(said))
        found = [*_INGESTING.findall(said)[:1], boxed, *_RAISED.findall(said)[-1:]]
        cause = next((each for each in found if each), "")
        return f": {_WRAPPED.sub('', cause)[:300].strip().rstrip('.')}" if cause else ""

    def _settings(self) -> JobSettings:
        way = self.route.settings.job
        return JobSettings(
            name=job_name(self.route.settings),
            description=f"Sends the records of the route {self.route.name}",
            path=way.path,
            proves=way.path is not None,
            python_version=way.python_version,
            vdk_version=way.vdk_version,
            vdk=dict(self._told.vdk) if way.path is None else {},
        )

    def _template(self, settings: JobSettings) -> JobTemplate:
        """The job's directory, with the payloads and what else it needs beside its own files."""
        configuration = self.route.configuration
        template = load_template(
            settings.path or INGESTION,
            settings=settings,
            team=self.client.settings.team,
            base_dir=configuration.base_dir,
            file=configuration.name,
            key=f"routes.{self.route.index}.job.path",
        )
        files = {PAYLOADS: Path(payloads.__file__).read_bytes(), **template.files}
        if self._told.requirements:
            wanted = "".join(f"{package}\n" for package in self._told.requirements)
            files.setdefault("requirements.txt", wanted.encode())
        return msgspec.structs.replace(template, files=files)

    def _deadline(self) -> Deadline:
        if self.run.step is not None:
            return self.run.step.deadline
        return Deadline.after(self.run.cleanup_timeout_s, "time for the cleanup")

    def _evidence(self, text: str) -> None:
        if self.run.step is not None:
            self.run.step.evidence(text)


class _Looking:
    """Looks at what comes out while the job runs; called with each poll of its execution."""

    def __init__(
        self, client: ControlClient, passage: Passage, started: Started, deadline: Deadline
    ) -> None:
        self._client = client
        self._passage = passage
        self._started = started
        self._deadline = deadline
        self._begun = False
        self._next = Deadline.after(LOOK_EVERY_S)

    def __call__(self) -> str:
        if self._next.expired:
            self.begin()
            if self._begun:
                self._passage.look(deadline=self._deadline)
            self._next = Deadline.after(LOOK_EVERY_S)
        return self._passage.progress if self._begun else ""

    def begin(self) -> None:
        """Learn from the job when it began, once."""
        if not self._begun:
            started_us = _proof(self._client, self._started).get("started_us")
            if isinstance(started_us, int):
                self._passage.begun(started_us)
                self._begun = True

    def last(self, why: str) -> None:
        """See what is still to come of a job that failed; its cause is known, so nothing raises."""
        self._passage.settle(SendResult(Outcome.UNKNOWN, why))
        deadline = Deadline.after(LAST_LOOK_S, "time for a last look")
        quiet_s = self._passage.settings.quiet_s
        known: list[tuple[int, Deadline]] = []

        def quiet(seen: int) -> bool:
            if not known or known[-1][0] != seen:
                known.append((seen, Deadline.after(quiet_s)))
            return known[-1][1].expired

        self._client.deadline = deadline
        with suppress(Finding):
            self.begin()
            wait_until(
                f"records out of {self._passage}",
                lambda: self._passage.look(deadline=deadline).seen,
                done=quiet,
                deadline=deadline,
                describe=lambda _seen: self._passage.progress,
                longest_pause_s=LOOK_EVERY_S,
            )


def _described(proof: dict[str, Any]) -> str:
    if not proof:
        return f"property {PROOF_PROPERTY} missing"
    return f"begun, handed {proof.get('handed', 'nothing yet')}"


def _proof(client: ControlClient, started: Started) -> dict[str, Any]:
    """What the job of this execution says of itself; nothing that another one said."""
    proof = read_proof(client, started.job)
    return proof if proof.get("nonce") == started.nonce else {}
