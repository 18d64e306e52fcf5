"""`--vdk-report`: a run as JSON, for machines. The keys are a contract; new ones may be added."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pytest_vdkprobe.durable import write_durably
from pytest_vdkprobe.journeys.results import Results, as_entry
from pytest_vdkprobe.secrets import redact

FORMAT = 1
"""Raised when a key changes its meaning or goes."""


def write_report(
    path: Path, results: Results, exit_code: int, added: dict[str, Any] | None = None
) -> None:
    """Write the file, whole or not at all. Nothing in it is secret: who collects it may read it.

    Raises OSError.
    """
    document = as_document(results, exit_code) | ({"added": added} if added else {})
    text = json.dumps(document, indent=2, ensure_ascii=False)
    content = (redact(text) + "\n").encode("utf-8", "backslashreplace")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        # A link, a pipe or a device is written to, never replaced: root could replace /dev/null.
        path.write_bytes(content)
        return
    write_durably(path, content)
    path.chmod(0o644)


def as_told(results: Results, exit_code: int) -> dict[str, Any]:
    """The report as hooks are given it: a copy, and as redacted as the file."""
    told: dict[str, Any] = json.loads(redact(json.dumps(as_document(results, exit_code))))
    return told


def as_document(results: Results, exit_code: int) -> dict[str, Any]:
    """The report as plain data."""
    run = results.run
    return {
        "format": FORMAT,
        "run_id": run.run_id,
        "started_at": run.started_at.isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        "verdict": str(results.verdict),
        "exit_code": exit_code,
        "quick": run.quick,
        "versions": {
            "pytest-vdkprobe": _version("pytest-vdkprobe"),
            "pytest": _version("pytest"),
            "python": platform.python_version(),
        },
        "configuration": {
            "name": run.configuration.name,
            "kind": run.configuration.kind,
            "settings": [
                {"key": key, "value": str(value), "source": source}
                for key, value, source in run.configuration.settings()
            ],
        },
        "journeys": [
            {
                "journey": journey,
                "verdict": str(results.verdict_of(journey)),
                "steps": [as_entry(step) for step in steps],
                "cleanup": [as_entry(s) for s in results.cleanup if s["journey"] == journey],
            }
            for journey, steps in results.journeys.items()
        ],
        "sweep": {
            "done": results.swept,
            "problem": None if results.sweep_problem is None else str(results.sweep_problem),
        },
        "history": results.history,
        "problems": [str(problem) for problem in results.problems],
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
