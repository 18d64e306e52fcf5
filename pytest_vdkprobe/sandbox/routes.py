"""The routes of `--vdk-config=sandbox`: one for each chain that the sandbox has.

Their ends say `{kafka_servers}` and the like, which starts an engine when the first passage needs
it; every passage has a table, topic or file of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

OBJECT = "vdkprobe_{run}_{route}_{profile}_{way}"
"""What a passage's table or topic is called."""


def routes(*, url: str, folder: Path) -> list[dict[str, Any]]:
    """The `[[routes]]` of a sandbox that answers at `url` and writes below `folder`."""
    file = str(folder / "ingested" / f"{OBJECT}.json")
    found: list[dict[str, Any]] = [
        {
            "name": "file",
            "target": {"kind": "file", "path": file, "create": True},
            "reader": {"kind": "file", "path": file},
        },
        {
            "name": "kafka",
            "target": {**_kafka(), "topic": OBJECT, "create": True},
            "reader": {**_kafka(), "topic": OBJECT},
        },
    ]
    return [{"profiles": ["small", "typed"], **route} for route in found]


def _kafka() -> dict[str, Any]:
    return {"kind": "kafka", "servers": ["{kafka_servers}"]}
