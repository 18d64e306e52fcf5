"""A check that can't fail proves nothing: each planted fault must be seen, at its step.

The step named in the table is the first that can know. A fault that the platform gets wrong is a
`fail`; nothing of the run may be left behind, whatever was planted.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vdkprobe.sandbox import faults
from tests.integration.fault_table import TABLE, Planted
from tests.integration.faulted import run_faulted
from tests.integration.heartbeats import (
    configuration,
    heartbeat,
    impatient_from,
    leftovers,
    sandbox,
)

EXIT_CODES = {"pass": 0, "fail": 1, "error": 6}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name.replace(" ", "-"))
def test_fault_is_seen_at_its_step(row: Planted, tmp_path: Path) -> None:
    done = run_faulted(row, tmp_path)
    assert done.heard.first_bad == row.expected, done.heard.output
    assert done.heard.exit_code == EXIT_CODES[row.verdict]
    assert done.message in done.heard.output
    assert row.says in done.text
    assert done.left == [row.foreign_job] * bool(row.foreign_job)


def test_every_fault_of_the_sandbox_is_in_the_table() -> None:
    planted = {plant["name"] for row in TABLE for plant in row.plants}
    assert set(faults.TRANSPORT | faults.LIES) - planted == set()


def test_rows_have_names_of_their_own_and_say_why_they_pass() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert [row.name for row in TABLE if bool(row.unseen) != (row.verdict == "pass")] == []


def test_delete_that_is_ignored_keeps_its_lease(tmp_path: Path) -> None:
    with sandbox() as platform:
        platform.plant("delete-ignored")
        path = configuration(platform, tmp_path, run=impatient_from("delete"))
        heard = heartbeat(path, "--vdk-quick")
        assert heard.first_bad == ("delete", "fail"), heard.output
        assert len(leftovers(platform, tmp_path)) == 2


def test_slow_and_unavailable_calls_are_no_failure(tmp_path: Path) -> None:
    with sandbox(seed=7) as platform:
        platform.plant("status", share=0.05)
        platform.plant("status", share=0.02, when="after")
        platform.plant("slow", share=0.05, delay_s=0.05)
        heard = heartbeat(configuration(platform, tmp_path, run="step_timeout_s = 30"))
        assert heard.exit_code == 0, heard.output
        platform.faults.clear()
        assert leftovers(platform, tmp_path) == []
