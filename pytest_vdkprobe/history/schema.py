"""The history's tables: there, or made now, or refused with what to do about them.

Only tables that are nobody's yet are made without being asked. Those of the orchestrator, and those
of an older version of ours, are changed by `vdkprobe history ... upgrade` alone, because programs
that still use them should not be surprised.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.history import ddl
from pytest_vdkprobe.store.database import Database, Work, open_database
from pytest_vdkprobe.store.versions import lock, newer, read_version, stamp, table_names

if TYPE_CHECKING:
    from pytest_vdkprobe.store.address import Address
    from pytest_vdkprobe.store.migrations import Migrations


def open_history(address: Address, *, schema: str = ddl.SCHEMA, migrate: bool = False) -> Database:
    """The history in a database, its tables made where there are none.

    `migrate` brings tables of an older version of ours up to date, as a run does with the user's
    own file. Raises ConfigError where the tables can't be used as they are.
    """
    database = open_database(address, schema=schema)
    try:
        with database.begin() as work:
            current = read_version(work, ddl.ROOM)
            orphans = current is None and seed_revision(work)
        known = {revision.id for revision in ddl.REVISIONS}
        if current is None and not orphans:
            _create(database, address, schema)
        elif current != ddl.HEAD:
            if not (migrate and current in known):
                raise _not_ours(current, orphans or None, address)  # noqa: TRY301 - needs closing
            migrations(schema=schema).upgrade(address)
    except BaseException:
        database.close()
        raise
    return database


def _create(database: Database, address: Address, schema: str) -> None:
    """Make all tables, unless somebody else was quicker."""
    if address.dialect != "sqlite":
        # With alembic, which also makes the schema: it happens once in a database's life.
        migrations(schema=schema).upgrade(address)
        return
    with database.begin() as work:
        lock(work, ddl.ROOM)
        if read_version(work, ddl.ROOM) is not None:
            return
        for revision in ddl.REVISIONS:
            for statement in ddl.statements(revision.up, work.dialect):
                work.change(statement)
        stamp(work, ddl.ROOM, ddl.HEAD)


def migrations(*, schema: str = ddl.SCHEMA) -> Migrations:
    """The history's migrations."""
    from pytest_vdkprobe.store.migrations import Migrations  # noqa: PLC0415 - loads SQLAlchemy

    folder = Path(__file__).parent / "revisions"
    return Migrations(ddl.ROOM, folder, schema=schema, adopted=seed_revision)


def seed_revision(work: Work) -> str | None:
    """Which revision tables of data-pipeline-orchestrator's amount to, told by their names."""
    names = table_names(work)
    if {"execution", "execution_step", "execution_step_model"} <= names:
        return ddl.STEPS.id
    if {"execution", "execution_model"} <= names:
        return ddl.RENAMED.id
    if {"data_pipeline_execution", "model_checksum"} <= names:
        return ddl.FIRST.id
    return None


def _not_ours(current: str | None, seed: str | None, address: Address) -> ConfigError:
    command = "`vdkprobe history ... upgrade`"
    known = [revision.id for revision in ddl.REVISIONS]
    if current is not None and current not in known:
        return newer(ddl.ROOM, current, ddl.HEAD, address)
    if seed is not None:
        return ConfigError(
            f"The tables in {address.shown} are data-pipeline-orchestrator's, revision {seed}.",
            to_try=f"adopt them, with their rows, with {command}; `downgrade {seed}` gives them"
            " back",
        )
    return ConfigError(
        f"The history's tables in {address.shown} are of an older version, revision {current}.",
        to_try=f"bring them up to date with {command}",
    )
