"""A websocket as a reader: events are broadcast to whoever listens, and each is looked at once.

Several listeners make up for each other's reconnects. An event that one has seen is ignored from
the others; a listener that sees it again has a duplicate, and what all of them see twice is one
duplicate and not one for each. A listener whose connection ends tries again, after a pause that
doubles; when it has tried `tries` times in a row and nobody else listens, that is the finding,
and it goes on trying.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_vdkprobe.accounting.stream import Arrival
from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import LoginError, PlatformFailure
from pytest_vdkprobe.readers.listener import Authorizer, Connection, Listener, Token
from pytest_vdkprobe.readers.stream import StreamReader, arrival, decode
from pytest_vdkprobe.secrets import REDACTOR
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pyroaring import BitMap64

    from pytest_vdkprobe.accounting.expectation import Expectation
    from pytest_vdkprobe.accounting.observation import Observation
    from pytest_vdkprobe.leases import LeaseStore
    from pytest_vdkprobe.readers.collector import Collector
    from pytest_vdkprobe.records import ColumnType

LOOK_S = 0.2
BARRED_TRIES = 2
"""Refusals in a row until our login is the finding: the first may be of a token that expired, and
the next is with another one where an authorizer is asked."""
LARGEST = 2**64 - 1
"""Of the numbers that can be kept; an event with a larger one is none of ours."""
TIDIED = 1 << 16
"""After so many events what is known of them is put together: without gaps it takes no room."""
REMEMBERED = 20_000
"""Copies of which it is known how many there were: memory stays flat where all come twice."""


class WebsocketReaderSettings(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="websocket",
):
    """A websocket to listen to."""

    url: str
    query: dict[str, str] = {}
    """Added to the address, beside the token."""
    token: SecretRef | None = None
    authorizer: Authorizer | None = None
    """Where to get a token instead; it is asked again when the websocket refuses one, or closes a
    connection because of it."""
    token_parameter: str = "webhook_token"  # noqa: S105 - a parameter's name
    listeners: int = 2
    stagger_s: float = 15.0
    """How long after the first the second one starts, and so on."""
    compare: bool = True
    """Whether events carry our record, to be held against what was sent."""
    tries: int = 10
    """Reconnects in a row that may fail before it is the finding."""
    backoff_s: float = 0.5
    """The pause before the first of these; it doubles, up to half a minute."""
    connect_timeout_s: float = 10.0
    ca_file: FilePath | None = None
    verify_tls: bool = True

    def __post_init__(self) -> None:
        scheme, _, rest = self.url.partition("://")
        if "@" in rest.partition("/")[0]:
            REDACTOR.add(rest.partition("@")[0].partition(":")[2])
            raise ValueError("url: credentials don't belong in an address; use token")
        if scheme not in ("ws", "wss") or not rest.partition("/")[0]:
            raise ValueError("url: no address of a websocket; write wss://HOST/PATH")
        if self.token is not None and self.authorizer is not None:
            raise ValueError("token: authorizer is given too; choose one")
        for name in ("listeners", "tries"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        for name in ("backoff_s", "connect_timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: must be more than 0 seconds")
        if not 0 <= self.stagger_s < float("inf"):
            raise ValueError("stagger_s: must be 0 seconds or more")
        if self.ca_file and not self.verify_tls:
            raise ValueError("ca_file: has no effect while verify_tls is false; choose one")


class WebsocketReader(StreamReader[tuple[int, "str | bytes"]]):
    """Listens to a websocket."""

    def __init__(
        self,
        settings: WebsocketReaderSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        super().__init__("websocket-reader")
        self.settings = settings
        self.compared = settings.compare
        token = Token(settings.token, settings.authorizer, base_dir=base_dir)
        self._connection = Connection(settings, token)
        self._listeners = [
            Listener(
                number,
                self._connection,
                add=self._collector.add,
                start_after_s=number * settings.stagger_s,
            )
            for number in range(settings.listeners)
        ]
        self._copies = _Copies(settings.listeners)
        self._names = [f"listener {number + 1}" for number in range(settings.listeners)]

    @property
    def place(self) -> str:
        """The address as messages name it."""
        return self._connection.place

    @property
    def connected(self) -> int:
        """How many listeners are connected now."""
        return sum(listener.connected for listener in self._listeners)

    @property
    def cut_at(self) -> float | None:
        """When a listener's connection last ended by itself, on the monotonic clock."""
        moments = (listener.ended_at for listener in self._listeners)
        return max((at for at in moments if at is not None), default=None)

    def prepare(self, columns: Mapping[str, ColumnType]) -> None:
        """Have the first listener connected. Raises LoginError, TransportError."""
        self._listeners[0].connect_first()
        for listener in self._listeners:
            listener.start()
        self._collector.start()

    def _collect(self, collector: Collector[tuple[int, str | bytes]]) -> None:
        # The listeners add by themselves, each from its own thread.
        collector.pause(LOOK_S)

    def resume(self, observation: Observation) -> None:
        """Go on from what an earlier process saw; who of its listeners did is not known."""
        super().resume(observation)
        self._copies.resume(observation.seen)

    def observe(self, expectation: Expectation, *, deadline: Deadline) -> Observation:
        """All that was heard since `prepare`, each event once for however many listeners."""
        try:
            observation = super().observe(expectation, deadline=deadline)
        finally:
            if self._observer is not None:
                self._observer.observation.notes[:] = self._notes()
        return observation

    def _notes(self) -> list[str]:
        """What the listeners went through, as far as it is news."""
        return [note for listener in self._listeners if (note := listener.story())]

    def _check(self) -> None:
        super()._check()
        for listener in self._listeners:
            if listener.error is not None:
                raise listener.error
        tried = [listener for listener in self._listeners if listener.begun]
        if not self.connected and all(
            listener.barred and listener.failures >= BARRED_TRIES for listener in tried
        ):
            raise LoginError(
                f"The websocket {self.place} takes our login no more.",
                seen=f"{tried[0].failures} tries in a row were refused, the last: "
                f"{tried[0].trouble}",
                expected="to be let in, as before",
                checked=self.place,
                to_try="has the token expired, or been withdrawn? renew what reader.token or "
                "reader.authorizer names; a watch reads it again on SIGHUP, or restarted where it "
                "comes from the environment",
            )
        if not self.connected and all(
            listener.failures >= self.settings.tries for listener in tried
        ):
            raise PlatformFailure(
                f"The websocket {self.place} lets nobody listen any more.",
                seen=f"{tried[0].failures} tries in a row failed, the last: {tried[0].trouble}",
                expected="a connection, as there was before",
                checked=self.place,
                to_try="is the websocket's service up?",
            )

    def _arrivals(self, item: tuple[int, str | bytes], arrived_at_us: int) -> Iterable[Arrival]:
        number, message = item
        seen = _event(decode(message), arrived_at_us, self._names[number])
        if self._ours(seen) and type(seen.seq) is int and 0 <= seen.seq <= LARGEST:
            return (seen,) if self._copies.is_new(number, seen.seq) else ()
        return (seen,) if number == self._speaker() else ()

    def _speaker(self) -> int:
        """The listener that counts what is nobody's: the first that is connected."""
        return next((one.number for one in self._listeners if one.connected), 0)

    def _ours(self, seen: Arrival) -> bool:
        return self._observer is not None and seen.run_id == self._observer.expectation.run_id

    def close(self) -> None:
        """End all connections and threads."""
        for listener in self._listeners:
            listener.stop()
        super().close()
        for listener in self._listeners:
            listener.join()
        self._connection.close()


