"""A stand-in for vdk's IJobInput that is as strict as vdk about properties."""

from __future__ import annotations

import importlib.util
import sqlite3
from pathlib import Path
from typing import Any

from pytest_vdkprobe.jobs.template import RenderedJob

OPEN: list[sqlite3.Connection] = []
"""To be closed by whoever lets steps run."""


class FakeJobInput:
    """What a step sees of vdk; SQL goes to an in-memory SQLite."""

    def __init__(
        self,
        folder: Path,
        arguments: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.arguments = arguments
        self.properties = dict(properties or {})
        self.database = sqlite3.connect(":memory:")
        OPEN.append(self.database)

    def get_job_directory(self) -> Path:
        return self.folder

    def get_arguments(self) -> dict[str, Any] | None:
        return self.arguments

    def get_all_properties(self) -> dict[str, Any]:
        return dict(self.properties)

    def get_property(self, name: str, default_value: Any = None) -> Any:
        return self.properties.get(name, default_value)

    def set_all_properties(self, properties: dict[str, Any]) -> None:
        for name, value in properties.items():
            # vdk-core 0.3, DataJobsServiceProperties: no bool.
            if type(value) not in (int, float, str, list, dict, type(None)):
                raise ValueError(f"Value {value} for property {name} is of unsupported type")
        self.properties = dict(properties)

    def execute_query(self, sql: str) -> list[tuple[Any, ...]]:
        for name, value in (self.properties | (self.arguments or {})).items():
            sql = sql.replace("{" + name + "}", str(value))
        rows = self.database.execute(sql).fetchall()
        self.database.commit()
        return rows


def unpack(job: RenderedJob, folder: Path) -> Path:
    """Write a rendered job's files."""
    for name, content in job.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def run_step(job_input: FakeJobInput, name: str) -> None:
    """Run one step as vdk does."""
    path = job_input.folder / name
    if path.suffix == ".sql":
        job_input.execute_query(path.read_text())
        return
    spec = importlib.util.spec_from_file_location("step_" + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.run(job_input=job_input)
