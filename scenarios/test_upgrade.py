"""Upgrade: what the platform consists of is kept before an upgrade, and is all there after it.

`--vdk-before=FILE` makes the journey upgrade[before], `--vdk-after=FILE` upgrade[after]; without
them there is nothing to do. Differences are expected (as [upgrade] in the configuration says),
unexpected, or losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_vdkprobe.api import Upgrade

pytestmark = pytest.mark.vdk_journey("upgrade")


@pytest.fixture
def before(vdk_upgrade: Upgrade) -> Upgrade:
    """The upgrade, where it is still to come."""
    if vdk_upgrade.moment != "before":
        pytest.skip("only with --vdk-before")
    return vdk_upgrade


@pytest.fixture
def after(vdk_upgrade: Upgrade) -> Upgrade:
    """The upgrade, where it has been made."""
    if vdk_upgrade.moment != "after":
        pytest.skip("only with --vdk-after")
    return vdk_upgrade


@pytest.mark.vdk_step
def test_look(vdk_upgrade: Upgrade) -> None:
    """The platform shows its versions, jobs and what belongs to them, and its tables."""
    vdk_upgrade.look()


@pytest.mark.vdk_step(needs=["look"])
def test_keep(before: Upgrade) -> None:
    """All of it is written down, values of properties and secrets only as hashes."""
    before.keep()


@pytest.mark.vdk_step(needs=["look"])
def test_versions(after: Upgrade) -> None:
    """The versions are those that the upgrade was meant to bring."""
    after.compare("versions")


@pytest.mark.vdk_step(needs=["look"])
def test_jobs(after: Upgrade) -> None:
    """Every job is there, with its team, description and configuration."""
    after.compare("jobs")


@pytest.mark.vdk_step(needs=["look"])
def test_deployments(after: Upgrade) -> None:
    """What was deployed is deployed, in the same version, and enabled as before."""
    after.compare("deployments")


@pytest.mark.vdk_step(needs=["look"])
def test_schedules(after: Upgrade) -> None:
    """Every job is scheduled as before."""
    after.compare("schedules")


@pytest.mark.vdk_step(needs=["look"])
def test_properties(after: Upgrade) -> None:
    """No job has lost a property."""
    after.compare("properties")


@pytest.mark.vdk_step(needs=["look"])
def test_secrets(after: Upgrade) -> None:
    """No job has lost a secret."""
    after.compare("secrets")


@pytest.mark.vdk_step(needs=["look"])
def test_tables(after: Upgrade) -> None:
    """Every table is there, with its columns, and has lost no rows."""
    after.compare("tables")
