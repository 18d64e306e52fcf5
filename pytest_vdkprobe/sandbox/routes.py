"""The routes of `--vdk-config=sandbox`, one for each chain that the sandbox has; its endpoints.

The routes' ends say `{kafka_servers}` and the like, which starts an engine when the first passage
needs it; every passage has a table, topic or file of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

OBJECT = "vdkprobe_{run}_{route}_{profile}_{way}"
"""What a passage's table or topic is called."""

KAFKA: dict[str, Any] = {"kind": "kafka", "servers": ["{kafka_servers}"]}
POSTGRES: dict[str, Any] = {
    "kind": "postgres",
    "host": "{postgres_host}",
    "port": "{postgres_port}",
    "user": "{postgres_user}",
    "database": "postgres",
    "table": OBJECT,
}
TRINO: dict[str, Any] = {
    "kind": "trino",
    "host": "{trino_host}",
    "port": "{trino_port}",
    "user": "{trino_user}",
    "table": f"memory.default.{OBJECT}",
}


JOB_VDK: dict[str, Any] = {"ingestion_payload_aggregator_timeout_seconds": 1}
"""VDK's ingestion waits two seconds for more records before it sends the last ones."""
JOB: dict[str, Any] = {"records": 200, "vdk": JOB_VDK}
"""Quick, since what a job costs is its start, whatever it sends."""


def tables(*, by_job: bool) -> list[dict[str, Any]]:
    """The `[[tables]]` of a sandbox; the instant executor runs no SQL, so the probe moves then."""
    places: dict[str, dict[str, Any]] = {
        "trino": {name: TRINO[name] for name in ("kind", "host", "port", "user")}
        | {"catalog": "memory", "schema": "default"},
        "postgres": {name: part for name, part in POSTGRES.items() if name != "table"},
    }
    by = {"by": "job", "vdk": dict(JOB_VDK)} if by_job else {"by": "probe"}
    return [{"name": kind, "database": place, **by} for kind, place in places.items()]


def routes(*, url: str, folder: Path, jobs: bool) -> list[dict[str, Any]]:
    """The `[[routes]]` of a sandbox that answers at `url` and writes below `folder`.

    With `jobs` their records are also sent by data jobs, which takes the real vdk.
    """
    file = str(folder / "ingested" / f"{OBJECT}.json")
    ingest = {"kind": "http", "url": f"{url}/sandbox/ingest", "table": OBJECT}
    ends: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("file", {"kind": "file", "path": file, "create": True}, {"kind": "file", "path": file}),
        ("kafka", {**KAFKA, "topic": OBJECT, "create": True}, {**KAFKA, "topic": OBJECT}),
        ("postgres", {**POSTGRES, "create": True}, POSTGRES),
        ("trino", {**TRINO, "create": True}, TRINO),
        (
            "http-postgres",
            {**ingest, "url": f"{ingest['url']}/postgres"},
            {**POSTGRES, "create": True},
        ),
        ("http-trino", {**ingest, "url": f"{ingest['url']}/trino"}, {**TRINO, "create": True}),
        (
            "kafka-postgres",
            {**KAFKA, "topic": f"to-postgres.{OBJECT}", "create": True},
            {**POSTGRES, "create": True},
        ),
    ]
    found: list[dict[str, Any]] = []
    for name, target, reader in ends:
        route: dict[str, Any] = {"name": name, "target": target, "reader": reader}
        route["profiles"] = ["small", "typed"]
        if jobs:
            route |= {"ways": ["direct", "job"], "job": JOB}
        if jobs and target["kind"] == "postgres":
            # Of batches that come at once, vdk-postgres commits only those on its last connection.
            route["job"] = {**JOB, "vdk": {**JOB_VDK, "ingester_number_of_worker_threads": 1}}
        found.append(route)
    return found


def endpoints(*, url: str, ca_file: Path | None) -> list[dict[str, Any]]:
    """The `[[endpoints]]`: the local service, called often enough to be quick."""
    return [
        {
            "name": "local",
            "url": f"{url}/metadata/sandbox",
            **({} if ca_file is None else {"ca_file": str(ca_file)}),
            "interval_s": 0.2,
            "tasks": 10,
            "table_s": 30.0,
            "expect": {
                "headers": {"Content-Type": "application/json"},
                "json": {"$.Id": "sandbox", "$.Type": "Dataset"},
            },
        }
    ]


def events(*, url: str, login: dict[str, Any] | None, ca_file: Path | None) -> list[dict[str, Any]]:
    """The `[[events]]`: the sandbox's own pipeline, with the login that its collector wants."""
    trust = {} if ca_file is None else {"ca_file": str(ca_file)}
    auth = {} if login is None else {"auth": login}
    base = f"{url}/sandbox/events"
    return [
        {
            "name": "pipeline",
            "interval_s": 0.2,
            "events": 10,
            "within_s": 5.0,
            "late_s": 5.0,
            "quiet_s": 0.3,
            "table_s": 30.0,
            "target": {
                "kind": "http",
                "url": f"{base}/collect/sandbox/1",
                "layout": "event",
                **auth,
                **trust,
            },
            "reader": {
                "kind": "websocket",
                "url": f"ws{base.removeprefix('http')}/listen",
                "query": {"dataset_id": "sandbox"},
                "authorizer": {"url": f"{base}/authorizer/sandbox/webhook", **auth, **trust},
                "listeners": 2,
                "stagger_s": 0.5,
                **trust,
            },
        }
    ]
