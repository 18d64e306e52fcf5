"""What `vdkprobe check --connect` tries of tables: that we get in, and that there is the schema.

Nothing is created, so whether our user may make tables there shows only in a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from pytest_vdkprobe.connections.sql import SqlError, quoted
from pytest_vdkprobe.connections.tables import finding
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.tables.settings import TablesSettings, TrinoPlace, place_of
from pytest_vdkprobe.tables.workplace import open_database
from pytest_vdkprobe.waiting import Deadline

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.tables.settings import Place

LIMIT_S = 30.0
"""For the answer; connecting has the limits of its settings."""


def trials(configuration: Configuration) -> Iterator[tuple[str, Callable[[], str]]]:
    """The database of each entry: what to call it, and what tries it."""
    for index, entry in enumerate(configuration.sections("tables", TablesSettings)):
        place = place_of(configuration, index)
        key = f"tables.{index}.database"
        yield entry.name, partial(_try, place, key=key, base_dir=configuration.base_dir)


def _try(place: Place, *, key: str, base_dir: Path | None) -> str:
    schema = place.schema or ""
    catalog = f"{quoted(place.catalog or '')}." if isinstance(place, TrinoPlace) else ""
    sql = f"select 1 from {catalog}information_schema.schemata where schema_name = ?"  # noqa: S608 - a name in quotes
    with closing(open_database(place, base_dir=base_dir)) as database:
        what = f"The schema {schema} can't be looked for"
        try:
            found = database.run(sql, (schema,), deadline=Deadline.after(LIMIT_S, "the answer"))
        except SqlError as exc:
            raise finding(what, exc, database, key=f"{key}.catalog") from exc
    if not found:
        raise ConfigError(
            f"{database.engine.name} at {place.place} has no schema {schema}, or hides it from us.",
            key=f"{key}.schema",
            value=schema,
            to_try="check its name, or create it: the probe makes tables, never schemas",
        )
    return f"{database.engine.name} at {place.place} has the schema {catalog}{schema}"
