"""A connection in the words of VDK: what a job's config.ini says for it to get there too.

Never a password: the file is uploaded. What the platform sets for its jobs goes before all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_vdkprobe.connections.postgres import PostgresConnection
    from pytest_vdkprobe.connections.trino import TrinoConnection


def of_trino(connection: TrinoConnection) -> dict[str, Any]:
    """Settings of vdk-trino."""
    vdk = {
        "trino_host": connection.host,
        "trino_port": connection.port,
        "trino_user": connection.user,
        "trino_use_ssl": connection.tls is not None,
        "trino_catalog": connection.catalog,
        "trino_schema": connection.schema,
    }
    return {name: value for name, value in vdk.items() if value is not None}


def of_postgres(connection: PostgresConnection) -> dict[str, Any]:
    """Settings of vdk-postgres."""
    vdk = {
        "postgres_host": connection.host,
        "postgres_port": connection.port,
        "postgres_user": connection.user,
        "postgres_dbname": connection.database,
    }
    if connection.password is None:
        # vdk-postgres connects with a password only, also where the server asks for none.
        vdk["postgres_password"] = "none"  # noqa: S105 - a word in its place
    return vdk
