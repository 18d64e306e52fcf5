"""Tables: a data job fills a table by ingestion and moves its rows on, in each way that VDK has.

Parametrized over the configured databases; each way of moving is a step. The platform says that the
job succeeded; the database is asked, row by row and type by type, what that was worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.api import TablesSubject

pytestmark = pytest.mark.vdk_journey("tables")


@pytest.mark.vdk_step
def test_create(vdk_tables: TablesSubject) -> None:
    """Source, view and destinations can be made, and hold at first what was put there."""
    vdk_tables.create()


@pytest.mark.vdk_step(needs=["create"])
def test_prepare(vdk_tables: TablesSubject) -> None:
    """Who fills and moves is ready: a data job of ours, deployed."""
    vdk_tables.prepare()


@pytest.mark.vdk_step(needs=["prepare"])
def test_fill(vdk_tables: TablesSubject) -> None:
    """What the job ingests is in the source: every row, once, unchanged."""
    vdk_tables.fill()


@pytest.mark.vdk_step(needs=["fill"])
def test_move(vdk_tables: TablesSubject, vdk_move: str) -> None:
    """The destination holds what this way of moving must leave there, and in the same types."""
    vdk_tables.move(vdk_move)


@pytest.mark.vdk_step(needs=["create"], cleanup=True)
def test_drop(vdk_tables: TablesSubject) -> None:
    """The tables can be dropped, and are seen to be gone."""
    vdk_tables.drop()


@pytest.mark.vdk_step(needs=["prepare"], cleanup=True)
def test_delete(vdk_tables: TablesSubject) -> None:
    """The job can be deleted, and is seen to be gone."""
    vdk_tables.delete()
