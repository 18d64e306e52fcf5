"""The `IJobInput` that the instant executor hands to a step: its simple, honest part.

Names and meaning are those of the real interface. What it can't do raises `Unsupported`, which no
job should catch: a check that passes because nothing was ingested would be worse than none.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NoReturn

from pytest_vdkprobe.sandbox.executor import JobRun, JSONObject
from pytest_vdkprobe.sandbox.job_documents import DocumentClient

ALLOWED = (int, float, str, list, type(None))
"""Types of a property's value. The real vdk compares exactly: a bool is refused, though an int."""


class SkipRest(BaseException):
    """The step asked to end the job here."""


class Unsupported(BaseException):
    """The step asked for something that only the real vdk does."""


class InstantJobInput:
    """What a step gets as `job_input`."""

    def __init__(self, run: JobRun) -> None:
        self._run = run
        self._started = time.time()
        self._client = DocumentClient(run)
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Give back connection and temporary folder."""
        self._client.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def get_name(self) -> str:
        """The job's name."""
        return self._run.job_name

    def get_job_directory(self) -> Path:
        """The folder of the deployed code."""
        return self._run.sources

    def get_temporary_write_directory(self) -> Path:
        """A folder of this run's own."""
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="vdkprobe-job-")
        return Path(self._temporary.name)

    def get_execution_properties(self) -> JSONObject:
        """Ids and start time of this execution, under vdk's own names."""
        return {
            "pa__execution_id": self._run.execution_id,
            "pa__op_id": self._run.op_id,
            "pa__job_start_unixtime": str(int(self._started)),
        }

    def get_arguments(self) -> JSONObject:
        """The arguments of the start call."""
        return dict(self._run.arguments)

    def get_property(self, name: str, default_value: object = None) -> object:
        """One property, or the default."""
        return self.get_all_properties().get(name, default_value)

    def get_all_properties(self) -> JSONObject:
        """All properties, read from the service."""
        return self._client.read("properties")

    def set_all_properties(self, properties: JSONObject) -> None:
        """Replace all properties; raises ValueError for a value that vdk does not take."""
        self._client.write("properties", _checked(properties))

    def get_secret(self, key: str, default_value: object = None) -> object:
        """One secret, or the default."""
        return self.get_all_secrets().get(key, default_value)

    def get_all_secrets(self) -> JSONObject:
        """All secrets, read from the service."""
        return self._client.read("secrets")

    def set_all_secrets(self, secrets: JSONObject) -> None:
        """Replace all secrets."""
        self._client.write("secrets", _checked(secrets))

    def skip_remaining_steps(self) -> NoReturn:
        """End the job successfully after this call."""
        raise SkipRest

    def execute_query(self, sql: str) -> NoReturn:
        """Not here."""
        raise Unsupported(f"queries ({sql[:60]})")

    def get_managed_connection(self) -> NoReturn:
        """Not here."""
        raise Unsupported("database connections")

    def execute_template(
        self, template_name: str, template_args: JSONObject, database: str = "default"
    ) -> NoReturn:
        """Not here."""
        raise Unsupported(f"templates ({template_name} on {database}: {sorted(template_args)})")

    def send_object_for_ingestion(self, *_args: object, **_options: object) -> NoReturn:
        """Not here."""
        raise Unsupported("ingestion")

    def send_tabular_data_for_ingestion(self, *_args: object, **_options: object) -> NoReturn:
        """Not here."""
        raise Unsupported("ingestion")


def _checked(values: JSONObject) -> JSONObject:
    for name, value in values.items():
        if type(value) not in ALLOWED:
            raise ValueError(
                f"The value of {name!r} is a {type(value).__name__}; "
                "int, float, str, list and None are allowed."
            )
    return values
