"""Records into a file and out of it again, sound and with each fault planted between."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pytest_vdkprobe.connections.files import Layout
from pytest_vdkprobe.leases import LeaseStore
from pytest_vdkprobe.readers.file import FileReader, FileReaderSettings
from pytest_vdkprobe.targets.file import FileTarget, FileTargetSettings
from tests.integration.route_faults import FAULTS, Fault, check, passage

CASES = [
    pytest.param(fault, layout, id=f"{fault.name.replace(' ', '-')}-{layout}")
    for fault in FAULTS
    for layout in get_args(Layout)
    # Time is the same in both layouts, and is waited for.
    if layout == "vdk" or not fault.about_time
]


@pytest.mark.parametrize(("fault", "layout"), CASES)
def test_the_account_names_the_fault(fault: Fault, layout: Layout, tmp_path: Path) -> None:
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
