"""A table of a test's own in a real engine, with a target, a reader and a way to look at it."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod

from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase
from pytest_vdkprobe.connections.sql import Database, Name, Row
from pytest_vdkprobe.connections.trino import TrinoConnection, TrinoDatabase
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.readers.postgres import PostgresReader, PostgresReaderSettings
from pytest_vdkprobe.readers.table import TableReader
from pytest_vdkprobe.readers.trino import TrinoReader, TrinoReaderSettings
from pytest_vdkprobe.targets.postgres import PostgresTarget, PostgresTargetSettings
from pytest_vdkprobe.targets.trino import TrinoTarget, TrinoTargetSettings
from pytest_vdkprobe.waiting import Deadline
from tests.integration.shared_engines import SharedEngines


class Place(ABC):
    """One table that does not exist at first, in `database`."""

    def __init__(self, database: Database, table: Name, leases: LeaseStore) -> None:
        self.database = database
        self.table = table
        self.leases = leases

    @abstractmethod
    def target(self, **settings: object) -> PostgresTarget | TrinoTarget:
        """It may create the table, unless told otherwise."""

    @abstractmethod
    def reader(self, **settings: object) -> TableReader:
        """It may not, unless told otherwise."""

    def sql(self, statement: str, *parameters: object) -> list[Row]:
        """What a statement gives; {table} stands for ours."""
        sql = statement.format(table=self.table.sql)
        return self.database.run(sql, parameters, deadline=Deadline.after(30.0))

    def exists(self) -> bool:
        """Whether the table is there."""
        columns, parameters = self.database.engine.columns(self.table)
        return bool(self.database.run(columns, parameters, deadline=Deadline.after(30.0)))


class PostgresPlace(Place):
    """In this worker's database."""

    def __init__(self, engines: SharedEngines, leases: LeaseStore, *, name: str = "") -> None:
        address = engines.postgres
        self.where = {
            "host": address.host,
            "port": address.port,
            "user": address.user,
            "database": engines.database,
        }
        table = Name((name or f"t_{secrets.token_hex(5)}",))
        database = PostgresDatabase(PostgresConnection(**self.where))  # type: ignore[arg-type]
        super().__init__(database, table, leases)

    def target(self, **settings: object) -> PostgresTarget:
        wanted = {"table": self.table.sql, "create": True, **self.where, **settings}
        return PostgresTarget(PostgresTargetSettings(**wanted), leases=self.leases)  # type: ignore[arg-type]

    def reader(self, **settings: object) -> PostgresReader:
        wanted = {"table": self.table.sql, **self.where, **settings}
        return PostgresReader(PostgresReaderSettings(**wanted), leases=self.leases)  # type: ignore[arg-type]


class TrinoPlace(Place):
    """In this worker's schema of the memory connector."""

    def __init__(self, engines: SharedEngines, leases: LeaseStore, *, name: str = "") -> None:
        address = engines.trino
        self.where = {"host": address.host, "port": address.port, "user": address.user}
        table = Name(("memory", engines.schema, name or f"t_{secrets.token_hex(5)}"))
        database = TrinoDatabase(TrinoConnection(**self.where))  # type: ignore[arg-type]
        super().__init__(database, table, leases)

    def target(self, **settings: object) -> TrinoTarget:
        wanted = {"table": self.table.sql, "create": True, **self.where, **settings}
        return TrinoTarget(TrinoTargetSettings(**wanted), leases=self.leases)  # type: ignore[arg-type]

    def reader(self, **settings: object) -> TrinoReader:
        wanted = {"table": self.table.sql, **self.where, **settings}
        return TrinoReader(TrinoReaderSettings(**wanted), leases=self.leases)  # type: ignore[arg-type]
