"""The section [upgrade]: what is looked at before and after an upgrade, and what may change.

The defaults are those of a platform that people go on working on: versions change, as that is what
an upgrade is for; jobs, properties, tables and rows come; nothing goes.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from pytest_vdkprobe.connections.postgres import PostgresConnection
from pytest_vdkprobe.connections.trino import TrinoConnection
from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration


class PostgresSchemas(
    PostgresConnection,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="postgres",
):
    """Schemas in PostgreSQL whose tables are looked at."""

    name: str
    """What the database is called in snapshots and patterns."""
    schemas: tuple[str, ...]


class TrinoSchemas(
    TrinoConnection,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="trino",
):
    """Schemas in Trino whose tables are looked at; they need `catalog`, or write catalog.schema."""

    name: str
    """What the database is called in snapshots and patterns."""
    schemas: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        for schema in self.schemas:
            if "." not in schema and not self.catalog:
                raise ValueError(f"schemas: write catalog.{schema}, or set catalog")


class UpgradeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is looked at, and which differences are as they should be.

    Patterns are those of file names (`*`, `?`, `[...]`) over names as differences show them:
    `jobs.hello.team`, `tables.warehouse.public.orders.rows`.
    """

    expect_changed: tuple[str, ...] = ("versions.*", "properties.*")
    """What may have another value after the upgrade."""
    expect_added: tuple[str, ...] = ("*",)
    """What may be there that was not there before; more rows are rows added."""
    expect_lost: tuple[str, ...] = ()
    """What may be gone; fewer rows are rows lost."""
    ignore: tuple[str, ...] = ()
    """What is not looked at at all: `jobs.NAME`, `tables.DATABASE.SCHEMA.TABLE`."""
    databases: tuple[PostgresSchemas | TrinoSchemas, ...] = ()
    """Databases whose tables, columns and row counts are looked at."""

    def expects(self, kind: str, name: str) -> bool:
        """Whether a difference of this kind (changed, added, lost) may be."""
        patterns: tuple[str, ...] = getattr(self, f"expect_{kind}")
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    def ignores(self, name: str) -> bool:
        """Whether the job or table is not looked at."""
        return any(fnmatchcase(name, pattern) for pattern in self.ignore)


def find_problems(configuration: Configuration) -> list[ConfigError]:
    """What is wrong with the section, databases whose names would meet in a snapshot included."""
    problems = configuration.problems({"upgrade": UpgradeSettings})
    if problems:
        return problems
    taken: set[str] = set()
    for index, database in enumerate(configuration.section("upgrade", UpgradeSettings).databases):
        key = f"upgrade.databases.{index}"
        if database.name in taken:
            problems.append(
                ConfigError(
                    "Two databases of [upgrade] have the same name.",
                    file=configuration.name,
                    key=f"{key}.name",
                    value=database.name,
                    to_try="give each a name of its own: snapshots tell them apart by it",
                )
            )
        if not database.schemas:
            problems.append(
                ConfigError(
                    f"The database {database.name} of [upgrade] has no schemas to look at.",
                    file=configuration.name,
                    key=f"{key}.schemas",
                    value=(),
                    to_try='name some: schemas = ["public"]',
                )
            )
        taken.add(database.name)
    return problems
