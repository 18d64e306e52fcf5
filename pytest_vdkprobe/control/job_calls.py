"""The operations on data jobs themselves, their list, keytabs and sources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pytest_vdkprobe.control.calls import Caller, segment
from pytest_vdkprobe.control.errors import ServiceFailure, excerpt
from pytest_vdkprobe.control.models import (
    DataJob,
    DataJobApiInfo,
    DataJobVersion,
    JobPage,
    JobQueryResponse,
    JobRow,
)

PAGE_SIZE = 100
MOST_PAGES = 1000
GONE = frozenset({404})
PAGE = """{ jobs(pageNumber: %d, pageSize: %d, filter: [%s]) { content { jobName \
config { team description schedule { scheduleCron } } deployments { enabled status } } } }"""


class Calls:
    """What all groups of operations share: one caller, and the team they speak for."""

    def __init__(self, caller: Caller, team: str) -> None:
        self._caller = caller
        self.team = team

    @property
    def _jobs(self) -> str:
        return f"/data-jobs/for-team/{segment(self.team)}/jobs"

    def _job(self, name: str) -> str:
        return f"{self._jobs}/{segment(name)}"


class JobCalls(Calls):
    """Data jobs. None, or False, stands for the service's 404."""

    def info(self) -> DataJobApiInfo:
        """The service's version and the Pythons that it supports."""
        return self._caller.info()

    def create_job(self, job: DataJob) -> None:
        """Create a job. ServiceFailure with status 409 means that the name is taken.

        When it stays unknown whether it was created, the job is read: one with our description is
        ours. So a description should be unique, as a lease's mark makes it.
        """

        def created() -> bool | None:
            found = self.read_job(job.job_name)
            return True if found and found.description == job.description else None

        def create() -> bool:
            self._caller.need("POST", self._jobs, query={"name": job.job_name}, document=job)
            return True

        self._caller.unless_done(create, created)

    def read_job(self, name: str) -> DataJob | None:
        """The job as the service holds it."""
        answer = self._caller.call("GET", self._job(name), absent=GONE)
        if answer is None:
            return None
        return self._caller.decode(answer, DataJob, method="GET", path=self._job(name))

    def update_job(self, job: DataJob) -> None:
        """Overwrite a job, all of it: what `job` leaves out is reset."""
        self._caller.need("PUT", self._job(job.job_name), document=job)

    def delete_job(self, name: str) -> bool:
        """Delete a job; False when there was none. Its properties stay behind (see the service)."""
        answer = self._caller.call("DELETE", self._job(name), absent=GONE)
        # A repeated delete that finds nothing is the first one's success.
        return answer is not None or self._caller.repeated

    def change_team(self, name: str, new_team: str) -> bool:
        """Give a job to another team; False when there is no such job."""
        path = f"{self._job(name)}/team/{segment(new_team)}"
        there = f"/data-jobs/for-team/{segment(new_team)}/jobs/{segment(name)}"

        def moved() -> bool | None:
            return self._caller.call("GET", there, absent=GONE) is not None or None

        def move() -> bool:
            # Not repeated blindly: once moved, the job is unknown here, and that is a 404.
            return self._caller.call("PUT", path, absent=GONE, repeatable=False) is not None

        return self._caller.unless_done(move, moved)

    def keytab(self, name: str) -> bytes | None:
        """The job's keytab: bytes, none of them where Kerberos is off, or None."""
        path = f"{self._job(name)}/keytab"
        answer = self._caller.call("GET", path, absent=GONE, confidential=True)
        return None if answer is None else answer.body

    # The list, by GraphQL

    def jobs_query(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        *,
        operation_name: str | None = None,
    ) -> JobPage:
        """One GraphQL query. The path's team restricts nothing: filter in the query."""
        parameters: dict[str, str | list[str]] = {"query": query}
        if variables:
            parameters["variables"] = json.dumps(dict(variables))
        if operation_name:
            parameters["operation_name"] = operation_name
        answer = self._caller.need("GET", self._jobs, query=parameters)
        response = self._caller.decode(answer, JobQueryResponse, method="GET", path=self._jobs)
        if response.errors:
            why = excerpt(msgspec.json.encode(response.errors))
            raise self._caller.unfit(answer, f"errors: {why}", method="GET", path=self._jobs)
        return response.data

    def list_jobs(self, team: str | None = None, name: str | None = None) -> Iterator[JobRow]:
        """The rows of the list, of one team or (None) of all, as the service gives them.

        Rows of other teams are not left out here: whether the service filters is for the caller to
        see. Its team pattern is a case-insensitive regular expression.
        """
        pattern = "" if team is None else f"pattern: {json.dumps(team)}, "
        filters = f'{{ property: "config.team", {pattern}sort: ASC }}'
        if name is None:
            filters += ', { property: "jobName", sort: ASC }'
        else:
            filters += f', {{ property: "jobName", pattern: {json.dumps(name)}, sort: ASC }}'
        before: list[dict[str, Any]] | None = None
        for number in range(1, MOST_PAGES + 1):
            rows = self.jobs_query(PAGE % (number, PAGE_SIZE, filters)).content
            if rows and rows == before:
                raise self._endless(f"page {number} is page {number - 1} again")
            for row in rows:
                yield self._row(row)
            if len(rows) < PAGE_SIZE:
                return
            before = rows
        raise self._endless(f"{MOST_PAGES} pages of {PAGE_SIZE} rows, and no end")

    def _row(self, row: dict[str, Any]) -> JobRow:
        try:
            return msgspec.convert(row, JobRow)
        except msgspec.ValidationError as exc:
            raise ServiceFailure(
                "A row of the job list is not as the API says.",
                method="GET",
                url=self._caller.settings.url + self._jobs,
                op_id=self._caller.op_id,
                seen=excerpt(str(exc).encode("utf-8", "backslashreplace")),
            ) from exc

    def _endless(self, seen: str) -> ServiceFailure:
        return ServiceFailure(
            "The job list does not end.",
            method="GET",
            url=self._caller.settings.url + self._jobs,
            op_id=self._caller.op_id,
            seen=seen,
            expected=f"a page with fewer than {PAGE_SIZE} rows",
        )

    # Sources

    def upload_sources(self, name: str, zip_bytes: bytes, *, reason: str) -> str:
        """Upload a zip with one top folder; returns its version.

        The same content has the same version, so uploading again after a doubtful answer does no
        harm, and needs no look before.
        """
        path = f"{self._job(name)}/sources"

        def upload() -> str:
            answer = self._caller.need("POST", path, query={"reason": reason}, body=zip_bytes)
            version = self._caller.decode(answer, DataJobVersion, method="POST", path=path)
            if not version.version_sha:
                why = "an empty version_sha"
                raise self._caller.unfit(answer, why, method="POST", path=path)
            return version.version_sha

        return self._caller.unless_done(upload, lambda: None)

    def download_sources(self, name: str) -> bytes | None:
        """The latest sources, as a zip."""
        path = f"{self._job(name)}/sources"
        answer = self._caller.call("GET", path, absent=GONE, accept="application/octet-stream, */*")
        return None if answer is None else answer.body

    def delete_sources(self, name: str, *, reason: str) -> bool:
        """Remove the sources; False when there are none."""
        path = f"{self._job(name)}/sources"
        answer = self._caller.call("DELETE", path, query={"reason": reason}, absent=GONE)
        return answer is not None or self._caller.repeated
