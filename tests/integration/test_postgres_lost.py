"""A PostgreSQL that ends our connection in the middle of a statement: told by its own words."""

from __future__ import annotations

import re
import threading

import pytest

from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase
from pytest_vdkprobe.connections.sql import Fate, SqlError
from pytest_vdkprobe.waiting import Deadline
from tests.integration.shared_engines import SharedEngines

LIMIT_S = 30.0
END_SLEEPERS = (
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where query = 'select pg_sleep(60)' and datname = current_database()"
)


def test_an_ended_connection_is_told_in_the_servers_words(engines: SharedEngines) -> None:
    postgres = engines.postgres
    settings = PostgresConnection(
        host=postgres.host,
        port=postgres.port,
        user=str(postgres.user),
        database=engines.database,
    )
    sleeper, other = PostgresDatabase(settings), PostgresDatabase(settings)
    ended = threading.Event()

    def end() -> None:
        deadline = Deadline.after(LIMIT_S)
        while not ended.wait(0.02) and not deadline.expired:
            other.run(END_SLEEPERS, deadline=deadline)

    ending = threading.Thread(target=end)
    ending.start()
    try:
        with pytest.raises(SqlError) as lost:
            sleeper.run("select pg_sleep(60)", deadline=Deadline.after(LIMIT_S))
        ended.set()
        assert lost.value.fate is Fate.UNKNOWN
        # And not by those of the rollback after it: "connection already closed".
        assert re.search("terminating connection|server closed the connection", str(lost.value))
        # And the next statement has a connection of its own.
        assert sleeper.run("select 1", deadline=Deadline.after(LIMIT_S)) == [(1,)]
    finally:
        ended.set()
        ending.join(LIMIT_S)
        sleeper.close()
        other.close()
