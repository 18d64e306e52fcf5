"""[[pipelines]] that run already: what is refused before anything is created, where they are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_vdkprobe.config import from_tables
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.pipeline.settings import PipelineDatabase, PipelineKafka, PipelineSettings
from pytest_vdkprobe.pipelines.find import ends, find_problems, interruptions, plan
from pytest_vdkprobe.pipelines.place import Running, RunningDatabase, RunningKafka
from pytest_vdkprobe.pipelines.settings import USUAL

KAFKA = {"servers": ["kafka.example.org:9092"]}
DATABASE = {"host": "postgres.example.org", "user": "me", "database": "db"}
PIPELINE: dict[str, Any] = {
    "kafka": {**KAFKA, "topic": "checks"},
    "database": {**DATABASE, "schema": "sites"},
}


def tables(**settings: object) -> dict[str, Any]:
    return {
        "pipeline": PIPELINE,
        "pipelines": [{"name": "live", "running": True, **settings}],
    }


def problems(given: dict[str, Any]) -> list[ConfigError]:
    return find_problems(from_tables("test.toml", given, environ={}))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"interruptions": ["consumer-killed"]}, "interruptions: nothing is started or killed"),
        ({"interruptions": list(USUAL)}, "interruptions: nothing is started or killed"),
        ({"shards": 2}, "shards: has no effect"),
        ({"restart": {"broker": ["true"]}}, "restart: has no effect"),
        ({"command": ["true"]}, "command: has no effect"),
    ],
)
def test_nothing_may_be_started_or_killed_of_what_runs(
    settings: dict[str, Any], words: str
) -> None:
    (problem,) = problems(tables(**settings))
    key, _, what = words.partition(": ")
    assert what in str(problem)
    assert problem.file == "test.toml"
    assert (problem.key or "").endswith(key)


def test_what_runs_needs_the_section_that_it_runs_with() -> None:
    (problem,) = problems({"pipelines": tables()["pipelines"]})
    assert "nothing says where" in str(problem)
    assert "write the section [pipeline]" in str(problem)


def test_what_is_started_needs_servers_of_its_own() -> None:
    (problem,) = problems({"pipeline": PIPELINE, "pipelines": [{"name": "own"}]})
    assert "kafka" in (problem.key or "")
    assert "is missing" in str(problem)


def test_a_placeholder_that_nothing_fills_is_named() -> None:
    own = {"name": "own", "kafka": KAFKA, "database": {**DATABASE, "host": "{database}"}}
    (problem,) = problems({"pipelines": [own]})
    assert "Nothing is known to fill in for {database}." in str(problem)
    assert problem.key == "pipelines.0.database.host"


def test_what_runs_has_the_servers_of_its_section_or_a_user_of_its_own() -> None:
    own = {**DATABASE, "user": "probe"}
    configuration = from_tables("test", tables(database=own, interruptions=["none"]), environ={})
    assert find_problems(configuration) == []
    kafka, database = ends(configuration, {})
    assert isinstance(kafka, RunningKafka)
    assert kafka.servers == ("kafka.example.org:9092",)
    assert getattr(database, "user", None) == "probe"
    assert interruptions(configuration, "live") == ["none"]
    (line,) = plan(configuration, run_id="12345678")
    for word in ("8 websites in schema sites", "topic checks", "starts and stops nothing"):
        assert word in line


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Running, PipelineSettings),
        (RunningKafka, PipelineKafka),
        (RunningDatabase, PipelineDatabase),
    ],
)
def test_what_is_read_of_the_section_has_its_defaults(
    ours: type[msgspec.Struct], theirs: type[msgspec.Struct]
) -> None:
    defaults = {field.name: field.default for field in msgspec.structs.fields(theirs)}
    for field in msgspec.structs.fields(ours):
        assert field.default == defaults[field.name], field.name
