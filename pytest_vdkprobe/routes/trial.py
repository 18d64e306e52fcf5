"""What `vdkprobe check --connect` tries of routes: that both ends answer, log us in, and are there.

Nothing is created or sent. A table or topic that a run would create is not looked for, nor what
only the first record shows: whether an HTTP endpoint takes records, and a user may write.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.accounting.profiles import profile
from pytest_vdkprobe.routes.by_job import MADE_HERE
from pytest_vdkprobe.routes.kinds import SIDES, Side, kind_of
from pytest_vdkprobe.routes.problems import EXAMPLES
from pytest_vdkprobe.routes.settings import DIRECT, RouteSettings
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.records import ColumnType

LIMIT_S = 30.0
"""For one end's statement; connecting has the limits of its settings."""


def trials(configuration: Configuration) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each end of each route: what to call it, and what tries it.

    Calling the latter returns what was seen, or raises the finding.
    """
    for index, route in enumerate(configuration.sections("routes", RouteSettings)):
        ends: dict[Side, Any] = {}
        for side in SIDES:
            kind = kind_of(side, getattr(route, side).kind, file=configuration.name)
            key = ("routes", str(index), side)
            ends[side] = configuration.table(key, kind.settings, placeholders=ChainMap(EXAMPLES))
        there = not any(getattr(end, "create", False) for end in ends.values())
        columns = profile(route.profiles[0]).columns if there else None
        if not {DIRECT, *MADE_HERE} & {*route.ways, route.target.kind}:
            # A job reaches it from where it runs; from here it need not answer.
            del ends["target"]
        for side, end in ends.items():
            act = partial(try_end, end, side, columns=columns, base_dir=configuration.base_dir)
            yield f"{route.name}, {side}", act


def try_end(
    end: Any,
    side: Side,
    *,
    columns: Mapping[str, ColumnType] | None = None,
    base_dir: Path | None,
) -> str:
    """Reach one end; with `columns`, find the place that is configured as well."""
    from pytest_vdkprobe.connections.kafka_topics import TopicSettings  # noqa: PLC0415 - when tried
    from pytest_vdkprobe.connections.postgres import PostgresConnection  # noqa: PLC0415 - ditto
    from pytest_vdkprobe.connections.trino import TrinoConnection  # noqa: PLC0415 - ditto
    from pytest_vdkprobe.control.endpoint import Endpoint, EndpointSettings  # noqa: PLC0415 - ditto
    from pytest_vdkprobe.readers.websocket import WebsocketReader, WebsocketReaderSettings  # noqa: PLC0415 - ditto

    if isinstance(end, WebsocketReaderSettings):
        with WebsocketReader(end, base_dir=base_dir) as listening:
            listening.prepare({})
            return f"{listening.place} lets us listen"
    if isinstance(end, PostgresConnection | TrinoConnection):
        return _try_table(end, side, columns=columns, base_dir=base_dir)
    if isinstance(end, TopicSettings):
        return _try_topic(end, side, there=columns is not None, base_dir=base_dir)
    if isinstance(end, EndpointSettings):
        with Endpoint(end, key=side, base_dir=base_dir) as endpoint:
            endpoint.check()
        return f"{end.url.partition('?')[0]} answers"
    return "nothing to connect to"


def _try_table(
    end: Any, side: Side, *, columns: Mapping[str, ColumnType] | None, base_dir: Path | None
) -> str:
    from pytest_vdkprobe.connections import postgres, trino  # noqa: PLC0415 - loads no driver yet
    from pytest_vdkprobe.connections.sql import Database, SqlError  # noqa: PLC0415 - as above
    from pytest_vdkprobe.connections.tables import OwnTable, finding  # noqa: PLC0415 - as above

    database: Database
    if isinstance(end, postgres.PostgresConnection):
        database = postgres.PostgresDatabase(end, base_dir=base_dir, key=side)
        name = postgres.table_name(end.table)  # type: ignore[attr-defined]  # of both ends' settings
    else:
        database = trino.TrinoDatabase(end, base_dir=base_dir, key=side)
        name = trino.table_name(end, end.table)
    with closing(database):
        try:
            database.run("select 1", deadline=Deadline.after(LIMIT_S, "the time for an answer"))
        except SqlError as exc:
            raise finding("It can't be asked anything", exc, database, key=f"{side}.host") from exc
        if columns is None:
            return f"{database.engine.name} at {end.place} answers"
        table = OwnTable(database, name, create=False, leases=None, key=side)
        table.ensure(columns, writing=side == "target")
    return f"{database.engine.name} at {end.place} has the table {name}"


def _try_topic(end: Any, side: Side, *, there: bool, base_dir: Path | None) -> str:
    from pytest_vdkprobe.connections.kafka import KafkaClients  # noqa: PLC0415 - loads the driver
    from pytest_vdkprobe.connections.kafka_topics import OwnTopic  # noqa: PLC0415 - as above

    clients = KafkaClients(end, base_dir=base_dir)
    place = ", ".join(end.servers)
    if not there:
        with closing(clients.admin()):
            return f"Kafka at {place} answers"
    OwnTopic(clients, end, leases=None, key=side).ensure()
    return f"Kafka at {place} has the topic {end.topic}"
