"""The sandbox's own routes, as a newcomer runs them: sound they pass, each lie turns them red."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def ingest(folder: Path, *options: str) -> tuple[int, str, dict[str, Any]]:
    """Run the scenario on a sandbox of its own; exit code, output and steps by their ids."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--vdk-config=sandbox", "--vdk-scenarios=ingestion"),
            *("--vdk-set", "sandbox.executor=instant", "--vdk-report=report.json"),
            *("-p", "no:cacheprovider", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    output = done.stdout + done.stderr
    assert (folder / "report.json").exists(), output
    report = json.loads((folder / "report.json").read_text())
    steps = {
        f"{journey['journey']}::{step['step']}": step
        for journey in report["journeys"]
        for step in journey["steps"]
    }
    return done.returncode, output, steps


def test_all_routes_deliver_every_record(tmp_path: Path) -> None:
    code, output, steps = ingest(tmp_path, "-k", "small or remove")
    assert code == 0, output
    accounts = {name: step["account"] for name, step in steps.items() if "account" in step}
    assert sorted(accounts) == [
        f"ingestion[{name}]::direct[small]"
        for name in (
            *("file", "http-postgres", "http-trino", "kafka-postgres"),
            *("kafka", "postgres", "trino"),
        )
    ]
    for account in accounts.values():
        assert account["delivered"] == account["sent"] == 1000, account
    assert list(tmp_path.iterdir()) == [tmp_path / "report.json"]


LIES = {
    "ingest-loses": "1 lost",
    "ingest-duplicates": "1 duplicate",
    "ingest-truncates": "1 corrupted",
    "ingest-lowercases": "1 corrupted",
    "ingest-rounds": "1 corrupted",
    "ingest-shifts-time": "1 corrupted",
    "ingest-foreign": "1 foreign",
}
"""A lie that hits one record, and what the account says of it."""


WAITED_FOR_S = 8
"""For what never comes; all the rest must have come by then, on a loaded machine, too."""


@pytest.mark.parametrize("lie", LIES)
def test_lie_of_the_endpoint_is_named_in_the_account(lie: str, tmp_path: Path) -> None:
    faults = json.dumps(lie)
    code, output, steps = ingest(
        tmp_path,
        *("-k", "http-postgres and typed"),
        *("--vdk-set", f"sandbox.faults=[{{name={faults}, times=1, skip=3}}]"),
        *("--vdk-set", "routes.4.records=100", "--vdk-set", "routes.4.late_s=1"),
        *("--vdk-set", f"routes.4.within_s={WAITED_FOR_S if lie == 'ingest-loses' else 60}"),
    )
    assert code == 1, output
    step = steps["ingestion[http-postgres]::direct[typed]"]
    assert step["verdict"] == "fail"
    assert step["finding"]["what"] == f"Of 100 records: {LIES[lie]}.", output


def test_batches_that_never_arrive_or_were_refused_and_did_are_told_apart(tmp_path: Path) -> None:
    told = {}
    for lie, within_s in (
        ("ingest-acknowledges-nothing", WAITED_FOR_S),
        ("ingest-refuses-but-lands", 60),
    ):
        code, output, steps = ingest(
            tmp_path,
            *("-k", "http-postgres and small"),
            *("--vdk-set", f'sandbox.faults=[{{name="{lie}", times=1, skip=1}}]'),
            *("--vdk-set", "routes.4.late_s=1", "--vdk-set", f"routes.4.within_s={within_s}"),
        )
        assert code == 1, output
        told[lie] = steps["ingestion[http-postgres]::direct[small]"]["account"]
    lost = told["ingest-acknowledges-nothing"]
    assert lost["lost"] > 0
    assert lost["lost"] + lost["delivered"] == lost["sent"]
    contradicted = told["ingest-refuses-but-lands"]
    assert contradicted["contradicted"] > 0
    assert contradicted["delivered"] == contradicted["sent"]
