"""What a run test of vdk-heartbeat's kind is constructed with: its `Config`, filled from ours.

Users' classes read attributes of that object and call its `get_value`; each is here under its own
name and with its own meaning. Only what they do with a secret can't be watched: the attributes that
hold one give it in plain, as they always did, and the redactor knows it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_vdkprobe.config.heartbeat_keys import KEYS
from pytest_vdkprobe.config.legacy import LegacySettings
from pytest_vdkprobe.config.origin import as_key
from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.control.settings import ApiTokenSettings, ControlSettings
from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    from pytest_vdkprobe.config import Configuration
    from pytest_vdkprobe.jobs.settings import JobSettings


ATTRIBUTES = {
    "CONTROL_API_URL": "control_api_url",
    "VDK_HEARTBEAT_CONTROL_SERVICE_URL": "control_api_url",
    "VDKCLI_OAUTH2_REFRESH_TOKEN": "vdkcli_api_refresh_token",
    "VDK_HEARTBEAT_API_TOKEN": "vdkcli_api_refresh_token",
    "VDKCLI_OAUTH2_URI": "vdkcli_oauth2_uri",
    "VDK_HEARTBEAT_API_TOKEN_AUTH_URL": "vdkcli_oauth2_uri",
    "VDK_HEARTBEAT_OP_ID": "op_id",
    "JOB_NAME": "job_name",
    "JOB_TEAM": "job_team",
    "JOB_NOTIFICATION_MAIL": "job_notification_mail",
    "DATAJOB_DIRECTORY_PARENT": "data_job_directory_parent",
    "DATAJOB_DIRECTORY_NAME": "data_job_directory_name",
    "JOB_RUN_TEST_MODULE_NAME": "database_test_module_name",
    "JOB_RUN_TEST_CLASS_NAME": "database_test_class_name",
    "RUN_TEST_TIMEOUT_SECONDS": "RUN_TEST_TIMEOUT_SECONDS",
    "CHECK_MANUAL_JOB_EXECUTION": "check_manual_job_execution",
    "CHECK_TEMPLATE_EXECUTION": "check_template_execution",
    "CLEAN_UP_ON_FAILURE": "clean_up_on_failure",
    "REPORT_JUNIT_XML_FILE_PATH": "report_junit_xml_file_path",
    "VDK_HEARTBEAT_DEPLOY_JOB_VDK_VERSION": "deploy_job_vdk_version",
    "DATAJOB_DEPLOYMENT_PYTHON_VERSION": "deploy_job_python_version",
    "DB_DEFAULT_TYPE": "db_default_type",
    "DATABASE_AUTHENTICATION_MECHANISM": "DATABASE_AUTHN_TYPE",
    "VDK_HEARTBEAT_INGEST_METHOD": "INGEST_METHOD",
    "VDK_HEARTBEAT_INGEST_TARGET": "INGEST_TARGET",
    "VDK_HEARTBEAT_INGEST_DESTINATION_TABLE": "INGEST_DESTINATION_TABLE",
    "VDK_HEARTBEAT_INGEST_TIMEOUT": "INGEST_TIMEOUT",
    **{
        name: name
        for name in KEYS
        if name.startswith("DATABASE_") and name != "DATABASE_AUTHENTICATION_MECHANISM"
    },
}
"""Which attribute has the value of each of its own keys."""


class HeartbeatConfig:
    """The attributes and methods of vdk-heartbeat's `Config`."""

    def __init__(
        self, configuration: Configuration, job: JobSettings, *, run_id: str, job_name: str
    ) -> None:
        self._configuration = configuration
        self._legacy = legacy = configuration.section("legacy", LegacySettings)
        control = configuration.section("control", ControlSettings)
        self._auth = control.auth
        self.op_id = legacy.op_id or run_id
        self.control_api_url = control.url
        self.job_name = job_name
        self.job_team = job.team or control.team
        mail = () if job.contacts is None else job.contacts.notified_on_job_deploy
        self.job_notification_mail = ";".join(mail) or None
        parent, _, name = (job.path or "").rpartition("/")
        self.data_job_directory_parent = parent or None
        self.data_job_directory_name = name or job.template
        self.deploy_job_vdk_version = job.vdk_version
        self.deploy_job_python_version = job.python_version
        self.db_default_type = job.db_default_type or "IMPALA"
        run_test = job.run_test
        self.database_test_module_name = run_test and run_test.module
        self.database_test_class_name = run_test and run_test.class_name
        self.vdk_command_name = "vdkcli"
        self.clean_up_on_failure = legacy.clean_up_on_failure
        self.check_manual_job_execution = legacy.check_manual_job_execution
        self.check_template_execution = legacy.check_template_execution
        self.report_junit_xml_file_path = legacy.junit_path
        self.RUN_TEST_TIMEOUT_SECONDS = int(legacy.run_test_timeout_s)
        database = legacy.database
        self.DATABASE_HOST = database.host
        self.DATABASE_PORT = database.port
        self.DATABASE_USER = database.user
        self.DATABASE_USE_SSL = database.use_ssl
        self.DATABASE_VERIFY_SSL = database.verify_ssl
        self.DATABASE_AUTHN_TYPE = database.mechanism
        self.DATABASE_TEST_DB = database.schema
        self.DATABASE_TEST_TABLE_SOURCE = database.table("source", self.op_id)
        self.DATABASE_TEST_TABLE_DESTINATION = database.table("destination", self.op_id)
        self.DATABASE_TEST_TABLE_LOAD_DESTINATION = database.table("load_destination", self.op_id)
        self.DATABASE_CONNECTION_TIMEOUT_SECONDS = int(database.timeout_s)
        self.INGEST_TARGET = legacy.ingestion.target
        self.INGEST_METHOD = legacy.ingestion.method
        self.INGEST_DESTINATION_TABLE = legacy.ingestion.table
        # A text there, and whoever reads it makes a number of it.
        self.INGEST_TIMEOUT = f"{legacy.ingestion.timeout_s:g}"

    @property
    def DATABASE_PASS(self) -> str | None:  # noqa: N802 - vdk-heartbeat's name
        """The database's password, in plain."""
        return self._plain(self._legacy.database.password, "legacy.database.password")

    @property
    def vdkcli_api_refresh_token(self) -> str | None:
        """The API token, in plain."""
        token = self._auth.token if isinstance(self._auth, ApiTokenSettings) else None
        return self._plain(token, "control.auth.token")

    @property
    def vdkcli_oauth2_uri(self) -> str | None:
        """Where the token is exchanged."""
        return self._auth.url if isinstance(self._auth, ApiTokenSettings) else None

    def get_value(self, key: str, default_value: Any = None, is_required: bool = True) -> Any:
        """A key, the user's own too: the environment before the file, then the default."""
        value: Any = os.environ.get(key) or self._kept(key.upper()) or default_value
        if not value and is_required:
            raise ConfigError(
                f"The run test asks for {key}, which is not set.",
                key=key,
                to_try=f"set it in the environment, or as legacy.keys.{key}",
            )
        return value

    def _kept(self, name: str) -> str | None:
        """What the file says at that key; an ini's keys are the same in capitals or without."""
        kept: Mapping[str, str | SecretRef] = self._legacy.keys
        value = kept.get(name)
        if isinstance(value, SecretRef):
            return self._plain(value, f"legacy.keys.{name}")
        if value is not None or name not in ATTRIBUTES:
            return value
        if self._configuration.origin(as_key(KEYS[name])).kind == "default":
            return None
        given = getattr(self, ATTRIBUTES[name])
        # Texts there, whatever they stand for.
        return str(given).lower() if isinstance(given, bool) else given and str(given)

    def _plain(self, ref: SecretRef | None, key: str) -> str | None:
        if ref is None:
            return None
        return ref.resolve(base_dir=self._configuration.base_dir, key=key).reveal()
