"""What one worker of a run has for itself in engines that all share: names nobody else uses.

A server for each worker would cost seconds and a gigabyte; a database, a schema and a prefix for
topics cost milliseconds and keep tests apart just as well.
"""

from __future__ import annotations

import re

import msgspec

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.sandbox.engines.addresses import Address, Addresses
from pytest_vdkprobe.sandbox.engines.trino import CATALOG

WORKER_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
"""A plain identifier in both SQL dialects, so that it needs no quotes."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's own corners; those of engines that don't run are names only."""

    database: str
    """In PostgreSQL; empty at first."""
    catalog: str = CATALOG
    schema: str
    """In Trino's `catalog`; empty at first."""
    topic_prefix: str
    """What the names of the worker's topics and groups start with."""


def share(addresses: Addresses, *, worker: str) -> Share:
    """The corners of `worker` (`gw0`), made in the engines that run. May be called again."""
    if not WORKER_NAME.fullmatch(worker):
        raise ConfigError(
            f"{worker!r} can't be the name of a worker's database.",
            value=worker,
            expected="lower-case letters, digits and _, a letter first, at most 31",
        )
    own = Share(database=worker, schema=worker, topic_prefix=f"{worker}-")
    if addresses.postgres is not None:
        _make_database(addresses.postgres, own.database)
    if addresses.trino is not None:
        _make_schema(addresses.trino, own)
    return own


def _make_database(address: Address, name: str) -> None:
    import psycopg2  # noqa: PLC0415 - 75 ms that only its users shall pay

    connection = psycopg2.connect(
        host=address.host, port=address.port, user=address.user, dbname="postgres"
    )
    try:
        connection.autocommit = True  # CREATE DATABASE refuses to run in a transaction
        with connection.cursor() as cursor:
            cursor.execute("select 1 from pg_database where datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(f'create database "{name}" template template0')
    finally:
        connection.close()


def _make_schema(address: Address, own: Share) -> None:
    import trino  # noqa: PLC0415 - 47 ms that only its users shall pay

    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call]  # trino has none
        host=address.host, port=address.port, user=address.user, catalog=own.catalog
    )
    try:
        cursor = connection.cursor()
        cursor.execute(f"create schema if not exists {own.catalog}.{own.schema}")
        cursor.fetchall()
    finally:
        connection.close()
