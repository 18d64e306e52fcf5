"""Names of a list's entries: two that are one, or become one on the platform, are refused."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.pipelines.belongings import LONGEST, own_name
from pytest_vdkprobe.problems import find_problems

CONTROL = {"url": "http://127.0.0.1:9", "team": "platform"}
FILE = {"kind": "file", "path": "{route}.json"}
KAFKA = {"servers": ["127.0.0.1:9"]}
POSTGRES = {"host": "127.0.0.1", "user": "u", "database": "d"}
ENTRIES: dict[str, dict[str, object]] = {
    "routes": {"target": FILE, "reader": FILE},
    "tables": {"database": {"kind": "postgres", **POSTGRES}},
    "events": {"target": FILE, "reader": FILE},
    "endpoints": {"url": "http://127.0.0.1:9"},
    "pipelines": {"kafka": KAFKA, "database": POSTGRES},
}


def said(**lists: object) -> str:
    """Everything that is wrong with a configuration of these lists."""
    tables = {"control": CONTROL, **lists}
    problems, _ = find_problems(from_tables("platform.toml", tables, environ={}))
    return "\n\n".join(map(str, problems))


def two(section: str, *names: str) -> dict[str, object]:
    return {section: [{**ENTRIES[section], "name": name} for name in names]}


@pytest.mark.parametrize("section", ENTRIES)
def test_two_entries_of_one_name_are_refused(section: str) -> None:
    text = said(**two(section, "orders", "orders"))
    assert f"Two entries in [[{section}]] have the same name." in text
    assert "'orders'" in text
    assert f"file platform.toml, key {section}.1.name" in text


@pytest.mark.parametrize("section", [name for name in ENTRIES if name != "endpoints"])
@pytest.mark.parametrize("other", ["Orders-EU", "orders.eu", "orders eu!"])
def test_names_that_differ_in_case_and_punctuation_only_are_refused(
    section: str, other: str
) -> None:
    text = said(**two(section, "orders_eu", other))
    assert f"[[{section}]] are called 'orders_eu' and {other!r}, which is one name" in text
    assert f"file platform.toml, key {section}.1.name" in text


def test_names_that_nothing_is_named_by_may_differ_in_punctuation() -> None:
    assert said(**two("endpoints", "GET /orders", "GET /orders/")) == ""


@pytest.mark.parametrize("section", ENTRIES)
def test_names_of_their_own_are_taken(section: str) -> None:
    assert said(**two(section, "orders", "orders-eu", "orders-us")) == ""


def test_a_route_s_job_may_not_be_called_like_another_job() -> None:
    route = {**ENTRIES["routes"], "name": "Orders", "ways": ["job"]}
    text = said(jobs=[{"name": "ingest-orders"}], routes=[route])
    assert "Two data jobs would have one name: that of jobs.0 and of routes.0.name." in text
    named = {**route, "job": {"name": "our-sender"}}
    text = said(routes=[named, {**named, "name": "events"}])
    assert "that of routes.0.job.name and of routes.1.job.name" in text
    assert "'our-sender'" in text


def test_the_job_of_tables_may_not_be_called_like_another_job() -> None:
    entry = {**ENTRIES["tables"], "name": "lake"}
    text = said(jobs=[{"name": "vdkprobe-tables-lake"}], tables=[entry])
    assert "that of jobs.0 and of tables.0.name" in text


def test_long_names_of_pipelines_stay_two() -> None:
    one, other = (own_name("websites-" + "x" * 40 + end, run_id="0123abcd") for end in "ab")
    assert one != other
    assert max(len(one), len(other)) <= LONGEST
