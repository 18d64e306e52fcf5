"""The `[legacy]` section: what a vdk-heartbeat configuration says that no other section holds.

Its database and ingestion keys are kept, typed, for the scenarios that will play them; a native
file can have the section too, since that is what a migrated ini turns into.
"""

from __future__ import annotations

import re

import msgspec

from pytest_vdkprobe.config.filepath import FilePath
from pytest_vdkprobe.config.secretref import SecretRef


class LegacyDatabase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """DATABASE_*: the database that vdk-heartbeat's run tests read to verify."""

    host: str | None = None
    port: int = 8080
    user: str | None = None
    password: SecretRef | None = None
    use_ssl: bool = True
    verify_ssl: bool = True
    mechanism: str | None = None
    """Impala's authentication mechanism."""
    schema: str = "taurus_testing_sandbox"
    """DATABASE_TEST_DB; for Trino `catalog.schema`."""
    table_source: str | None = None
    table_destination: str | None = None
    table_load_destination: str | None = None
    timeout_s: float = 180.0

    def table(self, role: str, op_id: str) -> str:
        """The table of a role: `source`, `destination` or `load_destination`."""
        given: str | None = getattr(self, f"table_{role}")
        return given or f"vdk_heartbeat_{role}_{re.sub('[^a-z0-9_]', '_', op_id.lower())}"


class LegacyIngestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """VDK_HEARTBEAT_INGEST_*: what its ingestion job was told."""

    method: str = "http"
    target: str = "vdk-heartbeat-datasource"
    table: str = "vdk_heartbeat_ingestion_test"
    timeout_s: float = 300.0


class LegacySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rest of vdk-heartbeat's keys, with its defaults."""

    junit_path: FilePath | None = None
    """Where to write the JUnit report; none when the key is empty."""
    op_id: str | None = None
    """VDK_HEARTBEAT_OP_ID; where it is not set, the run's own id takes its place."""
    check_manual_job_execution: bool = True
    check_template_execution: bool = True
    clean_up_on_failure: bool = True
    run_test_module: str | None = None
    run_test_class: str | None = None
    run_test_timeout_s: float = 1200.0
    keys: dict[str, str | SecretRef] = {}
    """Keys that only a run test of the user's own reads, by its `config.get_value`."""
    database: LegacyDatabase = LegacyDatabase()
    ingestion: LegacyIngestion = LegacyIngestion()
