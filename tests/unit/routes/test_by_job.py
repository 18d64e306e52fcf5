"""What a data job is told of a route, and what keeps one from sending into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_vdkprobe.accounting.profiles import PROFILES
from pytest_vdkprobe.config import Configuration, from_tables
from pytest_vdkprobe.readers.returned import ReturnedFileReader
from pytest_vdkprobe.routes.problems import find_problems
from pytest_vdkprobe.routes.route import Route, passages
from pytest_vdkprobe.routes.settings import JOB
from pytest_vdkprobe.routes.trial import trials

CONTROL = {"url": "http://127.0.0.1:9", "team": "platform"}
FILE = {"kind": "file", "path": "in/{run}.json"}
HTTP = {"kind": "http", "url": "http://127.0.0.1:9/in", "table": "t_{way}"}
KAFKA = {"kind": "kafka", "servers": ["a:9092", "b:9092"], "topic": "t_{profile}"}
TRINO = {"kind": "trino", "host": "trino.example.org", "table": "lake.probe.t", "tls": {}}
POSTGRES = {
    "kind": "postgres",
    "host": "pg.example.org",
    "user": "probe",
    "database": "lake",
    "table": "t",
}


def configured(
    target: dict[str, Any], *, control: bool = True, reader: dict[str, Any] = FILE, **more: Any
) -> Configuration:
    route = {"name": "r one", "target": target, "reader": reader, "ways": ["job"], **more}
    tables: dict[str, Any] = {"routes": [route]}
    if control:
        tables["control"] = CONTROL
    return from_tables("platform.toml", tables, environ={})


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (FILE, ("file", "in/0123abcd", "records", {})),
        (HTTP, ("http", "http://127.0.0.1:9/in", "t_job", {})),
        (KAFKA, ("kafka", "a:9092,b:9092", "t_small", {})),
        (
            TRINO,
            (
                "trino",
                None,
                "lake.probe.t",
                {
                    "trino_host": "trino.example.org",
                    "trino_port": 443,
                    "trino_user": "vdkprobe",
                    "trino_use_ssl": True,
                },
            ),
        ),
        (
            POSTGRES,
            (
                "postgres",
                None,
                "t",
                {
                    "postgres_host": "pg.example.org",
                    "postgres_port": 5432,
                    "postgres_user": "probe",
                    "postgres_dbname": "lake",
                    "postgres_password": "none",
                },
            ),
        ),
    ],
    ids=["file", "http", "kafka", "trino", "postgres"],
)
def test_what_the_job_is_told_follows_from_the_target(
    target: dict[str, Any], told: tuple[Any, ...], tmp_path: Path
) -> None:
    configuration = configured(target)
    assert find_problems(configuration) == []
    route = Route(configuration, "r one", run_id="0123abcd", folder=tmp_path)
    found = route.instructions(PROFILES["small"])
    place = found.target
    if target is FILE:
        assert place is not None
        assert place.endswith("in/0123abcd")
        place = "in/0123abcd"
    assert (found.method, place, found.table, dict(found.vdk)) == told
    assert found.read_back is (target is FILE)
    assert found.requirements == (("kafka-python",) if target is KAFKA else ())


def test_what_the_route_says_of_its_job_goes_first(tmp_path: Path) -> None:
    job = {"method": "HTTP", "target": "http://in/{way}", "table": "x", "vdk": {"team": "blue"}}
    configuration = configured(KAFKA, job=job)
    route = Route(configuration, "r one", run_id="0123abcd", folder=tmp_path)
    found = route.instructions(PROFILES["small"])
    assert (found.method, found.target, found.table) == ("http", "http://in/job", "x")
    assert found.vdk == {"team": "blue"}


@pytest.mark.parametrize(
    ("more", "key", "told"),
    [
        ({"ways": ["jop"]}, "routes.0.ways.0", "one of direct, job"),
        ({"ways": []}, "routes.0.ways", "sends nothing"),
        ({"ways": ["direct"], "job": {"records": 5}}, "routes.0.job", "no way of the route needs"),
        ({"job": {"records": 0}}, "routes.0.job.records", "one record at least"),
        ({"job": {"profiles": ["smal"]}}, "routes.0.job.profiles.0", "small"),
        ({"job": {"table": "t_{profil}"}}, "routes.0.job.table", "did you mean {profile}"),
        ({"job": {"metod": "x"}}, "routes.0.job.metod", "did you mean method"),
        ({"job": {"name": "Ünfit"}}, "routes.0.job.name", "would refuse this name"),
        ({"job": {"vdk": {"a_password": "x"}}}, "routes.0.job.vdk.a_password", "secret"),
        ({"job": {"path": "nowhere"}}, "routes.0.job.path", "does not exist"),
        ({"job": {"kafka": {"sasl_plain_password": "x"}}}, "routes.0.job.kafka.sasl", "secret"),
        ({"target": {**KAFKA, "tls": {}}}, "routes.0.target.tls", "not told of the brokers TLS"),
        ({"control": False}, "routes.0.ways", "no Control Service"),
        ({"target": TRINO, "profiles": ["typed"]}, "routes.0.profiles.0", "can't carry"),
        (
            {"target": {**HTTP, "auth": {"kind": "bearer", "token": {"env": "T"}}}},
            "routes.0.target.auth",
            "sends no login",
        ),
        (
            {"target": {**HTTP, "secret_headers": {"X-Key": {"env": "T"}}}},
            "routes.0.target.secret_headers",
            "sends no login",
        ),
    ],
    ids=lambda part: part if isinstance(part, str) else None,
)
def test_what_keeps_a_job_from_sending_is_named_with_its_key(
    more: dict[str, Any], key: str, told: str
) -> None:
    found = find_problems(configured(**{"target": HTTP, **more}))
    assert len(found) == 1, found
    text = str(found[0])
    assert key in text
    assert told in text.replace("'", "") or told in text


def test_job_sends_the_first_profile_unless_it_is_told_which(tmp_path: Path) -> None:
    def sent(**more: Any) -> list[tuple[str, str, int]]:
        configuration = configured(HTTP, ways=["direct", "job"], **more)
        return [
            (way, profile, settings.records_of(way))
            for _, way, profile, settings, _ in passages(configuration, run_id="0123abcd")
        ]

    both = {"profiles": ["small", "typed"]}
    direct = [("direct", "small", 1000), ("direct", "typed", 1000)]
    assert sent(**both) == [*direct, ("job", "small", 1000)]
    job = {"profiles": ["typed"], "records": 7}
    assert sent(**both, job=job) == [*direct, ("job", "typed", 7)]


def test_job_reads_its_own_file_back_and_nothing_is_made_here(tmp_path: Path) -> None:
    configuration = configured({**FILE, "path": str(tmp_path / "deep" / "in.json")})
    with Route(configuration, "r one", run_id="0123abcd", folder=tmp_path) as route:
        passage = route.passage(PROFILES["small"], way=JOB)
        passage.prepare()
        assert isinstance(passage.reader, ReturnedFileReader)
        assert not (tmp_path / "deep").exists()


def test_what_only_a_job_reaches_is_not_tried_from_here() -> None:
    def tried(ways: list[str], target: dict[str, Any]) -> list[str]:
        configuration = configured(target, ways=ways, reader={**POSTGRES, "create": True})
        return [what for what, _ in trials(configuration)]

    assert tried(["job"], HTTP) == ["r one, reader"]
    assert tried(["direct", "job"], HTTP) == ["r one, target", "r one, reader"]
    assert tried(["job"], KAFKA) == ["r one, target", "r one, reader"]