class _Copies:
    """Which event was seen by which listener, and how often by the one that saw it most."""

    def __init__(self, listeners: int) -> None:
        from pyroaring import BitMap64  # noqa: PLC0415 - only who accounts loads it

        self._any = BitMap64()
        self._by = [BitMap64() for _ in range(listeners)]
        self._more: dict[tuple[int, int], int] = {}
        """How often a listener has seen an event, where it was more than once."""
        self._most: dict[int, int] = {}

    def resume(self, seen: BitMap64) -> None:
        self._any.update(seen)

    def is_new(self, listener: int, seq: int) -> bool:
        """Whether this arrival is a copy beyond what every listener has shown by now."""
        by = self._by[listener]
        if seq not in by:
            by.add(seq)
            if seq % TIDIED == 0:
                for numbers in (self._any, *self._by):
                    numbers.run_optimize()
            if seq in self._any:
                return False
            self._any.add(seq)
            return True
        copies = self._more.get((listener, seq), 1) + 1
        self._more[listener, seq] = copies
        if len(self._more) > REMEMBERED:
            # The oldest are first; who gets copies of these has other troubles.
            for oldest in list(self._more)[: REMEMBERED // 2]:
                del self._more[oldest]
                self._most.pop(oldest[1], None)
        if copies <= self._most.get(seq, 1):
            return False
        self._most[seq] = copies
        return True


def _event(found: object, arrived_at_us: int, listener: str) -> Arrival:
    """One event by the names that pipelines of events have, or by our record's."""
    if not isinstance(found, dict) or "app_id" not in found:
        return arrival(found, arrived_at_us, scope=listener, position=listener)
    seqno = found.get("seqno")
    return Arrival(
        found["app_id"],
        seqno - 1 if type(seqno) is int else seqno,
        found.get("body"),
        found.get("digest"),
        found,
        arrived_at_us,
        listener,
        listener,
        found.get("sent_at_us"),
    )
