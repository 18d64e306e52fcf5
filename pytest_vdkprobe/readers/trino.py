"""Trino as a reader: a table that Trino itself reconciles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.trino import (
    TrinoConnection,
    TrinoDatabase,
    table_name,
)
from pytest_vdkprobe.readers.table import COMPARE, SILENT_AFTER_S, TableReader

if TYPE_CHECKING:
    from pytest_vdkprobe.leases import LeaseStore


class TrinoReaderSettings(
    TrinoConnection,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="trino",
):
    """A table to read."""

    table: str
    """`catalog.schema.table`, or less where `catalog` and `schema` say the rest; a part with a dot
    in it goes into double quotes."""
    create: bool = False
    """Whether a missing table may be created; it is dropped after the run."""
    compare: int = COMPARE
    """How many rows of a run are also compared, value by value, with what was sent."""
    silent_after_s: float = SILENT_AFTER_S
    """How long the server may be away before that is the finding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        table_name(self, self.table)
        if self.compare < 0:
            raise ValueError("compare: must be 0 or more rows")


class TrinoReader(TableReader):
    """Reads a table in Trino."""

    def __init__(
        self,
        settings: TrinoReaderSettings,
        *,
        leases: LeaseStore | None = None,
        base_dir: Path | None = None,
    ) -> None:
        self.settings = settings
        super().__init__(
            TrinoDatabase(settings, base_dir=base_dir, key="reader"),
            table_name(settings, settings.table),
            create=settings.create,
            compare=settings.compare,
            silent_after_s=settings.silent_after_s,
            leases=leases,
        )
