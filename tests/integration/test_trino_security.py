"""Trino through TLS with a login, what is said where there is no way in, and one that dies."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.connections.sql import SqlError
from pytest_vdkprobe.connections.trino import TrinoConnection, TrinoDatabase, TrinoTls
from pytest_vdkprobe.errors import LoginError, TransportError
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.readers.trino import TrinoReader, TrinoReaderSettings
from pytest_vdkprobe.sandbox.engines.addresses import Address
from pytest_vdkprobe.sandbox.engines.trino import Trino
from pytest_vdkprobe.targets.trino import TrinoTarget, TrinoTargetSettings
from pytest_vdkprobe.waiting import Deadline
from tests.integration.route_faults import by_name, check, passage
from tests.integration.running import Running
from tests.integration.secure_trino import PASSWORD, USER, SecureTrino


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureTrino]:
    """A Trino with two doors."""
    with SecureTrino(tmp_path_factory.mktemp("secure")) as trino:
        yield trino


@pytest.fixture
def door(server: SecureTrino, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings of a connection that is let in."""
    monkeypatch.setenv("TRINO_PASSWORD", PASSWORD)
    return {
        "host": "localhost",
        "port": server.https_port,
        "user": USER,
        "password": SecretRef(env="TRINO_PASSWORD"),
        "tls": TrinoTls(ca_file=str(server.ca_file)),
    }


def ask(where: dict[str, Any]) -> Any:
    """A statement through a connection of our own."""
    database = TrinoDatabase(TrinoConnection(**where), key="target")
    try:
        return database.run("select 1", deadline=Deadline.after(60))[0][0]
    finally:
        database.close()


def test_records_pass_through_tls_with_a_user_and_a_password(
    door: dict[str, Any], tmp_path: Path
) -> None:
    fault = by_name("none")
    leases = LeaseStore(tmp_path / "leases", run_id="run-0001")
    table = f"memory.default.t{secrets.token_hex(4)}"
    target = TrinoTarget(TrinoTargetSettings(table=table, create=True, **door), leases=leases)
    reader = TrinoReader(TrinoReaderSettings(table=table, **door), leases=leases)
    check(passage(target, reader, fault, folder=tmp_path), fault, blind=["reordered"])
    assert leases.all() == []


def test_a_wrong_password_is_a_refused_login(
    door: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRINO_PASSWORD", "battery-staple")
    with pytest.raises(LoginError, match="refuses our login") as caught:
        ask(door)
    assert "user probe" in str(caught.value.checked)
    assert "battery-staple" not in str(caught.value)


def test_no_password_at_all_is_a_refused_login(door: dict[str, Any]) -> None:
    with pytest.raises(LoginError, match="refuses our login"):
        ask({**door, "password": None})


def test_another_authority_is_not_trusted(door: dict[str, Any]) -> None:
    with pytest.raises(TransportError, match="its certificate is not trusted") as caught:
        ask({**door, "tls": TrinoTls()})
    assert "tls.ca_file" in str(caught.value.to_try)


def test_our_authority_counts_whatever_the_environment_names(
    door: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    assert ask(door) == 1
    assert ask({**door, "tls": TrinoTls(verify=False)}) == 1


def test_a_door_without_tls_is_told(door: dict[str, Any], server: SecureTrino) -> None:
    with pytest.raises(TransportError, match="no TLS connection came about"):
        ask({**door, "port": server.address.port})


def test_a_trino_that_dies_while_records_are_sent_is_told_and_the_account_kept(
    tmp_path: Path,
) -> None:
    with Trino() as trino:
        at = trino.address
        where = f'kind = "trino", host = "{at.host}", port = {at.port}, user = "probe"'
        end = f'{{ {where}, table = "memory.default.doomed" }}'
        path = tmp_path / "platform.toml"
        path.write_text(
            f"""[run]
lease_folder = "{tmp_path / "leases"}"
report_folder = "{tmp_path / "failures"}"
cleanup_timeout_s = 5
[[routes]]
name = "doomed"
target = {end.replace(" }", ", create = true, batch = 10, request_timeout_s = 5 }")}
reader = {end.replace(" }", ", request_timeout_s = 5, silent_after_s = 2 }")}
records = 1200
rate_per_s = 100
within_s = 1
late_s = 1
"""
        )
        report = tmp_path / "report.json"
        with Running(path, f"--vdk-report={report}", "-v", scenario="ingestion") as running:
            # The second batch is sent once the first has been acknowledged.
            running.until("a second batch to come", lambda: _rows(at) > 10)
            trino.kill()
            assert running.end(within_s=120) == 1, running.output
    (step, *_) = json.loads(report.read_text())["journeys"][0]["steps"]
    assert step["verdict"] == "fail"
    assert f"Trino at {at.host}:{at.port} went away" in step["finding"]["what"]
    assert step["account"]["acknowledged"] > 0
    assert step["account"]["sent"] >= step["account"]["acknowledged"]
    assert Path(step["account"]["ledger"]).exists()


def _rows(at: Address) -> int:
    """How many have arrived; none while there is no table."""
    database = TrinoDatabase(TrinoConnection(host=at.host, port=at.port, user="probe"))
    try:
        count = "select count(*) from memory.default.doomed"
        return int(database.run(count, deadline=Deadline.after(30))[0][0])
    except SqlError:
        return 0
    finally:
        database.close()
