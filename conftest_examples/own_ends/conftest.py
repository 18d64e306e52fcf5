"""A target and a reader of your own: records go into a SQLite database and come out of it."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from platform import node

import msgspec

from pytest_vdkprobe.api import Arrival, Outcome, SendResult, StreamObserver

TABLES = """
create table events (run_id, seq, body, digest, arrived_at_us);
create table lease (mark)
"""


class SqliteSettings(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="sqlite"
):
    path: str

    @property
    def place(self):
        """Where it is, for leases: a later run removes what it finds at this place."""
        return node()

    def remove_leased(self, lease, *, base_dir):
        """Delete what a killed run left; False for a namesake, which does not carry our mark."""
        path = Path(lease.name)
        if path.exists():
            with closing(sqlite3.connect(path)) as database:
                found = database.execute("select name from sqlite_master").fetchall()
                marks = database.execute("select mark from lease") if ("lease",) in found else ()
                if found and (lease.mark,) not in list(marks):
                    return False
            path.unlink()
        return True


class Sqlite:
    """Both ends: what they share is a connection to the database."""

    settings = SqliteSettings
    losses = {}
    batch = 100

    def __init__(self, settings, *, leases, base_dir):
        self.place = settings.place
        self.path = ((base_dir or Path()) / settings.path).absolute()
        self.leases = leases
        self.database = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def prepare(self, columns):
        self.database = sqlite3.connect(self.path)

    def remove(self):
        self.close()

    def close(self):
        if self.database is not None:
            self.database.close()
            self.database = None


class SqliteTarget(Sqlite):
    lease = None

    def prepare(self, columns):
        """Lease, then create: whenever we are killed, the next run knows what to remove."""
        new = not self.path.exists()
        if new and self.leases is not None:
            where = {"host": self.place}
            self.lease = self.leases.take("sqlite", str(self.path), where=where)
        super().prepare(columns)
        if new:
            self.database.executescript(TABLES)
        if self.lease is not None:
            with self.database:
                self.database.execute("insert into lease values (?)", [self.lease.mark])

    def send(self, records, *, deadline):
        now_us = time.time_ns() // 1000
        rows = [(r.run_id, r.seq, r.body, r.digest, now_us) for r in records]
        with self.database:
            self.database.executemany("insert into events values (?, ?, ?, ?, ?)", rows)
        return [SendResult(Outcome.ACKNOWLEDGED)] * len(records)

    def remove(self):
        """Delete what we created, see it gone, and only then forget the lease."""
        self.close()
        if self.lease is not None:
            self.path.unlink(missing_ok=True)
            self.lease.release()
            self.lease = None


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
