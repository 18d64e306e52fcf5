"""The same tests on both databases: a SQLite file, and a schema in the real PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_vdkprobe.store.address import Address
from tests.integration.shared_engines import SharedEngines


def sqlite_address(folder: Path) -> Address:
    """A file that is not there yet."""
    return Address.parse(f"sqlite:///{folder / 'history.db'}", source="the test")


def postgres_url(engines: SharedEngines) -> str:
    """The worker's own database in the session's PostgreSQL."""
    address = engines.postgres
    return f"postgresql+psycopg2://{address.user}@{address.host}:{address.port}/{engines.database}"


def postgres_address(engines: SharedEngines) -> Address:
    """As `postgres_url`."""
    return Address.parse(postgres_url(engines), source="the test")


@contextmanager
def own_database(engines: SharedEngines, *, options: str = "") -> Iterator[str]:
    """The address of a new, empty database in the session's PostgreSQL, dropped afterwards.

    `options` are those of `create database`.
    """
    from sqlalchemy import create_engine

    base = postgres_url(engines)
    name = f"history_{uuid.uuid4().hex[:12]}"
    engine = create_engine(base, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"create database {name} {options}")
    try:
        yield f"{base.rpartition('/')[0]}/{name}"
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"drop database {name} with (force)")
        engine.dispose()
