"""The section [[tables]]: a database in which data jobs move rows from table to table.

Each entry becomes a journey. Where its tables lie is a table of its own kind, typed when the kind
is known, since a sandbox fills in its engine's address only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pytest_vdkprobe.config.entry_names import plain
from pytest_vdkprobe.connections.postgres import PostgresConnection
from pytest_vdkprobe.connections.trino import TrinoConnection
from pytest_vdkprobe.connections.vdk_settings import of_postgres, of_trino
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.tables.moves import BY_PROBE, MOVES

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration

AWKWARD = ' "größe" \U0001f570'
"""What stands behind the names of tables that no template is given: those do not quote them all."""

Names = Literal["awkward", "plain"]


class TrinoPlace(
    TrinoConnection,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="trino",
):
    """A schema in Trino; `catalog` and `schema` say which."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("catalog", "schema"):
            if not (getattr(self, name) or "").strip():
                raise ValueError(f"{name}: is needed, for the tables that are made there")


class PostgresPlace(
    PostgresConnection,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="kind",
    tag="postgres",
):
    """A schema in a PostgreSQL database."""

    schema: str = "public"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.schema.strip():
            raise ValueError("schema: empty")


Place = TrinoPlace | PostgresPlace
PLACES: Mapping[str, type[Place]] = {"trino": TrinoPlace, "postgres": PostgresPlace}


class Kind(msgspec.Struct, frozen=True):
    """A database by its kind alone, which says what the other keys are and how typed."""

    kind: str


class TablesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One database whose tables data jobs fill and move rows between."""

    name: str
    """How the journey is called."""
    database: Kind
    """Where the tables are made: `kind` is `trino` or `postgres`."""
    by: Literal["job", "probe"] | None = None
    """Who fills and moves: a data job, or the probe itself where there is no Control Service."""
    moves: tuple[str, ...] | None = None
    """Which ways of moving are tried; left out: all that this database and `by` have."""
    prefix: str = "vdkprobe"
    """What the names of the tables begin with; the run's id and the role follow."""
    called: dict[str, str] = {}
    """Other beginnings for single roles: `source`, `view`, or a move."""
    names: Names = "awkward"
    """`awkward`: columns and tables with quotes, spaces and unicode; `plain` where a connector
    refuses such names."""
    without: tuple[str, ...] = ()
    """Columns to leave out, by their plain names, where a connector lacks their type."""
    method: str | None = None
    """The job's ingestion method; left out: VDK's plugin for this kind of database."""
    target: str | None = None
    """Its ingestion target, for methods that have one."""
    vdk: dict[str, str | int | float | bool] = {}
    """Settings of vdk for the job, beside those of the platform: `{ trino_host = "..." }`."""
    python_version: str | None = None
    vdk_version: str | None = None
    db_default_type: str | None = None
    """What the job's SQL steps talk to; left out: the kind of the database."""

    def table(self, run_id: str, role: str) -> str:
        """What the table of that role is called in this run."""
        name = plain(f"{self.called.get(role, self.prefix)}_{run_id}_{self.name}_{role}")
        return name + AWKWARD if self.names == "awkward" and role in BY_PROBE else name

    def moves_of(self, *, by: str) -> tuple[str, ...]:
        """What is tried, in order."""
        if self.moves is not None:
            return self.moves
        if by == "probe" or self.database.kind != "trino":
            return BY_PROBE
        return tuple(MOVES)


def by_whom(settings: TablesSettings, configuration: Configuration) -> Literal["job", "probe"]:
    """Who moves: as it is set, else a job wherever there is a Control Service."""
    return settings.by or ("job" if "control" in configuration else "probe")


def place_of(
    configuration: Configuration, index: int, placeholders: Mapping[str, str] | None = None
) -> Place:
    """Where the tables of that entry are made. Raises ConfigError."""
    settings = configuration.sections("tables", TablesSettings)[index]
    kind = PLACES.get(settings.database.kind)
    key = ("tables", str(index), "database")
    if kind is None:
        raise ConfigError(
            "Tables can't be made in this kind of database.",
            file=configuration.name,
            key=".".join((*key, "kind")),
            value=settings.database.kind,
            expected=" or ".join(PLACES),
        )
    return configuration.table(key, kind, placeholders=placeholders or {})


def vdk_settings(place: Place) -> dict[str, Any]:
    """How a data job gets to the place, in the words of VDK's plugin for it."""
    return of_trino(place) if isinstance(place, TrinoPlace) else of_postgres(place)


def places(
    configuration: Configuration, placeholders: Mapping[str, str] | None = None
) -> Iterator[Place]:
    """Where each entry's tables are made."""
    for index, _ in enumerate(configuration.sections("tables", TablesSettings)):
        yield place_of(configuration, index, placeholders)


def entry_of(configuration: Configuration, name: str) -> tuple[int, TablesSettings]:
    """The entry called `name` and its place in the list."""
    entries = configuration.sections("tables", TablesSettings)
    return next((index, entry) for index, entry in enumerate(entries) if entry.name == name)
