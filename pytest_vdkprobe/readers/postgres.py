"""PostgreSQL as a reader: a table that PostgreSQL itself reconciles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.postgres import (
    PostgresConnection,
    PostgresDatabase,
    table_name,
)
from pytest_vdkprobe.readers.table import COMPARE, SILENT_AFTER_S, TableReader

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import LeaseStore


class PostgresReaderSettings(
    PostgresConnection,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="postgres",
):
    """A table to read."""

    table: str
    """`table` or `schema.table`; a part with capitals or dots in it goes into double quotes."""
    create: bool = False
    """Whether a missing table may be created; it is dropped after the run."""
    compare: int = COMPARE
    """How many rows of a run are also compared, value by value, with what was sent."""
    silent_after_s: float = SILENT_AFTER_S
    """How long the server may be away before that is the finding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        table_name(self.table)
        if self.compare < 0:
            raise ValueError("compare: must be 0 or more rows")


class PostgresReader(TableReader):
    """Reads a table in PostgreSQL."""

    def __init__(
        self,
        settings: PostgresReaderSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        self.settings = settings
        super().__init__(
            PostgresDatabase(settings, base_dir=base_dir, key="reader"),
            table_name(settings.table),
            create=settings.create,
            compare=settings.compare,
            silent_after_s=settings.silent_after_s,
            leases=leases,
        )
