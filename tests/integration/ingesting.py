"""What tests of the sandbox's ingestion share: sending to it, and looking at what has landed."""

from __future__ import annotations

import gzip
import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import requests
import trino
from psycopg2.errors import InFailedSqlTransaction

from pytest_vdkprobe.errors import WaitFailure
from pytest_vdkprobe.sandbox.server import Sandbox
from pytest_vdkprobe.waiting import Deadline, wait_until
from tests.integration.shared_engines import SharedEngines

LIMIT_S = 20.0

PROBE = (
    "run_id varchar, seq bigint, sent_at_us bigint, body varchar, digest varchar,"
    " word varchar, amount decimal(38,10), at_time timestamp(6), instant"
    " timestamp(6) with time zone"
)
"""Columns of a probe's table in both dialects."""


def probe_rows(count: int, *, start: int = 0) -> list[dict[str, Any]]:
    """Records as a probe sends them."""
    return [
        {
            "run_id": "run-1",
            "seq": seq,
            "sent_at_us": 1_800_000_000_000_000 + seq,
            "body": f'{{"seq":{seq},"word":"Probe"}}',
            "digest": f"{seq:032x}",
            "word": f"Probe {seq}",
            "amount": f"{seq}.25",
            "at_time": f"2026-03-29T01:30:{seq % 60:02}.5",
            "instant": f"2026-03-29T01:30:{seq % 60:02}.5+02:00",
        }
        for seq in range(start, start + count)
    ]


def named(table: str, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """As VDK's http plugin sends them."""
    return [{**row, "@table": table} for row in rows]


@dataclass
class Ingested:
    """A sandbox on the session's engines, and this test's own table in both of them."""

    sandbox: Sandbox
    shared: SharedEngines | None = None
    table: str = field(default_factory=lambda: f"t_{secrets.token_hex(5)}")

    def post(
        self,
        path: str,
        rows: object,
        *,
        packed: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send as VDK's http plugin does."""
        body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        headers = {"Content-Type": "application/octet-stream", **(headers or {})}
        if packed:
            body, headers = gzip.compress(body), {**headers, "Content-encoding": "gzip"}
        url = f"{self.sandbox.url}/sandbox/ingest/{path}"
        return requests.post(url, data=body, headers=headers, timeout=60)

    @property
    def engines(self) -> SharedEngines:
        """The session's."""
        assert self.shared is not None, "this sandbox has engines of its own"
        return self.shared

    @property
    def postgres(self) -> str:
        """The path to this worker's database."""
        return f"postgres/{self.engines.database}"

    @property
    def trino(self) -> str:
        """The path to this worker's schema."""
        return f"trino/memory/{self.engines.schema}"

    @property
    def topic(self) -> str:
        """The topic that ends in this test's table in PostgreSQL."""
        engines = self.engines
        return f"{engines.topic_prefix}to-postgres.{engines.database}.public.{self.table}"

    @property
    def trino_topic(self) -> str:
        """The topic that ends in this test's table in Trino."""
        engines = self.engines
        return f"{engines.topic_prefix}to-trino.memory.{engines.schema}.{self.table}"

    def sql(self, statement: str, *values: object) -> list[Any]:
        """In this worker's database; `{t}` is this test's table."""
        address = self.engines.postgres
        with (
            closing(
                psycopg2.connect(
                    host=address.host,
                    port=address.port,
                    user=address.user,
                    dbname=self.engines.database,
                )
            ) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement.replace("{t}", self.table), values or None)
            with suppress(psycopg2.ProgrammingError, InFailedSqlTransaction):
                return cursor.fetchall()
            return []

    def trino_sql(self, statement: str) -> list[Any]:
        """In this worker's schema; `{t}` is this test's table."""
        address = self.engines.trino
        with closing(
            trino.dbapi.connect(  # type: ignore[no-untyped-call]
                host=address.host,
                port=address.port,
                user=address.user,
                catalog="memory",
                schema=self.engines.schema,
            )
        ) as connection:
            cursor = connection.cursor()
            cursor.execute(statement.replace("{t}", self.table))
            return list(cursor.fetchall())

    def probe_table(self) -> None:
        """A probe's table in PostgreSQL."""
        self.sql("create table {t} (" + PROBE + ")")

    def seqs(self) -> list[int]:
        """What is in it, by number."""
        return [seq for (seq,) in self.sql("select seq from {t} order by seq")]

    def until_seqs(self, wanted: list[int]) -> None:
        """Wait for exactly these to be in it."""
        wait_until(
            "the rows",
            self.seqs,
            done=lambda seqs: seqs == wanted,
            deadline=Deadline.after(LIMIT_S),
            longest_pause_s=0.1,
        )

    def never_more(self, wanted: list[int], *, for_s: float) -> None:
        """These are in it, and no others come."""
        try:
            wait_until(
                "other rows",
                self.seqs,
                done=lambda seqs: seqs != wanted,
                deadline=Deadline.after(for_s),
                longest_pause_s=0.1,
            )
        except WaitFailure:
            return
        raise AssertionError(f"not only {wanted}: {self.seqs()}")

    def received(self, **query: int | str) -> dict[str, Any]:
        """What the list tells."""
        url = f"{self.sandbox.url}/sandbox/ingest/received"
        found: dict[str, Any] = requests.get(url, params=query, timeout=10).json()
        return found

    def failures(self) -> list[str]:
        """Why records could not land."""
        found = requests.get(f"{self.sandbox.url}/sandbox/ingest/sink", timeout=10).json()
        return [failure["why"] for failure in found["failures"]]

    def consumed(self, topic: str, count: int) -> list[int]:
        """The numbers in a topic, in its order."""
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(
            bootstrap_servers=self.engines.kafka.endpoint, consumer_timeout_ms=int(LIMIT_S * 1000)
        )
        try:
            consumer.assign([TopicPartition(topic, 0)])
            consumer.seek_to_beginning()
            return [json.loads(next(consumer).value)["seq"] for _ in range(count)]
        finally:
            consumer.close()
