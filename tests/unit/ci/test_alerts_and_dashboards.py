"""Alert rules and dashboards speak of metrics that there are, and each rule is tried."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from pytest_vdkprobe.metrics.catalogue import CATALOGUE, SEEDS
from tests.unit.docs.blocks import ROOT

ALERTS = ROOT / "ci" / "alerts"
RULES = [
    rule
    for group in yaml.safe_load((ALERTS / "vdkprobe.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARDS = sorted((ROOT / "ci" / "dashboards").glob("*.json"))
TESTS = [
    test
    for name in ("tests.yml", "clean_day.yml")
    for test in yaml.safe_load((ALERTS / name).read_text())["tests"]
]


def names(text: str) -> set[str]:
    """The metrics that a query or a series names; of a histogram, its family."""
    found = re.findall(r"\bv?d?k?probe_[a-z0-9_]+", text)
    return {
        re.sub(r"_(bucket|sum|count)$", "", name) if name not in CATALOGUE else name
        for name in found
    }


def expressions(path: str) -> list[str]:
    """The queries of a dashboard."""
    board = json.loads((ROOT / "ci" / "dashboards" / path).read_text())
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_speaks_of_metrics_that_there_are(rule: dict[str, str]) -> None:
    assert names(rule["expr"]) <= set(CATALOGUE)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_is_held_to_its_time_and_says_what_to_do(rule: dict[str, dict[str, str]]) -> None:
    firing = f'count(ALERTS{{alertname="{rule["alert"]}",alertstate="firing"}})'
    tried = [
        (check["eval_time"], bool(check["exp_samples"]))
        for test in TESTS
        for check in test["promql_expr_test"]
        if check["expr"] == firing
    ]
    within = seconds(rule["labels"]["within"])
    assert any(fires and seconds(at) in (within, within + 600) for at, fires in tried), tried
    assert {"summary", "description"} <= set(rule["annotations"])
    assert rule["labels"]["severity"] in ("page", "ticket")


def seconds(text: str) -> int:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def test_what_tests_of_rules_feed_in_is_what_is_exported() -> None:
    series = {line["series"] for test in TESTS for line in test["input_series"]}
    assert {name for line in series for name in names(line)} <= set(CATALOGUE)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_speaks_of_metrics_that_there_are(path: Path) -> None:
    for expression in expressions(path.name):
        assert names(expression) <= set(CATALOGUE), expression


def test_what_is_exported_is_shown() -> None:
    shown = {name for path in DASHBOARDS for e in expressions(path.name) for name in names(e)}
    told = {
        "vdkprobe_last_run_timestamp_seconds",
        "vdkprobe_oldest_task_seconds",
        "vdkprobe_events_missed_slots_total",
        "vdkprobe_tasks_missed_slots_total",
        "vdkprobe_events_last_arrival_timestamp_seconds",
        "vdkprobe_tasks_last_success_timestamp_seconds",
    }
    assert set(CATALOGUE) - shown == told


def test_the_seeds_names_have_a_dashboard_of_their_own() -> None:
    used = {name for e in expressions("dataplatform-probe.json") for name in names(e)}
    assert used == {family.name for family in SEEDS}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_is_one_to_grafana(path: Path) -> None:
    board = json.loads((ROOT / "ci" / "dashboards" / path.name).read_text())
    panels = board["panels"]
    assert board["uid"]
    assert board["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["y"], panel["gridPos"]["x"] + column)
        for panel in panels
        for column in range(panel["gridPos"]["w"])
    ]
    assert len(set(cells)) == len(cells)
