"""A pipeline on the session's real engines: schema, topics and group of its own, then removed."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection
from pytest_vdkprobe.connections.kafka_topics import remove_group, remove_topic
from pytest_vdkprobe.connections.postgres import PostgresDatabase
from pytest_vdkprobe.connections.sql import Row
from pytest_vdkprobe.pipeline import configuration, schema, topics
from pytest_vdkprobe.pipeline.message import Check, encoded, key_of
from pytest_vdkprobe.pipeline.settings import PipelineSettings
from pytest_vdkprobe.waiting import Deadline
from tests.integration.shared_engines import SharedEngines

PIPELINE = (sys.executable, "-m", "pytest_vdkprobe.cli.main", "pipeline")
LIMIT_S = 120.0
SLOT_S = 1_795_882_134.935938


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def account(self) -> dict[str, Any]:
        """What a producer or consumer tells at its end."""
        assert self.code == 0, self.err
        return dict(json.loads(self.out.splitlines()[-1]))


class Bench:
    """Everything that a test of the pipeline has of its own."""

    def __init__(self, engines: SharedEngines, folder: Path, **settings: str) -> None:
        self.engines = engines
        self.folder = folder
        self.name = f"p{secrets.token_hex(5)}"
        self.topic = f"{engines.topic_prefix}{self.name}"
        postgres, kafka = engines.postgres, engines.kafka
        self.user = postgres.user
        self.where = engines.database
        self.more = "\n".join(f"{key} = {value}" for key, value in settings.items())
        self.config = folder / "pipeline.toml"
        self.write()
        self.clients = KafkaClients(KafkaConnection(servers=(kafka.endpoint,)))
        self.database = PostgresDatabase(self.settings.database)

    def write(self, **changes: str) -> None:
        """Write the configuration, with other values for what stands in it."""
        postgres = self.engines.postgres
        values = {
            "servers": f'["{self.engines.kafka.endpoint}"]',
            "host": f'"{postgres.host}"',
            "port": str(postgres.port),
            "user": f'"{self.user}"',
            "schema": f'"{self.name}"',
            "topic": f'"{self.topic}"',
            **changes,
        }
        self.config.write_text(
            f"[pipeline]\n{self.more}\n"
            f"kafka = {{ servers = {values['servers']}, topic = {values['topic']},"
            f' group = "{self.topic}" }}\n'
            f"database = {{ host = {values['host']}, port = {values['port']},"
            f' user = {values["user"]}, database = "{self.where}",'
            f" schema = {values['schema']} }}\n"
        )

    def use(self, database: str) -> None:
        """Be in another database from now on."""
        self.database.close()
        self.where = database
        self.write()
        self.database = PostgresDatabase(self.settings.database)

    @property
    def settings(self) -> PipelineSettings:
        """As the configuration says."""
        return configuration.load_pipeline(str(self.config), environ={}).settings

    def configure(self) -> list[str]:
        """What configure-database does, in this process."""
        settings = self.settings
        lines = schema.configure(settings, self.database, base_dir=self.folder)
        return lines + topics.configure(settings.kafka, self.clients)

    def sql(self, statement: str, parameters: Row = ()) -> list[Row]:
        """The rows of a statement in which {s} is the schema."""
        return self.database.run(
            statement.replace("{s}", f'"{self.name}"'), parameters, deadline=Deadline.after(60)
        )

    def add_site(
        self, url: str, pattern: str | None = None, *, interval_s: float | None = None
    ) -> int:
        """One more website; its number."""
        ((number,),) = self.sql(
            "insert into {s}.availability_monitor_config (amc_url_with_schema, amc_regexp,"
            " amc_interval_s) values (?, ?, ?) returning amc_id",
            (url, pattern, interval_s),
        )
        return int(number)

    def rows(self) -> list[Row]:
        """Website, microseconds, code, expression found, error of every row, in order."""
        return [
            tuple(row)
            for row in self.sql(
                "select amm_site, (extract(epoch from amm_checked_at) * 1000000)::bigint,"
                " amd_response_code, amm_regexp_found, amm_error"
                " from {s}.availability_monitor_metrics order by 1, 2"
            )
        ]

    def send(self, *values: bytes | Check) -> None:
        """Messages into the topic."""
        producer = self.clients.producer(acks="all")
        for value in values:
            if isinstance(value, Check):
                producer.send(self.topic, key=key_of(value.site), value=encoded(value))
            else:
                producer.send(self.topic, value=value)
        producer.flush()
        producer.close()

    def messages(self, topic: str | None = None) -> list[Any]:
        """Everything that is in the topic."""
        consumer = self.clients.consumer(auto_offset_reset="earliest", consumer_timeout_ms=1000)
        kafka = __import__("kafka")
        name = topic or self.topic
        parts = [
            kafka.TopicPartition(name, part) for part in consumer.partitions_for_topic(name) or ()
        ]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        found = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=200).values():
                found += records
        consumer.close()
        return found

    def committed(self) -> int:
        """How many messages of the topic the group is through with."""
        admin = self.clients.admin()
        try:
            offsets = admin.list_group_offsets(self.topic).get(self.topic, {})
        finally:
            admin.close()
        return sum(each.offset for part, each in offsets.items() if part.topic == self.topic)

    def run(self, command: str, *arguments: str, environ: Mapping[str, str] | None = None) -> Done:
        """Run `vdkprobe pipeline COMMAND CONFIG ...` to its end."""
        done = subprocess.run(
            [*PIPELINE, command, str(self.config), *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env={**os.environ, **(environ or {})},
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """Start it; whoever starts it also ends it."""
        log = (self.folder / f"{command}-{secrets.token_hex(3)}.log").open("w")
        with log:
            return subprocess.Popen(
                [*PIPELINE, command, str(self.config), *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def close(self) -> None:
        """Remove all of it."""
        self.sql("drop schema if exists {s} cascade")
        self.database.close()
        admin = self.clients.admin()
        groups = [str(each["group_id"]) for each in admin.list_groups()]
        admin.close()
        for group in groups:
            if group.startswith(self.topic):
                remove_group(self.clients, group)
        for topic in (self.topic, f"{self.topic}.dead"):
            remove_topic(self.clients, topic)


def checks(count: int, *, first: int = 0) -> list[Check]:
    """Checks of ten websites, one a second."""
    return [
        Check(
            site=number % 10 + 1,
            unix_timestamp=SLOT_S + number // 10,
            returned_code=200,
            response_time=0.25,
            regexp=None if number % 2 else True,
            error="closed: by test" if number % 5 == 0 else None,
        )
        for number in range(first, first + count)
    ]
