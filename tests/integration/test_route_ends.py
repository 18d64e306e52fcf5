"""A route that is stopped leaves nothing; one that is killed leaves what the next run removes.

What goes wrong at its ends is told in words that say whose turn it is.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.connections.kafka import KafkaClients, KafkaConnection
from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase
from pytest_vdkprobe.sandbox.engines.postgres import Postgres
from pytest_vdkprobe.waiting import Deadline
from tests.integration.running import Running
from tests.integration.shared_engines import SharedEngines

KINDS = ("file", "kafka", "postgres")


class Ends:
    """The places of one test: what is configured to be created there, and decoys beside it."""

    def __init__(self, engines: SharedEngines, folder: Path) -> None:
        self.folder = folder
        self.prefix = f"{engines.topic_prefix}{secrets.token_hex(4)}".replace("-", "_")
        self.servers = engines.kafka.endpoint
        address = engines.postgres
        self.where: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "user": address.user,
            "database": engines.database,
        }
        self.database = PostgresDatabase(PostgresConnection(**self.where))

    def configuration(self, kind: str, **more: Any) -> Path:
        """A route of this kind that sends for minutes, unless told otherwise."""
        name = f"{self.prefix}_{{run}}"
        ends: dict[str, dict[str, Any]] = {
            "file": {"kind": "file", "path": f"new/{name}.json"},
            "kafka": {"kind": "kafka", "servers": [self.servers], "topic": name},
            "postgres": {"kind": "postgres", "table": name, **self.where},
        }
        end = {**ends[kind], **more.pop("end", {})}
        route = {"records": 5000, "rate_per_s": 20, **more}
        return one_route(self.folder, end, **route)

    def sql(self, statement: str) -> list[Any]:
        """What a statement gives."""
        return self.database.run(statement, (), deadline=Deadline.after(30))

    def found(self) -> list[str]:
        """Everything of this test that is there: files, topics, tables."""
        files = [path.name for path in (self.folder / "new").glob("*")]
        admin = KafkaClients(KafkaConnection(servers=(self.servers,))).admin()
        try:
            topics = [str(topic) for topic in admin.list_topics()]
        finally:
            admin.close()
        tables = [str(row[0]) for row in self.sql("select relname from pg_class")]
        return sorted(name for name in (*files, *topics, *tables) if name.startswith(self.prefix))

    def leases(self) -> list[Path]:
        """What stands in the lease store."""
        return sorted((self.folder / "leases").glob("*.json*"))


@pytest.fixture
def ends(engines: SharedEngines, tmp_path: Path) -> Iterator[Ends]:
    """Places of which nothing may be left."""
    found = Ends(engines, tmp_path)
    yield found
    found.database.close()


def _toml(table: dict[str, Any]) -> str:
    values = {
        key: _toml(value) if isinstance(value, dict) else json.dumps(value)
        for key, value in table.items()
    }
    return "{ " + ", ".join(f"{key} = {value}" for key, value in values.items()) + " }"


def sending(ends: Ends, path: Path, *options: str) -> Running:
    """A run that has begun to send."""
    running = Running(path, *options, scenario="ingestion")
    try:
        running.until("records to be sent", lambda: list((ends.folder / "failures").glob("*")))
        assert len(ends.found()) == 1
    except BaseException:
        running.__exit__(None, None, None)
        raise
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)
@pytest.mark.parametrize("kind", KINDS)
def test_stopped_run_leaves_nothing(kind: str, number: signal.Signals, ends: Ends) -> None:
    with sending(ends, ends.configuration(kind)) as running:
        running.signal(number)
        assert running.end() == pytest.ExitCode.INTERRUPTED, running.output
        assert ends.found() == [], running.output
        assert ends.leases() == []


@pytest.mark.parametrize("kind", KINDS)
def test_next_run_removes_what_a_killed_one_left_and_nothing_else(kind: str, ends: Ends) -> None:
    with sending(ends, ends.configuration(kind)) as running:
        running.signal_all(signal.SIGKILL)
        running.end()
    (left,) = ends.found()
    assert len(ends.leases()) == 1
    decoy = f"{ends.prefix}_mine"
    ends.sql(f'create table "{decoy}" (a int)')
    try:
        path = ends.configuration(kind, records=20, quiet_s=0.1)
        with Running(path, scenario="ingestion") as running:
            assert running.end() == 0, running.output
            assert "of an earlier run" in running.output
            assert left.partition(".")[0] in running.output.replace("\n", "").replace(" ", "")
        assert ends.found() == [decoy]
        assert ends.leases() == []
    finally:
        ends.sql(f'drop table "{decoy}"')


def test_table_that_took_the_name_of_a_leased_one_survives_the_sweep(ends: Ends) -> None:
    path = ends.configuration("postgres")
    with sending(ends, path) as running:
        running.signal_all(signal.SIGKILL)
        running.end()
    (left,) = ends.found()
    ends.sql(f'drop table "{left}"')
    ends.sql(f'create table "{left}" (mine int)')
    try:
        with Running(path, "--vdk-sweep") as running:
            assert running.end() == 0, running.output
            assert "not ours, left alone" in running.output
        assert ends.found() == [left]
    finally:
        ends.sql(f'drop table "{left}"')


def test_sweep_tells_a_place_that_can_t_be_reached_and_keeps_the_lease(ends: Ends) -> None:
    path = ends.configuration("postgres")
    with sending(ends, path) as running:
        running.signal_all(signal.SIGKILL)
        running.end()
    (lease,) = ends.leases()
    (left,) = ends.found()
    text = lease.read_text()
    port = ends.where["port"]
    # The place of the lease and of the configuration is one where nobody listens.
    stamp = lease.stat().st_mtime_ns
    lease.write_text(text.replace(f":{port}/", ":9/"))
    os.utime(lease, ns=(stamp, stamp))
    ends.where["port"] = 9
    with Running(ends.configuration("postgres"), "--vdk-sweep") as running:
        assert running.end() == 6, running.output
        assert "could not be removed" in running.output
        assert "refused" in running.output
    assert len(ends.leases()) == 1
    ends.sql(f'drop table "{left}"')


@pytest.mark.parametrize(
    ("kind", "end", "told"),
    [
        ("postgres", {"host": "no-such-host.invalid"}, "no-such-host.invalid"),
        ("postgres", {"port": 9}, "refused"),
        ("postgres", {"database": "no_such_database"}, "no_such_database"),
        ("kafka", {"servers": ["127.0.0.1:9"]}, "127.0.0.1:9"),
        ("file", {"path": "/proc/no/such.json"}, "/proc/no"),
    ],
    ids=["host", "port", "database", "broker", "folder"],
)
def test_end_that_is_ours_to_mend_is_an_error_that_says_where(
    kind: str, end: dict[str, Any], told: str, ends: Ends
) -> None:
    path = ends.configuration(kind, end=end, records=20)
    with Running(path, scenario="ingestion") as running:
        assert running.end() == 6, running.output
        assert told in running.output
        assert "To try" in running.output
    assert ends.found() == []
    assert ends.leases() == []


def test_wrong_password_is_an_error_that_does_not_show_it(tmp_path: Path) -> None:
    hba = Path(tempfile.mkdtemp(prefix="hba-")) / "pg_hba.conf"
    try:
        hba.parent.chmod(0o755)  # the server runs as somebody else
        hba.write_text(
            "host all probe 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n"
        )
        with Postgres(settings={"hba_file": str(hba)}) as engine:
            where = {"host": engine.address.host, "port": engine.address.port}
            admin = PostgresConnection(**where, user=engine.address.user, database="postgres")  # type: ignore[arg-type]
            database = PostgresDatabase(admin)
            for statement in (
                "create role probe login password 'right-one'",
                "grant create on schema public to probe",
            ):
                database.run(statement, (), deadline=Deadline.after(30))
            database.close()
            end = {
                "kind": "postgres",
                **where,
                "user": "probe",
                "database": "postgres",
                "table": "t",
                "password": {"env": "PROBE_PASSWORD"},
            }
            path = one_route(tmp_path, end)
            for password, code in (("wrong-one-1f7c", 6), ("right-one", 0)):
                env = {"PROBE_PASSWORD": password}
                with Running(path, scenario="ingestion", env=env) as running:
                    assert running.end() == code, running.output
                    assert password not in running.output
                    if code:
                        assert "user probe" in running.output
                        assert "password" in running.output
                        assert "To try" in running.output
    finally:
        shutil.rmtree(hba.parent)


def test_engine_that_dies_in_the_middle_is_told_and_the_account_is_kept(tmp_path: Path) -> None:
    with Postgres() as engine:
        address = engine.address
        end = {"kind": "postgres", "host": address.host, "port": address.port}
        end |= {"user": address.user, "database": "postgres", "table": "t"}
        path = one_route(tmp_path, end, records=5000, rate_per_s=200, within_s=2)
        options = ("--vdk-report=report.json", "--vdk-set", "run.step_timeout_s=15")
        with Running(path, *options, scenario="ingestion") as running:
            ledgers = (tmp_path / "failures").glob
            running.until(
                "some batches", lambda: any(p.stat().st_size > 500 for p in ledgers("*.ledger"))
            )
            os.kill(address.pid, signal.SIGQUIT)
            assert running.end() == 1, running.output
            assert f"{address.host}:{address.port}" in running.output
    report = json.loads((tmp_path / "report.json").read_text())
    (step, *_) = report["journeys"][0]["steps"]
    assert step["verdict"] == "fail"
    assert step["account"]["sent"] > 0
    assert Path(step["account"]["ledger"]).exists()
    assert list((tmp_path / "leases").glob("*.json")) != [], "its table may still be there"


def one_route(folder: Path, end: dict[str, Any], **more: Any) -> Path:
    """A configuration of one route with both ends in one place."""
    route = {"records": 20, "rate_per_s": 1000, "within_s": 5, "late_s": 1, **more}
    lines = ["[run]", 'lease_folder = "leases"', 'report_folder = "failures"']
    lines += ["[[routes]]", 'name = "r"', f"target = {_toml({**end, 'create': True})}"]
    lines += [f"reader = {_toml(end)}", *(f"{key} = {value}" for key, value in route.items())]
    path = folder / "platform.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
