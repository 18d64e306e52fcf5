"""Records into an HTTP endpoint and out of its list again, sound and with each fault planted."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from pytest_vdkprobe.readers.http import HttpReader, HttpReaderSettings
from pytest_vdkprobe.targets.http import HttpTarget, HttpTargetSettings
from tests.integration.collecting_endpoint import Endpoint
from tests.integration.route_faults import FAULTS, Fault, by_name, check, passage

FAULT_IDS = [fault.name.replace(" ", "-") for fault in FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=FAULT_IDS)
def test_the_account_names_the_fault(fault: Fault, tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        account = passage(
            HttpTarget(HttpTargetSettings(url=f"{endpoint.url}/ingest", table="events")),
            HttpReader(HttpReaderSettings(url=f"{endpoint.url}/received", poll_s=0.05)),
            fault,
            folder=tmp_path,
        )
        # The route's own word is no column of a record.
        assert {each["@table"] for each in endpoint.received} == {"events"}
    check(account, fault)


@pytest.mark.parametrize("lines", [False, True], ids=["array", "lines"])
@pytest.mark.parametrize("paging", ["offset", "since", "none"])
def test_every_way_of_listing_is_read(
    paging: Literal["offset", "since", "none"], lines: bool, tmp_path: Path
) -> None:
    fault = by_name("one lost")
    with Endpoint() as endpoint:
        endpoint.lines = lines
        account = passage(
            HttpTarget(HttpTargetSettings(url=f"{endpoint.url}/ingest", layout="object")),
            HttpReader(
                HttpReaderSettings(
                    url=f"{endpoint.url}/received", paging=paging, since_field="seq", poll_s=0.05
                )
            ),
            fault,
            folder=tmp_path,
        )
    check(account, fault)
