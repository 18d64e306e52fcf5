"""Records into a file and out of it again, sound and with each fault planted between."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.connections.files import Layout
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.readers.file import FileReader, FileReaderSettings
from pytest_vdkprobe.targets.file import FileTarget, FileTargetSettings
from tests.integration.route_faults import FAULTS, Fault, check, passage

LAYOUTS: tuple[Layout, ...] = ("lines", "vdk")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_the_account_names_the_fault(fault: Fault, layout: Layout, tmp_path: Path) -> None:
    if fault.about_time and layout == "lines":
        pytest.skip("time is the same in both layouts, and is waited for")
    leases = LeaseStore(tmp_path / "leases", run_id="run-12345678")
    path = tmp_path / "deep" / "er" / "records.json"
    account = passage(
        FileTarget(FileTargetSettings(path=str(path), layout=layout), leases=leases),
        FileReader(FileReaderSettings(path=str(path), layout=layout), leases=leases),
        fault,
        folder=tmp_path,
    )
    check(account, fault)
    assert not (tmp_path / "deep").exists()
    assert leases.all() == []
