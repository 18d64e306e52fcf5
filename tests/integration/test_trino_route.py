"""Records into a real Trino and out of it again, sound and with each fault planted between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vdkprobe.leases import LeaseStore
from tests.integration.route_faults import FAULTS, Fault, check, passage
from tests.integration.shared_engines import SharedEngines
from tests.integration.tables import TrinoPlace


@pytest.fixture
def place(engines: SharedEngines, tmp_path: Path) -> Iterator[TrinoPlace]:
    """A table that must not be left behind, nor a lease."""
    leases = LeaseStore(tmp_path / "leases", run_id="run-12345678")
    place = TrinoPlace(engines, leases)
    yield place
    assert not place.exists()
    assert leases.all() == []
    place.database.close()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_the_account_names_the_fault(fault: Fault, place: TrinoPlace, tmp_path: Path) -> None:
    account = passage(place.target(), place.reader(), fault, folder=tmp_path)
    blind = ("late", "reordered") if fault.about_time else ("reordered",)
    check(account, fault, blind=blind)
    assert "not observable" in str(account)
