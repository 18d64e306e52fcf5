"""PostgreSQL and Trino in the words of a probe: types, descriptions, and what counts rows.

One value for each, so that what reads and writes through SQL is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pytest_vdkprobe.connections.sql import Name, Row, literal, quoted

if TYPE_CHECKING:
    from pytest_vdkprobe.records import ColumnType


class Engine(NamedTuple):
    """How one kind of database says what all of them can."""

    name: str
    version: str
    """A statement: the server's version."""
    types: Mapping[ColumnType, tuple[str, ...]]
    """For each of ours the types that carry it; the first is what a table of ours gets."""
    coarse: Mapping[ColumnType, tuple[str, ...]]
    """Types that carry it but for microseconds."""
    columns: Callable[[Name], tuple[str, Row]]
    """A statement: of each column its name, its type, and whether it must be given."""
    comment: Callable[[Name], tuple[str, Row]]
    """A statement: the comment on a table."""
    create: Callable[[Name, str, str], str]
    """A statement that makes a table of these columns with this comment."""
    wrong_digest: str
    """True of a row whose digest is not that of its body, or that lacks either."""
    bit: str
    """The bit with the number {n}, as a bigint."""
    bits_together: str
    """Aggregate: all bits of {x}."""
    bit_count: str
    """How many bits {x} has."""
    part: str
    """How many times {size} goes into {x}."""
    grouped: str
    """Ends a subquery whose expression is grouped by, so that the planner expects few groups."""


POSTGRES_COLUMNS = """
select attname, format_type(atttypid, atttypmod),
    attnotnull and not atthasdef and attidentity = ''
from pg_attribute
where attrelid = to_regclass(?) and attnum > 0 and not attisdropped
order by attnum
"""

POSTGRES = Engine(
    name="PostgreSQL",
    version="select current_setting('server_version')",
    types={
        "bigint": ("bigint",),
        "double": ("double precision",),
        "boolean": ("boolean",),
        "varchar": ("text", "character varying"),
        "decimal": ("numeric(38,10)", "numeric"),
        "date": ("date",),
        "timestamp": ("timestamp without time zone", "timestamp(6) without time zone"),
        "timestamptz": ("timestamp with time zone", "timestamp(6) with time zone"),
        "json": ("jsonb", "json", "text"),
    },
    coarse={
        "timestamp": ("timestamp(3) without time zone",),
        "timestamptz": ("timestamp(3) with time zone",),
    },
    columns=lambda name: (POSTGRES_COLUMNS, (name.sql,)),
    comment=lambda name: ("select obj_description(to_regclass(?), 'pg_class')", (name.sql,)),
    create=lambda name, columns, comment: (
        f"create table {name.sql} ({columns}); comment on table {name.sql} is {literal(comment)}"
    ),
    wrong_digest="not coalesce(md5(body) = digest, false)",
    bit="(1::bigint << ({n})::integer)",
    bits_together="bit_or({x})",
    bit_count="bit_count(({x})::bit(64))",
    part="({x}) / {size}",
    # Of an expression over a unique column PostgreSQL expects as many groups as rows: it would
    # group on disk, in one process. It sees nothing of the column through an offset. Only a bare
    # text is a constant here, and lets it count in parallel: half the time, of 10 million rows.
    grouped=" offset '0'",
)


TRINO_COLUMNS = """
select column_name, data_type, is_nullable = 'NO' and column_default is null
from {catalog}.information_schema.columns
where table_schema = ? and table_name = ?
order by ordinal_position
"""
TRINO_COMMENT = """
select comment from system.metadata.table_comments
where catalog_name = ? and schema_name = ? and table_name = ?
"""

TRINO = Engine(
    name="Trino",
    version="select version()",
    types={
        "bigint": ("bigint",),
        "double": ("double",),
        "boolean": ("boolean",),
        "varchar": ("varchar",),
        "decimal": ("decimal(38,10)",),
        "date": ("date",),
        "timestamp": ("timestamp(6)",),
        "timestamptz": ("timestamp(6) with time zone",),
        # Few connectors keep json as such.
        "json": ("varchar", "json"),
    },
    coarse={
        "timestamp": ("timestamp(3)",),
        "timestamptz": ("timestamp(3) with time zone",),
    },
    columns=lambda name: (
        TRINO_COLUMNS.format(catalog=quoted(name.parts[0])),
        tuple(part.lower() for part in name.parts[1:]),
    ),
    comment=lambda name: (TRINO_COMMENT, tuple(part.lower() for part in name.parts)),
    create=lambda name, columns, comment: (
        f"create table {name.sql} ({columns})" + (f" comment {literal(comment)}" if comment else "")
    ),
    wrong_digest="not coalesce(lower(to_hex(md5(to_utf8(body)))) = digest, false)",
    bit="bitwise_left_shift(bigint '1', cast({n} as integer))",
    bits_together="bitwise_or_agg({x})",
    bit_count="bit_count({x}, 64)",
    part="({x}) / {size}",
    grouped="",
)
