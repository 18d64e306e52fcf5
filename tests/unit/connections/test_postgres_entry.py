"""What PostgreSQL says when it lets nobody in, and what of it passes."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.connections.postgres import PostgresConnection
from pytest_vdkprobe.connections.postgres_entry import unopened
from pytest_vdkprobe.errors import BusyError, LoginError

SETTINGS = PostgresConnection(host="db.example.org", user="me", database="monitoring")
FATAL = 'connection to server at "db.example.org", port 5432 failed: FATAL:  '


@pytest.mark.parametrize(
    "said",
    [
        "sorry, too many clients already",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'too many connections for role "me"',
        'too many connections for database "monitoring"',
        "the database system is starting up",
        "the database system is shutting down",
        "the database system is in recovery mode",
        "the database system is not yet accepting connections",
        "terminating connection due to administrator command",
        'database "monitoring" is not currently accepting connections',
    ],
)
def test_a_server_that_lets_nobody_in_for_now_is_busy(said: str) -> None:
    found = unopened(SETTINGS, FATAL + said, key="database")
    assert isinstance(found, BusyError)
    assert str(found).startswith(
        f"PostgreSQL at db.example.org:5432/monitoring takes nobody in just now: {said}."
    )


def test_a_role_that_is_not_there_is_no_busy_server() -> None:
    found = unopened(SETTINGS, FATAL + 'role "me" does not exist', key="database")
    assert isinstance(found, LoginError)
