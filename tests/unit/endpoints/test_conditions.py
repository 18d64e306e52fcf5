"""Each condition on an answer can fail, and says what was there instead."""

from __future__ import annotations

import pytest

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.control.transport import Answer
from pytest_vdkprobe.endpoints.conditions import Conditions
from pytest_vdkprobe.endpoints.settings import EndpointTasksSettings
from pytest_vdkprobe.errors import ConfigError

ANSWER = Answer(
    status=200,
    headers={"content-type": "application/json"},
    body=b'{"Id": "a1", "Type": "Dataset", "parts": [{"n": 1}, {"n": 2}], "on": true}',
    elapsed_s=0.1,
)


@pytest.mark.parametrize(
    "good",
    [
        Conditions(),
        Conditions(status=(200, 204)),
        Conditions(within_s=0.2),
        Conditions(headers={"Content-Type": "json$"}),
        Conditions(body="Data[s]et"),
        Conditions(json={"$.Id": "a1", "$.parts[*].n": 2, "$.on": True}),
        Conditions(json_matches={"$.Id": "^a[0-9]$", "$.parts[0].n": "1"}),
    ],
    ids=str,
)
def test_what_holds_is_no_objection(good: Conditions) -> None:
    assert good.objections(ANSWER, took_s=0.1) == []


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Conditions(status=(204,)), ["200 OK"]),
        (Conditions(within_s=0.05), ["took 0.100 s, more than 0.05 s"]),
        (Conditions(headers={"ETag": "."}), ["header ETag is nothing there"]),
        (Conditions(headers={"Content-Type": "^text"}), ["'application/json'"]),
        (Conditions(body="Nothing"), ["is not like 'Nothing'"]),
        (Conditions(json={"$.Id": "b"}), ["$.Id is 'a1', and not 'b'"]),
        (Conditions(json={"$.on": 1}), ["$.on is True"]),
        (Conditions(json={"$.none": 1}), ["$.none is nothing there"]),
        (Conditions(json_matches={"$.Type": "^x"}), ["$.Type is 'Dataset'"]),
        (Conditions(within_s=0.05, body="Nothing"), ["took", "Nothing"]),
    ],
    ids=str,
)
def test_what_does_not_hold_is_told(wanted: Conditions, said: list[str]) -> None:
    found = wanted.objections(ANSWER, took_s=0.1)
    assert len(found) == len(said)
    for text, expected in zip(found, said, strict=True):
        assert expected in text


def test_body_that_is_no_json_is_told_as_such() -> None:
    answer = Answer(status=200, headers={}, body=b"<html>", elapsed_s=0.0)
    (said,) = Conditions(json={"$.Id": 1}).objections(answer, took_s=0)
    assert said == "body '<html>' is not JSON"


@pytest.mark.parametrize(
    ("setting", "key", "said"),
    [
        ({"interval_s": 0}, "interval_s", "0.0005 seconds or more"),
        ({"interval_s": -1}, "interval_s", "0.0005 seconds or more"),
        ({"tasks": 0}, "tasks", "at least 1"),
        ({"url": "ftp://x"}, "url", "http"),
        ({"expect": {"body": "("}}, "expect.body", "no regular expression"),
        ({"expect": {"json": {"$.a[": 1}}}, "expect.json", "no JSONPath"),
        ({"latency": {"p95": 1.0}}, "latency", "p95 is none of p50"),
        ({"allow": {"failed_share": 2}}, "allow.failed_share", "share"),
        ({"intervall_s": 1}, "intervall_s", "interval_s"),
        ({"body": "a", "json": {}}, "json", "one body"),
    ],
    ids=str,
)
def test_unusable_setting_is_named_with_a_remedy(
    setting: dict[str, object], key: str, said: str
) -> None:
    table = {"name": "api", "url": "http://127.0.0.1:9/x", **setting}
    configuration = from_tables("test.toml", {"endpoints": [table]}, environ={})
    with pytest.raises(ConfigError) as caught:
        configuration.sections("endpoints", EndpointTasksSettings)
    assert f"endpoints.0.{key}".split(".json")[0] in str(caught.value)
    assert said in str(caught.value)
