"""How differences are sorted: expected, unexpected, lost."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.upgrade.differences import Difference, differences
from pytest_vdkprobe.upgrade.settings import UpgradeSettings
from pytest_vdkprobe.upgrade.snapshot import Plain, Snapshot

Seen = dict[str, dict[str, Plain]]
JOBS: dict[str, Plain] = {"a.team": "red", "b.team": "red"}


def compare(
    aspect: str, before: Seen, after: Seen, settings: UpgradeSettings | None = None
) -> list[Difference]:
    taken = []
    for aspects in (before, after):
        snapshot = Snapshot.new(run_id="12345678", tool="1", where={})
        snapshot.aspects |= aspects
        taken.append(snapshot)
    return differences(taken[0], taken[1], aspect, settings or UpgradeSettings())


@pytest.mark.parametrize(
    ("aspect", "name", "before", "after", "sort"),
    [
        ("versions", "control-service", "1", "2", "expected"),
        ("versions", "control-service", "1", None, "lost"),
        ("jobs", "a.config.db_default_type", "TRINO", None, "lost"),
        ("jobs", "a.description", "x", "y", "unexpected"),
        ("schedules", "a", "0 3 * * *", "0 4 * * *", "unexpected"),
        ("schedules", "a", "0 3 * * *", None, "lost"),
        ("deployments", "a.enabled", True, False, "unexpected"),
        ("deployments", "a.memory", 1, True, "unexpected"),
        ("properties", "a.cursor", "hash 1", "hash 2", "expected"),
        ("properties", "a.cursor", "hash 1", None, "lost"),
        ("secrets", "a.token", "hash 1", "hash 2", "unexpected"),
        ("tables", "lake.public.t.rows", 10, 9, "lost"),
        ("tables", "lake.public.t.rows", 10, 0, "lost"),
        ("tables", "lake.public.t.rows", 10, 11, "expected"),
        ("tables", "lake.public.t.columns.id", "bigint", "integer", "unexpected"),
        ("tables", "lake.public.t.rows", 0, None, "lost"),
    ],
)
def test_each_difference_has_its_sort(
    aspect: str, name: str, before: Plain, after: Plain, sort: str
) -> None:
    def seen(value: Plain) -> Seen:
        found: Seen = {"jobs": dict(JOBS)}
        if value is not None:
            found.setdefault(aspect, {})[name] = value
        return found

    (one,) = compare(aspect, seen(before), seen(after))
    assert one.sort == sort, one


def test_what_goes_with_its_job_is_told_once() -> None:
    before: Seen = {"jobs": {**JOBS, "a.description": "x"}, "properties": {"a.x": "hash 1"}}
    after: Seen = {"jobs": {"b.team": "red"}, "properties": {}}
    (one,) = compare("jobs", before, after)
    assert (str(one), one.sort) == ("jobs.a is gone (was a job)", "lost")
    assert compare("properties", before, after) == []


def test_what_is_configured_is_expected() -> None:
    settings = UpgradeSettings(
        expect_changed=("schedules.a*",), expect_lost=("jobs.b",), expect_added=()
    )
    before: Seen = {"jobs": JOBS, "schedules": {"a": "1", "b": "1"}}
    after: Seen = {"jobs": {"a.team": "red"}, "schedules": {"a": "2", "b": "1", "a.deployed": "2"}}
    assert [one.sort for one in compare("jobs", before, after, settings)] == ["expected"]
    found = {one.name: one.sort for one in compare("schedules", before, after, settings)}
    assert found == {"schedules.a": "expected", "schedules.a.deployed": "unexpected"}


def test_losses_come_first() -> None:
    before: Seen = {"tables": {"l.s.a.rows": 1, "l.s.b.columns.x": "int", "l.s.c.rows": 5}}
    after: Seen = {"tables": {"l.s.a.rows": 2, "l.s.b.columns.x": "text", "l.s.c.rows": 4}}
    assert [one.sort for one in compare("tables", before, after)] == [
        "lost",
        "unexpected",
        "expected",
    ]
