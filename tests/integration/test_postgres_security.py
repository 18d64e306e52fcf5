"""PostgreSQL through TLS: libpq's own checks, and what is said where there is no way in."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_vdkprobe.connections.postgres import PostgresConnection, PostgresDatabase, PostgresTls
from pytest_vdkprobe.errors import ConfigError, TransportError
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.waiting import Deadline
from tests.integration.route_faults import by_name, check, passage
from tests.integration.shared_engines import SharedEngines
from tests.integration.tables import PostgresPlace
from tests.integration.tls_door import postgres_door

Door = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """An authority, and the folder with its file and a client's certificate."""
    folder, found = tmp_path_factory.mktemp("tls"), trustme.CA()
    found.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    client = found.issue_cert("probe@example.org")
    client.cert_chain_pems[0].write_to_path(str(folder / "client.pem"))
    (folder / "client.key").touch(mode=0o600)
    client.private_key_pem.write_to_path(str(folder / "client.key"))
    return found, folder


@pytest.fixture
def door(engines: SharedEngines, authority: tuple[trustme.CA, Path]) -> Iterator[Door]:
    """Opens a door to this worker's database; returns the settings of a connection through it."""
    with ExitStack() as stack:

        def open_door(name: str = "localhost", *, wants_certificate: bool = False) -> Any:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority[0].issue_cert(name).configure_cert(context)
            if wants_certificate:
                authority[0].configure_trust(context)
                context.verify_mode = ssl.CERT_REQUIRED
            address = engines.postgres
            at = postgres_door(context, host=address.host, port=address.port)
            return {
                "host": "localhost",
                "port": stack.enter_context(at),
                "user": address.user,
                "database": engines.database,
            }

        yield open_door


def ask(where: dict[str, Any], tls: PostgresTls | None) -> Any:
    """A statement through a connection of our own."""
    database = PostgresDatabase(PostgresConnection(**where, tls=tls), key="target")
    try:
        return database.run("select 1", deadline=Deadline.after(30))[0][0]
    finally:
        database.close()


def test_records_pass_through_tls(
    engines: SharedEngines, door: Door, authority: tuple[trustme.CA, Path], tmp_path: Path
) -> None:
    place = PostgresPlace(engines, LeaseStore(tmp_path / "leases", run_id="run-0001"))
    place.where = {**door(), "tls": PostgresTls(ca_file=str(authority[1] / "ca.pem"))}
    fault = by_name("none")
    check(
        passage(place.target(), place.reader(), fault, folder=tmp_path), fault, blind=["reordered"]
    )
    place.database.close()


def test_a_certificate_of_ours_is_shown_where_one_is_wanted(
    door: Door, authority: tuple[trustme.CA, Path]
) -> None:
    where, folder = door(wants_certificate=True), authority[1]
    ours: dict[str, Any] = {
        "certificate_file": str(folder / "client.pem"),
        "key_file": str(folder / "client.key"),
    }
    assert ask(where, PostgresTls(ca_file=str(folder / "ca.pem"), **ours)) == 1
    with pytest.raises(TransportError, match="can't be reached") as caught:
        ask(where, PostgresTls(ca_file=str(folder / "ca.pem")))
    assert "certificate of ours" in str(caught.value.to_try)


def test_another_authority_is_not_trusted(door: Door, authority: tuple[trustme.CA, Path]) -> None:
    where = door()
    with pytest.raises(TransportError, match="certificate verify failed") as caught:
        ask(where, PostgresTls(ca_file=str(authority[1] / "other.pem")))
    assert "target.tls.ca_file" in str(caught.value.checked)
    assert ask(where, PostgresTls(verify=False)) == 1


def test_a_certificate_for_another_host_is_told(
    door: Door, authority: tuple[trustme.CA, Path]
) -> None:
    where, ca_file = door("elsewhere.example.org"), str(authority[1] / "ca.pem")
    with pytest.raises(TransportError, match="does not match host name"):
        ask(where, PostgresTls(ca_file=ca_file))
    assert ask(where, PostgresTls(ca_file=ca_file, check_host=False)) == 1


def test_a_server_without_tls_is_told(engines: SharedEngines) -> None:
    address = engines.postgres
    where = {"host": address.host, "port": address.port, "user": address.user}
    with pytest.raises(TransportError, match="does not support SSL") as caught:
        ask({**where, "database": engines.database}, PostgresTls())
    assert "leave tls out" in str(caught.value.to_try)


def test_a_file_that_is_missing_is_named(door: Door, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there") as caught:
        ask(door(), PostgresTls(ca_file=str(tmp_path / "none.pem")))
    assert caught.value.key == "target.tls.ca_file"
