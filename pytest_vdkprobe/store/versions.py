"""Which schema a database has: the room's own version table, and the lock around changing it.

Each room that keeps tables has a version table of its own, in the form that alembic reads and
writes, so that rooms migrate independently and nobody else's alembic is confused.
"""

from __future__ import annotations

import zlib

from pytest_vdkprobe.errors import ConfigError, ProbeError, WaitFailure
from pytest_vdkprobe.store.address import Address
from pytest_vdkprobe.store.database import Work
from pytest_vdkprobe.waiting import Deadline, wait_until

LOCK_PATIENCE_S = 15.0
"""How long an upgrade waits for another; then it gives up and says so."""


def table_names(work: Work) -> set[str]:
    """The tables that unqualified names reach."""
    if work.dialect == "sqlite":
        found = work.rows("select name from sqlite_master where type = 'table'")
    else:
        found = work.rows(
            "select table_name from information_schema.tables where table_schema = current_schema()"
        )
    return {str(name) for (name,) in found}


def version_table(room: str) -> str:
    """The name of a room's version table."""
    return f"vdkprobe_{room}_version"


def read_version(work: Work, room: str) -> str | None:
    """The revision of the room's tables, or None where there are none of ours."""
    table = version_table(room)
    if table not in table_names(work):
        return None
    found = work.rows(f"select version_num from {table}")  # noqa: S608 - a name of ours
    return str(found[0][0]) if found else None


def stamping(room: str, revision: str) -> tuple[str, ...]:
    """The statements that note, for the first time, that the room's tables are at `revision`."""
    table = version_table(room)
    return (
        f"""create table {table} (version_num varchar(32) not null,
            constraint {table}_pkc primary key (version_num))""",
        f"insert into {table} values ('{revision}')",  # noqa: S608 - names and ids of ours
    )


def stamp(work: Work, room: str, revision: str) -> None:
    """Note that the room's tables are at `revision`."""
    table = version_table(room)
    create, insert = stamping(room, revision)
    if table not in table_names(work):
        work.change(create)
    work.change(f"delete from {table}")  # noqa: S608 - a name of ours
    work.change(insert)


def newer(room: str, current: str, known: str, address: Address) -> ConfigError:
    """The refusal of tables that a later version made."""
    return ConfigError(
        f"The {room}'s tables in {address.shown} are newer than this program: revision {current},"
        f" and it knows {known} at most.",
        to_try="install the version that made them, or a later one; nothing was changed",
    )


def lock(work: Work, room: str) -> None:
    """Be the only one who changes the room's tables, until the transaction ends.

    In SQLite whoever has a transaction is alone already.
    """
    if work.dialect == "sqlite":
        return
    key = zlib.crc32(f"vdkprobe {room}".encode())
    try:
        wait_until(
            "the lock",
            lambda: bool(work.rows("select pg_try_advisory_xact_lock(:key)", key=key)[0][0]),
            done=bool,
            deadline=Deadline.after(LOCK_PATIENCE_S),
            longest_pause_s=0.2,
        )
    except WaitFailure as exc:
        raise ProbeError(
            f"Another upgrade of the {room}'s tables is under way, for more than"
            f" {LOCK_PATIENCE_S:g} s.",
            to_try="try again when it is done; pg_locks tells who holds the advisory lock",
        ) from exc
