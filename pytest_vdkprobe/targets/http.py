"""An HTTP endpoint as a target: VDK's wire format, or one object or event per call.

VDK's http ingestion makes one POST of a JSON list per batch, each object with its table under
`@table`, as `application/octet-stream`, packed when it is large. What the answer says of the
records' fate:

| answer | outcome | why |
| --- | --- | --- |
| 2xx | acknowledged | the endpoint has taken them |
| 3xx | refused | they are wanted elsewhere; the login is for this host, so it is not followed |
| 4xx | refused | the endpoint says that it did not do it, and that it is up to us |
| 5xx and anything else | unknown | it broke on the way, or a proxy before it lost sight of it |
| none, and no connection came about | refused | no byte of them left this machine |
| none, after that (time-out, cut, garbled) | unknown | they may have arrived |
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from pytest_vdkprobe.accounting.outcomes import Outcome, SendResult
from pytest_vdkprobe.control.endpoint import Endpoint, EndpointSettings
from pytest_vdkprobe.control.errors import excerpt, redirected_to, status_line
from pytest_vdkprobe.control.network import Reason, Unanswered
from pytest_vdkprobe.errors import Finding, LoginError
from pytest_vdkprobe.records import wire_json
from pytest_vdkprobe.tracing import HEADER, traceparent

if TYPE_CHECKING:
    from pytest_vdkprobe.control.transport import Answer
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.records import ColumnType, Record
    from pytest_vdkprobe.waiting import Deadline

BEFORE_A_BYTE = {
    Reason.NAME,
    Reason.REFUSED,
    Reason.UNREACHABLE,
    Reason.TLS_TRUST,
    Reason.TLS_PLAIN,
    Reason.PROXY,
    Reason.INVALID,
}
"""Why no connection came about at all. Not TLS at large: a line may break in it after the send."""


class HttpTargetSettings(
    EndpointSettings,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="http",
):
    """An endpoint to post to."""

    layout: Literal["vdk", "object", "event"] = "vdk"
    """`vdk`: a list of objects a call, with `@table`; `object`: one object a call; `event`: one
    event a call, `app_id`, `seqno` (from 1 on) and `time_sent`."""
    record: bool = True
    """Whether an event carries our record beside these, by which a reader sees a change of it."""
    table: str | None = None
    """Where the records shall land; sent as `@table`."""
    method: Literal["POST", "PUT"] = "POST"
    gzip_from_bytes: int | None = None
    """Pack bodies from this size on, as VDK_INGEST_OVER_HTTP_COMPRESSION_THRESHOLD_BYTES does."""
    batch: int = 500
    """Records handed over at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 1:
            raise ValueError("batch: must be at least 1")
        if self.layout == "vdk" and self.method != "POST":
            raise ValueError(
                'method: VDK\'s format is posted; leave it out, or set layout="object"'
            )


class HttpTarget:
    """Posts records to an endpoint."""

    losses: Mapping[str, str] = {}

    def __init__(
        self,
        settings: HttpTargetSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
        endpoint: Endpoint | None = None,
    ) -> None:
        self.settings = settings
        self.batch = settings.batch
        self._endpoint = endpoint or Endpoint(settings, key="target", base_dir=base_dir)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def place(self) -> str:
        """The address as messages name it."""
        return self._endpoint.place

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Log in and see that something answers there. What it takes shows with the records."""
        self._endpoint.check()

    def send(self, records: Sequence[Record], *, deadline: Deadline) -> list[SendResult]:
        """Post them, all at once or one by one."""
        documents = [wire_json(record) for record in records]
        if self.settings.table is not None:
            for document in documents:
                document["@table"] = self.settings.table
        if self.settings.layout == "vdk":
            return [self._post(documents, "application/octet-stream", deadline)] * len(documents)
        if self.settings.layout == "event":
            kept = documents if self.settings.record else [{} for _ in documents]
            documents = [
                event_of(record) | document for record, document in zip(records, kept, strict=True)
            ]
        return [
            self._post(document, "application/json", deadline, record)
            for document, record in zip(documents, records, strict=True)
        ]

    def another(self) -> HttpTarget:
        """One for another thread: connections of its own, one login for both."""
        return HttpTarget(self.settings, endpoint=self._endpoint.another())

    def _post(
        self,
        document: object,
        content_type: str,
        deadline: Deadline,
        record: Record | None = None,
    ) -> SendResult:
        """One call, once."""
        if deadline.expired:
            return SendResult(Outcome.REFUSED, "not sent: the time to send was up")
        body = msgspec.json.encode(document)
        headers = {"Content-Type": content_type}
        if record is not None:
            headers[HEADER] = traceparent(record.run_id, record.seq)
        limit = self.settings.gzip_from_bytes
        if limit is not None and len(body) >= limit:
            body = gzip.compress(body, mtime=0)
            headers["Content-Encoding"] = "gzip"
        try:
            answer = self._endpoint.call(
                self.settings.method, body=body, headers=headers, deadline=deadline
            )
        except Unanswered as error:
            outcome = Outcome.REFUSED if error.reason in BEFORE_A_BYTE else Outcome.UNKNOWN
            return SendResult(outcome, error.text)
        except Finding as problem:
            # The login is got before the records are sent.
            login = isinstance(problem, LoginError)
            return SendResult(Outcome.REFUSED, f"not sent: {problem.what}", login)
        if answer.status == 401:
            self._endpoint.refresh_login()
        return outcome_of(answer)

    def remove(self) -> None:
        """Nothing was created."""

    def close(self) -> None:
        """Give back connections and threads."""
        self._endpoint.close()


def event_of(record: Record) -> dict[str, Any]:
    """A record as pipelines of events know it."""
    return {
        "app_id": record.run_id,
        "seqno": record.seq + 1,
        "time_sent": datetime.fromtimestamp(record.sent_at_us / 1e6, UTC).isoformat(),
    }


def outcome_of(answer: Answer) -> SendResult:
    """What an answer says of the fate of what was sent; see the table above."""
    if 200 <= answer.status < 300:
        return ACKNOWLEDGED
    said = status_line(answer.status)
    if 300 <= answer.status < 400:
        where = redirected_to(answer.headers)
        return SendResult(Outcome.REFUSED, f"{said}, to {where}, which is not followed")
    if answer.body:
        said += f": {excerpt(answer.body, 120)}"
    outcome = Outcome.REFUSED if 400 <= answer.status < 500 else Outcome.UNKNOWN
    return SendResult(outcome, said, login=answer.status in (401, 403))


ACKNOWLEDGED = SendResult(Outcome.ACKNOWLEDGED)
