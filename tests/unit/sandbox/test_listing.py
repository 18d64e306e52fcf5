"""The job list: filters, order, pages, and the queries that the official command line sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pytest_vdkprobe.sandbox import executions
from pytest_vdkprobe.sandbox.server import Sandbox
from tests.unit.sandbox.conftest import Client


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Three jobs of two teams: one deployed and run, one disabled, one with a schedule only."""
    with Sandbox() as sandbox:
        client, other = Client(sandbox), Client(sandbox, "team-b")
        client.deploy("apples", a="def run(job_input):\n    raise ValueError\n")
        with pytest.MonkeyPatch.context() as patch:
            # So that it takes no second, however busy the machine is.
            moment = datetime.now(UTC)
            patch.setattr(executions, "now", lambda: moment)
            client.run("apples")
        client.deploy("bananas")
        client.call("PATCH", "bananas/deployments/x", json={"enabled": False})
        contacts = {"notified_on_job_deploy": ["a@example.org"]}
        other.create("cherries", "0 3 * * *", contacts=contacts)
        body = {"job_name": "cherries", "description": "Red Fruit", "config": {}}
        body["config"] = {"schedule": {"schedule_cron": "0 3 * * *"}, "contacts": contacts}
        other.call("PUT", "cherries", json=body)
        yield sandbox
        assert sandbox.bugs == []


def ask(client: Client, arguments: str = "", content: str = "jobName") -> Any:
    query = f"{{ jobs(pageNumber: 1, pageSize: 10 {arguments}) {{ content {{ {content} }} }} }}"
    return client.get("", params={"query": query})["data"]["content"]


def names(client: Client, arguments: str) -> list[str]:
    return [row["jobName"] for row in ask(client, arguments)]


@pytest.mark.parametrize(
    ("prop", "pattern", "found"),
    [
        ("jobName", "apples", ["apples"]),
        ("jobName", "APP*", ["apples"]),
        ("jobName", "app", []),
        ("jobName", "*an*s", ["bananas"]),
        ("config.team", "TEAM-B", ["cherries"]),
        ("config.team", "team%", ["apples", "bananas", "cherries"]),
        ("config.team", "team", []),
        ("config.description", "fruit", ["cherries"]),
        ("config.schedule.scheduleCron", "0 3", ["cherries"]),
        ("config.schedule.nextRunEpochSeconds", "-1", ["apples", "bananas"]),
        ("config.contacts.present", "true", ["cherries"]),
        ("config.sourceUrl", "cherr", ["cherries"]),
        ("deployments.enabled", "enabled", ["apples"]),
        ("deployments.enabled", "disabled", ["bananas"]),
        ("deployments.enabled", "not_deployed", ["cherries"]),
        ("deployments.jobPythonVersion", "2.7", []),
        ("deployments.lastExecutionStatus", "USER_ERROR", ["apples"]),
        ("deployments.lastExecutionTime", "20", ["apples"]),
        ("deployments.lastExecutionDuration", "0", ["apples"]),
    ],
)
def test_a_filter_finds(client: Client, prop: str, pattern: str, found: list[str]) -> None:
    assert names(client, f'filter: [{{property: "{prop}", pattern: "{pattern}"}}]') == found


def test_the_last_order_wins(client: Client) -> None:
    order = '{property: "config.team", sort: ASC}, {property: "jobName", sort: DESC}'
    assert names(client, f"filter: [{order}]") == ["cherries", "bananas", "apples"]


def test_a_search_looks_into_the_selected_fields_only(client: Client) -> None:
    assert ask(client, 'search: "fruit"') == []
    found = ask(client, 'search: "fruit"', "jobName config { description }")
    assert [row["jobName"] for row in found] == ["cherries"]


def test_pages_are_cut_and_counted_when_asked(client: Client) -> None:
    query = "{ jobs(pageNumber: 2, pageSize: 2) { content { jobName } totalItems totalPages } }"
    data = client.get("", params={"query": query})["data"]
    assert data == {"content": [{"jobName": "cherries"}], "totalItems": 3, "totalPages": 2}


def test_the_official_command_lines_query_is_answered(client: Client) -> None:
    query = (
        '{ jobs(pageNumber: 1, pageSize: 100, filter: [{ property: "config.team", '
        'pattern: "team-a", sort: ASC }, { property: "jobName", sort: ASC }]) { content { '
        "jobName config { team description schedule { scheduleCron } contacts { "
        "notifiedOnJobDeploy notifiedOnJobSuccess notifiedOnJobFailurePlatformError "
        "notifiedOnJobFailureUserError } }  deployments { enabled status jobVersion "
        "lastDeployedBy lastDeployedDate executions { id type status startTime endTime opId "
        "startedBy } }  }  }  }"
    )
    answer = client.get("", params={"query": query})
    assert answer["errors"] == []
    apples, bananas = answer["data"]["content"]
    assert apples["deployments"][0]["executions"][0]["status"] == "USER_ERROR"
    assert apples["deployments"][0]["executions"][0]["type"] == "MANUAL"
    assert bananas["deployments"][0]["enabled"] is False


def test_executions_are_filtered_over_all_jobs(client: Client) -> None:
    query = (
        "query q($status: [DataJobExecutionStatus]) { executions(pageNumber: 1, pageSize: 9, "
        'filter: {statusIn: $status, teamNameIn: ["team-a"], startTimeGte: "2020-01-01T00:00:00Z"'
        '}, order: {property: "startTime", direction: DESC}) { content { jobName status } '
        "totalItems } }"
    )

    def found(*statuses: str) -> Any:
        variables = json.dumps({"status": statuses})
        params = {"query": query, "operationName": "q", "variables": variables}
        return client.get("", params=params)["data"]

    assert found("USER_ERROR")["content"] == [{"jobName": "apples", "status": "USER_ERROR"}]
    assert found("SUCCEEDED")["totalItems"] == 0


@pytest.mark.parametrize(
    "query",
    [
        '{ jobs(pageNumber: 1, pageSize: 5, filter: [{property: "jobName"}]) { totalItems } }',
        "{ executions(pageNumber: 0) { totalItems } }",
        '{ executions(pageNumber: 1, order: {property: "x"}) { content { id } } }',
        "{ nothing }",
        "query q { jobs(pageNumber: 1) { totalItems } } query r { jobs { totalItems } }",
    ],
)
def test_a_query_that_is_refused_is_400_with_errors(client: Client, query: str) -> None:
    answer = client.call("GET", params={"query": query})
    body = answer.json()
    assert (answer.status_code, body["data"]) == (400, None)
    assert body["errors"][0]["message"]


def test_variables_that_are_not_json_are_400(client: Client) -> None:
    answer = client.call("GET", params={"query": "{ jobs { totalItems } }", "variables": "{"})
    assert answer.status_code == 400
