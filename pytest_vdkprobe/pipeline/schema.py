"""The pipeline's schema: migrated, checked, and a role that may do just what processes do."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipeline import ddl, sites

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

    from pytest_vdkprobe.connections.postgres import PostgresDatabase
    from pytest_vdkprobe.pipeline.settings import PipelineDatabase, PipelineSettings, Role
    from pytest_vdkprobe.store.address import Address
    from pytest_vdkprobe.store.migrations import Migrations

ROOM = "pipeline"
COLUMNS = (
    "select column_name, data_type from information_schema.columns"
    " where table_schema = ? and table_name = ?"
)
HIDDEN = "'SCRAM-SHA-256$...'"


def migrations(schema: str) -> Migrations:
    """The pipeline's revisions."""
    from pytest_vdkprobe.store.migrations import Migrations  # noqa: PLC0415 - loads alembic

    return Migrations(ROOM, Path(__file__).parent / "revisions", schema=schema)


def configure(
    settings: PipelineSettings, database: PostgresDatabase, *, base_dir: Path
) -> list[str]:
    """Make schema, tables and role what they must be; returns what was done, a line each.

    Raises ConfigError for a table of the same name with another shape, before anything is changed.
    """
    require_shape(settings.database, database)
    told = migrations(settings.database.schema)
    address = address_of(database, base_dir=base_dir)
    done = [f"revision {revision}" for revision in told.upgrade(address)]
    schema = settings.database.schema
    lines = [f"schema {schema}: {', '.join(done) or 'as it must be'}"]
    if settings.role is not None:
        grant(settings, settings.role, database, base_dir=base_dir)
        lines.append(f"role {settings.role.name}: may read websites and add metrics")
    return lines


def dry_run(settings: PipelineSettings) -> str:
    """The SQL that `configure` runs on a database that has nothing; it is fit for others too."""
    schema = settings.database.schema
    told = migrations(schema).sql("postgresql", start=None, end="head")
    role = settings.role
    if role is not None:
        password = None if role.password is None else HIDDEN[1:-1]
        granted = ddl.role(schema, settings.database.database, role.name, password=password)
        told += "\n" + "".join(f"{statement};\n" for statement in granted)
    return told


def require_shape(settings: PipelineDatabase, database: PostgresDatabase) -> None:
    """Raise ConfigError if a table has our name and other columns than it must have."""
    for table, wanted in ddl.WANTED.items():
        rows = sites.run_sql(settings, database, COLUMNS, (settings.schema, table))
        found = {str(name): str(kind) for name, kind in rows}
        wrong = [
            f"{name} is {found.get(name, 'missing')}, and must be {kinds[0]}"
            for name, kinds in wanted.items()
            if found and found.get(name) not in kinds
        ]
        if wrong:
            raise ConfigError(
                f"The table {settings.schema}.{table} has another shape; nothing was changed.",
                key="pipeline.database.schema",
                value="\n".join(wrong),
                expected="the columns of the pipeline before: " + ", ".join(wanted),
                to_try="name another schema, or rename that table",
            )


def grant(
    settings: PipelineSettings, role: Role, database: PostgresDatabase, *, base_dir: Path
) -> None:
    """Create the role if it is missing, set its password, grant what it needs."""
    from pytest_vdkprobe.connections.sql import SqlError  # noqa: PLC0415 - as above
    from pytest_vdkprobe.waiting import Deadline  # noqa: PLC0415 - as above

    password = role.password
    secret = password and password.resolve(base_dir=base_dir, key="pipeline.role.password")

    def act(connection: Connection) -> None:
        from psycopg2.extensions import encrypt_password  # noqa: PLC0415 - loaded already

        verifier = None
        if secret:
            # So that the password itself is in no statement, and in no server's log.
            verifier = encrypt_password(
                secret.reveal(), role.name, connection, algorithm="scram-sha-256"
            )
        schema, name = settings.database.schema, settings.database.database
        with connection, connection.cursor() as cursor:
            # Of two that change a role or its rights at once PostgreSQL refuses one.
            cursor.execute("select pg_advisory_xact_lock(%s)", (zlib.crc32(b"vdkprobe role"),))
            for statement in ddl.role(schema, name, role.name, password=verifier):
                cursor.execute(statement)

    try:
        database.do(act, deadline=Deadline.after(sites.READ_LIMIT_S, "time to grant"))
    except SqlError as exc:
        raise sites.finding(settings.database, exc) from exc


def address_of(database: PostgresDatabase, *, base_dir: Path) -> Address:
    """The database as a connection string, for alembic."""
    from pytest_vdkprobe.store.address import Address  # noqa: PLC0415 - if migrated

    settings = database.settings
    password = settings.password
    secret = password and password.resolve(base_dir=base_dir, key="pipeline.database.password")
    login = quote(settings.user, safe="")
    if secret:
        login += ":" + quote(secret.reveal(), safe="")
    name = quote(settings.database, safe="")
    # Not before the path: a host may be an IPv6 address or a socket's folder, too.
    more = {"host": settings.host, "port": settings.port, "client_encoding": "UTF8"}
    return Address(
        "postgresql",
        f"postgresql+psycopg2://{login}@/{name}?{urlencode({**more, **database.tls()})}",
        f"postgresql://{settings.user}@{settings.place}",
        "pipeline.database",
        has_password=bool(secret),
    )
