"""An HTTP endpoint that lists what it has received, as a reader: asked again and again for more.

The list is JSON: an array, an object that holds one, or an object a line. How the endpoint is asked
for what is new differs: `offset` counts the items that were read, `since` names the last one by a
field of its own, and `none` is an endpoint that always lists all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from pytest_vdkprobe.control.endpoint import Endpoint, EndpointSettings
from pytest_vdkprobe.control.errors import excerpt, status_line
from pytest_vdkprobe.control.network import Unanswered
from pytest_vdkprobe.errors import LoginError, PlatformFailure, ProbeError
from pytest_vdkprobe.readers.stream import StreamReader, arrival, decode
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.accounting.stream import Arrival
    from pytest_vdkprobe.control.transport import Answer
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.readers.collector import Collector
    from pytest_vdkprobe.records import ColumnType

FAILURES = 3
"""Polls in a row that may go wrong before the endpoint counts as broken: a poll changes nothing."""

REPEATS = 3
"""Pages in a row that begin as the one before. Where something comes again and again, an empty one
is between: after each that is not, the next is asked for at once."""


class HttpReaderSettings(
    EndpointSettings,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="http",
):
    """An endpoint to ask for what it has received."""

    paging: Literal["offset", "since", "none"] = "offset"
    offset_parameter: str = "offset"
    """With `offset`: how many items to leave out."""
    since_parameter: str = "since"
    """With `since`: the value of the last item's `since_field`; what follows it is listed."""
    since_field: str = "position"
    items: str | None = None
    """The field that holds the list, where the answer is an object around it."""
    poll_s: float = 0.25
    """Between two polls; arrival times are no more exact than this."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.poll_s < float("inf"):
            raise ValueError("poll_s: must be more than 0 seconds")


class HttpReader(StreamReader[tuple[int, list[Any]]]):
    """Polls an endpoint for what it has received."""

    def __init__(
        self,
        settings: HttpReaderSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        super().__init__("http-reader")
        self.settings = settings
        self._endpoint = Endpoint(settings, key="reader", base_dir=base_dir)
        self._count = 0
        self._since: object = None
        self._failures = 0
        self._last_page: list[Any] = []
        self._repeats = 0

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Read all that is there already: what follows is new. Raises ProbeError."""
        try:
            while self._page():
                if self.settings.paging == "none":
                    break
        except Unanswered as error:
            raise self._endpoint.unreachable(error) from None
        except _Unfit as unfit:
            raise self._before_a_record(unfit) from None
        self._collector.start()

    def _collect(self, collector: Collector[tuple[int, list[Any]]]) -> None:
        first = self._count
        try:
            new = self._page()
            self._failures = 0
        except (Unanswered, _Unfit) as problem:
            self._failures += 1
            if self._failures >= FAILURES:
                raise PlatformFailure(
                    f"The endpoint no longer lists what it received: {problem}.",
                    seen=f"{FAILURES} polls in a row went wrong, after {self._count} items",
                    checked=self._endpoint.place,
                    to_try="look at the endpoint's log",
                ) from None
            new = []
        if new:
            collector.add((first, new))
        if not new or self.settings.paging == "none":
            collector.pause(self.settings.poll_s)

    def _page(self) -> list[Any]:
        """The items that were not read yet, or the first of them; none when there are no more."""
        settings = self.settings
        query = ""
        if settings.paging == "offset":
            query = f"{quote(settings.offset_parameter)}={self._count}"
        elif settings.paging == "since" and self._since is not None:
            query = f"{quote(settings.since_parameter)}={quote(str(self._since), safe='')}"
        limit_s = settings.connect_timeout_s + settings.read_timeout_s
        answer = self._endpoint.call(
            "GET", query=query, headers=ACCEPT, deadline=Deadline.after(limit_s, "the poll's time")
        )
        if answer.status == 401:
            self._endpoint.refresh_login()
        items = _items(answer, settings.items)
        if settings.paging == "none":
            if len(items) < self._count:
                raise _Unfit(answer, f"{len(items)} items, after {self._count} were listed before")
            items = items[self._count :]
        elif settings.paging == "since" and items:
            last = items[-1]
            if not isinstance(last, dict) or settings.since_field not in last:
                raise _Unfit(answer, f"an item without the field {settings.since_field}")
            self._since = last[settings.since_field]
        if settings.paging != "none":
            self._see_that_it_pages(items)
        self._count += len(items)
        return items

    def _see_that_it_pages(self, items: list[Any]) -> None:
        """Raise ProbeError where each page has all again: it would never end, or look doubled."""
        before, self._last_page = self._last_page, items
        again = bool(before) and items[: len(before)] == before
        self._repeats = self._repeats + 1 if again else 0
        if self._repeats < REPEATS:
            return
        settings = self.settings
        parameter = getattr(settings, f"{settings.paging}_parameter")
        raise ProbeError(
            f"The endpoint lists the same again, whatever {parameter} it is asked for.",
            seen=f"{REPEATS + 1} pages in a row that begin with the same {len(before)} items",
            expected="what follows those that were listed already",
            checked=self._endpoint.place,
            to_try=f"is reader.{settings.paging}_parameter what it calls it? where it always lists "
            'all, set reader.paging = "none"',
        )

    def _before_a_record(self, unfit: _Unfit) -> ProbeError:
        status = unfit.answer.status
        kind = LoginError if status in {401, 403} else ProbeError
        return kind(
            f"The endpoint does not list what it received: {unfit}.",
            expected="200 with JSON: a list, or an object a line",
            checked=self._endpoint.place,
            to_try="check reader.auth"
            if kind is LoginError
            else "check reader.url, reader.items and reader.paging",
        )

    def _arrivals(self, item: tuple[int, list[Any]], arrived_at_us: int) -> Iterable[Arrival]:
        first, items = item
        place = self._endpoint.place
        for index, found in enumerate(items, first):
            yield arrival(found, arrived_at_us, scope="list", position=f"{place}, item {index}")

    def close(self) -> None:
        """End the thread and give back connections."""
        super().close()
        self._endpoint.close()


ACCEPT = {"Accept": "application/json, application/x-ndjson"}


class _Unfit(Exception):  # noqa: N818 - on its way to becoming a finding
    """An answer that is no list of what was received."""

    def __init__(self, answer: Answer, why: str) -> None:
        super().__init__(why)
        self.answer = answer


def _items(answer: Answer, field: str | None) -> list[Any]:
    """The items of an answer. Raises _Unfit."""
    if not 200 <= answer.status < 300:
        raise _Unfit(answer, f"it answers {status_line(answer.status)}")
    found = _parsed(answer)
    if field is not None and isinstance(found, dict):
        found = found.get(field)
    if not isinstance(found, list):
        raise _Unfit(answer, f"its answer is no list: {excerpt(answer.body, 120) or 'empty'}")
    return found


def _parsed(answer: Answer) -> object:
    """The JSON of an answer; lines of objects become a list of them."""
    body = answer.body.strip()
    if "ndjson" not in answer.headers.get("content-type", ""):
        found = decode(body)
        # One line alone is JSON too; an object that is no record of ours is some other answer.
        if not isinstance(found, bytes) and not (isinstance(found, dict) and "digest" in found):
            return found
        if body and not body.startswith(b"{"):
            return found
    return [decode(line) for line in body.splitlines() if line.strip()]
