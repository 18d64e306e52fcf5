"""A target and a reader of your own: records go into a SQLite database and come out of it."""

import sqlite3
import time
from pathlib import Path

import msgspec

from pytest_vdkprobe.api import Arrival, Outcome, SendResult, StreamObserver

TABLE = "create table if not exists events (run_id, seq, body, digest, arrived_at_us)"


class SqliteSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="sqlite"
):
    path: str


class Sqlite:
    """Both ends: what they share is a connection, and that they remove their run's rows."""

    settings = SqliteSettings
    losses = {}
    batch = 100

    def __init__(self, settings, *, leases, base_dir):
        self.database = sqlite3.connect((base_dir or Path()) / settings.path)
        self.runs = set()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def prepare(self, columns):
        with self.database:
            self.database.execute(TABLE)

    def remove(self):
        with self.database:
            for run_id in self.runs:
                self.database.execute("delete from events where run_id = ?", [run_id])

    def close(self):
        self.database.close()


class SqliteTarget(Sqlite):
    def send(self, records, *, deadline):
        now_us = time.time_ns() // 1000
        rows = [(r.run_id, r.seq, r.body, r.digest, now_us) for r in records]
        self.runs.update(record.run_id for record in records)
        with self.database:
            self.database.executemany("insert into events values (?, ?, ?, ?, ?)", rows)
        return [SendResult(Outcome.ACKNOWLEDGED)] * len(records)


class SqliteReader(Sqlite):
    position = 0
    observer = None

    def observe(self, expectation, *, deadline):
        """Looks at what has come since the last look; the observer tells all by identity."""
        if self.observer is None:
            self.observer = StreamObserver(expectation)
        found = self.database.execute(
            "select rowid, run_id, seq, body, digest, arrived_at_us from events where rowid > ?",
            [self.position],
        ).fetchall()
        for rowid, run_id, seq, body, digest, arrived_at_us in found:
            self.position = rowid
            if run_id == expectation.run_id:
                arrival = Arrival(run_id, seq, body, digest, None, arrived_at_us=arrived_at_us)
                self.observer.see_many([arrival])
        return self.observer.observation


def pytest_vdkprobe_register(config, kinds):
    kinds.target("sqlite", SqliteTarget)
    kinds.reader("sqlite", SqliteReader)
