"""What a killed run left at an end of a route or in a database, removed by its lease.

A lease says what the object is and where; the configuration of today says how to get there. Only an
end that leads to the very same place is used, and only what the lease names is touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_vdkprobe.config.registry import of_users
from pytest_vdkprobe.errors import Finding
from pytest_vdkprobe.leases import clean_url
from pytest_vdkprobe.processes import host_name
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_vdkprobe.connections.postgres import PostgresDatabase
    from pytest_vdkprobe.leases import Lease

KINDS = ("file", "topic", "group", "table", "view", "schema", "websites")
LIMIT_S = 60.0
"""Beside what websites need until nobody checks them any more."""


def remove_all(
    ends: Iterable[object], leases: Iterable[Lease], *, base_dir: Path | None = None
) -> tuple[list[str], list[tuple[Lease, Finding]]]:
    """Remove what these leases name; returns what was done, and what stays and why.

    The youngest goes first: a view before the table that it looks at. A lease of a place that none
    of the ends leads to is left for a configuration that has one.
    """
    done: list[str] = []
    problems: list[tuple[Lease, Finding]] = []
    known = list(ends)
    for lease in sorted(leases, key=lambda lease: lease.created_at, reverse=True):
        settings = next((end for end in known if leads_there(end, lease)), None)
        if settings is None:
            continue
        try:
            if lease.claim():
                done.append(remove_leased(settings, lease, base_dir=base_dir))
                lease.release()
        except Finding as finding:
            problems.append((lease, finding))
    return done, problems


def leads_there(settings: object, lease: Lease) -> bool:
    """Whether an end with these settings is at the place that the lease names."""
    place = getattr(settings, "place", None)
    if is_own(settings):
        whose = type(settings).__struct_config__.tag  # type: ignore[attr-defined]  # a kind has one
        return lease.kind == whose and clean_url(str(place)) in lease.where.values()
    if lease.kind == "file":
        return lease.where.get("host") == host_name() and hasattr(settings, "path")
    return lease.kind in KINDS and place is not None and place in lease.where.values()


def is_own(settings: object) -> bool:
    """Whether these settings are of a user's kind that removes by itself what a lease names.

    Such leases are of the kind's own name, and say the `place` that the settings lead to.
    """
    return callable(getattr(settings, "remove_leased", None))


def remove_leased(settings: object, lease: Lease, *, base_dir: Path | None = None) -> str:
    """Delete what the lease names and see it gone; returns what was done, in a few words.

    To be called where `leads_there`. The lease itself is the caller's to release. Raises what keeps
    the object from going.
    """
    what = f"{lease.kind} {lease.name}"
    if is_own(settings):
        with of_users(f"What removes a {lease.kind} that a killed run left", key=lease.kind):
            gone = bool(settings.remove_leased(lease, base_dir=base_dir))  # type: ignore[attr-defined]  # is_own
    elif lease.kind == "file":
        from pytest_vdkprobe.connections.files import remove_file  # noqa: PLC0415 - what is needed

        gone = remove_file(lease)
    elif lease.kind in ("table", "view", "schema", "websites"):
        return _remove_from_database(settings, lease, base_dir)
    else:
        from pytest_vdkprobe.connections import kafka, kafka_topics  # noqa: PLC0415 - as above

        assert isinstance(settings, kafka.KafkaConnection)  # noqa: S101 - it leads there
        clients = kafka.KafkaClients(settings, base_dir=base_dir)
        gone = kafka_topics.remove_leased(clients, lease)
    return f"{what} deleted" if gone else f"{what} is a namesake: not ours, left alone"


def _remove_from_database(settings: object, lease: Lease, base_dir: Path | None) -> str:
    from pytest_vdkprobe.connections import postgres, trino  # noqa: PLC0415 - as above
    from pytest_vdkprobe.connections.sql import Database, Name  # noqa: PLC0415 - as above
    from pytest_vdkprobe.connections.tables import drop_schema, drop_table  # noqa: PLC0415 - as above

    database: Database
    if isinstance(settings, postgres.PostgresConnection):
        database = postgres.PostgresDatabase(settings, base_dir=base_dir)
    else:
        assert isinstance(settings, trino.TrinoConnection)  # noqa: S101 - it leads there
        database = trino.TrinoDatabase(settings, base_dir=base_dir)
    what = f"{lease.kind} {lease.name}"
    try:
        if isinstance(database, postgres.PostgresDatabase) and lease.kind == "websites":
            return _take_back(database, lease)
        if lease.kind == "schema":
            gone = drop_schema(database, lease.name, lease=lease)
        else:
            gone = drop_table(database, Name.of(lease.name), lease=lease, kind=lease.kind)
        return (
            f"{what} dropped"
            if gone
            else f"{what} does not carry {lease.mark}: not ours, left alone"
        )
    finally:
        database.close()


def _take_back(database: PostgresDatabase, lease: Lease) -> str:
    from pytest_vdkprobe.connections.lent_websites import LentWebsites  # noqa: PLC0415 - as above

    lent = LentWebsites.of(lease, database)
    limit_s = LIMIT_S + lent.quiet_s
    return lent.remove(Deadline.after(limit_s, "the time until nobody checks them any more"))
