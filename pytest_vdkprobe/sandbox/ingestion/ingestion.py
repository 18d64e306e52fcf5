"""The sandbox's ingestion put together: its endpoints, its sinks, and their end.

Records that go in here come out in a table of a real engine, through Kafka or directly, so that a
route over the sandbox is a true chain. Nothing is started before the first record needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NoReturn

import msgspec

from pytest_vdkprobe.sandbox.auth import Tokens, challenge
from pytest_vdkprobe.sandbox.calls import Answer, Call, Table, json_answer
from pytest_vdkprobe.sandbox.errors import invalid, problem, unavailable
from pytest_vdkprobe.sandbox.faults import Fault, Faults
from pytest_vdkprobe.sandbox.ingestion.bodies import Row, by_table, rows_of
from pytest_vdkprobe.sandbox.ingestion.engines import Engines
from pytest_vdkprobe.sandbox.ingestion.landing import Landing
from pytest_vdkprobe.sandbox.ingestion.sink import Sink
from pytest_vdkprobe.sandbox.ingestion.trouble import (
    BadRecordsError,
    EngineDownError,
    NotLandedError,
)
from pytest_vdkprobe.sandbox.settings import Settings

if TYPE_CHECKING:
    from pytest_vdkprobe.sandbox.engines.messages import Run

P = "/sandbox/ingest"
AT_ONCE = 8
"""Batches that may land side by side; VDK sends with 10 threads, and some of them wait."""
LONGEST_PAGE = 10_000
LIST = "list"
"""What a remembered record is called that names no table."""


class Ingestion:
    """Endpoints and sinks, from `start()` to `close()`."""

    def __init__(
        self, settings: Settings, *, faults: Faults, tokens: Tokens | None, run: Run | None
    ) -> None:
        self._tokens = tokens
        self._engines = Engines(run)
        self._shared = run is not None
        self._landing = Landing(faults, self._engines)
        self._sinks = [
            Sink(
                engine,
                landing=self._landing,
                engines=self._engines,
                prefix=settings.sink_topics,
            )
            for engine in self._landing.tables
        ]
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sandbox-ingestion")

    def start(self) -> None:
        """Where engines are shared, somebody else may start Kafka and fill topics: watch for it."""
        if self._shared:
            self._start_sinks()

    def close(self) -> None:
        """Land nothing more; end every thread, connection and engine of its own. Idempotent."""
        for sink in self._sinks:
            sink.stop()
        self._landing.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for sink in self._sinks:
            sink.close()
        self._landing.close()
        self._engines.close()

    def table(self) -> Table:
        """Path -> method -> operation."""
        tables: Table = {}
        for engine in self._landing.tables:
            operations = {"POST": self._into(engine)}
            for path in ("", "/{top}", "/{top}/{schema}"):
                tables[f"{P}/{engine}{path}"] = dict(operations)
        return tables | {
            f"{P}/kafka/{{topic}}": {"POST": self.produce},
            f"{P}/list": {"POST": self.remember},
            f"{P}/received": {"GET": self.received},
            f"{P}/sink": {"GET": self.sink, "POST": self.sink_start},
        }

    # Endpoints

    def _into(self, engine: str) -> Callable[[Call], Awaitable[Answer]]:
        """The operation that lands in the tables of `engine`."""
        word = "database" if engine == "postgres" else "catalog"

        def land(call: Call) -> Answer:
            batches = by_table(rows_of(call), call.query.get("table"))
            top = call.params.get("top") or call.query.get(word)
            schema = call.params.get("schema") or call.query.get("schema")
            counts = {called: len(rows) for called, rows in batches.items()}
            altered, refused = self._landing.altered(engine, batches, top=top, schema=schema)
            if altered:
                self._landing.into_tables(engine, altered, top=top, schema=schema)
            return _landed(counts, refused)

        async def into_tables(call: Call) -> Answer:
            return await self._in_thread(land, call)

        return into_tables

    async def produce(self, call: Call) -> Answer:
        """One message for each object; a topic that is missing is made."""
        topic = call.params["topic"]

        def land(call: Call) -> Answer:
            rows = _without_tables(rows_of(call))
            # Before it lands: a topic of the sink's shall be emptied as soon as it is there.
            self._start_sinks()
            return _landed({topic: len(rows)}, self._landing.into_topic(topic, rows))

        return await self._in_thread(land, call)

    async def remember(self, call: Call) -> Answer:
        """Keep the objects for `received`."""

        def land(call: Call) -> Answer:
            batches = by_table(rows_of(call), call.query.get("table") or LIST)
            refused = None
            for name, rows in batches.items():
                refused = self._landing.into_list(name, rows) or refused
            return _landed({name: len(rows) for name, rows in batches.items()}, refused)

        return await self._in_thread(land, call)

    def received(self, call: Call) -> Answer:
        """What came to the list, all or of one `table`, from position `offset` or `since` on."""
        query = call.query
        try:
            offset = int(query.get("offset") or query.get("since") or 0)
            limit = int(query.get("limit") or LONGEST_PAGE)
        except ValueError as exc:
            raise invalid("The list can't be cut.", "offset or limit is no number.") from exc
        page = self._landing.received.page(query.get("table"), offset, min(limit, LONGEST_PAGE))
        body = {
            "first": page.first,
            "next": page.next,
            "records": [msgspec.Raw(kept.json) for kept in page.kept],
            "tables": [kept.name for kept in page.kept],
            "received_at_us": [kept.received_at_us for kept in page.kept],
        }
        return json_answer(body)

    def sink(self, _call: Call) -> Answer:
        """What the sinks have landed, and what could not land anywhere."""
        landed = {topic: count for sink in self._sinks for topic, count in sink.landed.items()}
        return json_answer({"landed": landed, "failures": list(self._landing.failures)})

    def sink_start(self, _call: Call) -> Answer:
        """Empty the sink's topics from now on, once Kafka runs."""
        self._start_sinks()
        return Answer(204)

    def _start_sinks(self) -> None:
        for sink in self._sinks:
            sink.start()

    async def _in_thread(self, land: Callable[[Call], Answer], call: Call) -> Answer:
        """Run what waits for an engine; its troubles become answers."""
        if self._tokens is not None:
            given = call.headers.get("authorization")
            if self._tokens.user_of(given) is None:
                return Answer(401, headers={"WWW-Authenticate": challenge(given)})
        try:
            running = asyncio.get_running_loop().run_in_executor(self._pool, land, call)
        except RuntimeError as exc:
            raise unavailable("The records did not land.", "The sandbox stops.") from exc
        try:
            return await running
        except BadRecordsError as exc:
            _refuse(exc)
        except EngineDownError as exc:
            raise problem(
                503,
                "The engine did not say that the records have landed.",
                why=str(exc),
                consequences=_fate(exc),
                countermeasures="See whether the engine runs; read back before you send again.",
            ) from exc


def _refuse(exc: BadRecordsError) -> NoReturn:
    where = f" in table {exc.table}" if exc.table else ""
    where += f", column {exc.column}" if exc.column else ""
    raise problem(
        400,
        f"The records can't land{where}.",
        why=exc.why,
        consequences=_fate(exc),
        countermeasures="Compare the records with the table, and send them again.",
    ) from exc


def _fate(exc: NotLandedError) -> str:
    if exc.landed:
        return f"{exc.landed} records of this batch have landed before."
    if isinstance(exc, EngineDownError):
        return "Most likely nothing of this batch has landed."
    return "Nothing of this batch has landed."


def _without_tables(rows: list[Row]) -> list[Row]:
    by_table(rows, "")
    return rows


def _landed(counts: dict[str, int], refused: Fault | None) -> Answer:
    if refused is not None:
        status = refused.status if 400 <= refused.status < 500 else 400
        raise problem(status, "The records are refused.", why="Because a fault is planted.")
    return json_answer({"landed": sum(counts.values()), "places": counts})
