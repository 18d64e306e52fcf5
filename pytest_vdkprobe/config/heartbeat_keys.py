"""vdk-heartbeat's settings as it reads them: ini section DEFAULT, environment over it.

Its names, defaults and fallbacks are kept; these traps of its reader are not:

- an empty value counts as not set everywhere, so a fallback key or the default takes its place
  (there, an empty key hid its fallback); only an empty REPORT_JUNIT_XML_FILE_PATH says "none";
- `1`, `y` and `on` are true for every yes/no key (there, `DATABASE_VERIFY_SSL=1` switched the
  verification off), and what is neither yes nor no is refused (there, it was no);
- a `%` that breaks the ini's interpolation is refused with the key and the cure;
- an unknown key, another section, a missing file are told (there, they were passed over).
"""

from __future__ import annotations

import configparser
import math
import re
from collections.abc import Mapping
from pathlib import Path

from pytest_vdkprobe.config.native import read_text
from pytest_vdkprobe.config.nearest import did_you_mean, nearest
from pytest_vdkprobe.config.origin import Origin
from pytest_vdkprobe.errors import ConfigError
from pytest_vdkprobe.secrets import REDACTOR

HEARTBEAT_DEFAULT = Origin("default of vdk-heartbeat", "default")

KEYS: dict[str, str] = {
    "CONTROL_API_URL": "control.url",
    "VDK_HEARTBEAT_CONTROL_SERVICE_URL": "control.url",
    "VDKCLI_OAUTH2_REFRESH_TOKEN": "control.auth.token",
    "VDK_HEARTBEAT_API_TOKEN": "control.auth.token",
    "VDKCLI_OAUTH2_URI": "control.auth.url",
    "VDK_HEARTBEAT_API_TOKEN_AUTH_URL": "control.auth.url",
    "VDK_HEARTBEAT_OP_ID": "legacy.op_id",
    "JOB_NAME": "jobs.0.name",
    "JOB_TEAM": "control.team",
    "JOB_NOTIFICATION_MAIL": "jobs.0.contacts",
    "DATAJOB_DIRECTORY_PARENT": "jobs.0.path",
    "DATAJOB_DIRECTORY_NAME": "jobs.0.path",
    "JOB_RUN_TEST_MODULE_NAME": "legacy.run_test_module",
    "JOB_RUN_TEST_CLASS_NAME": "legacy.run_test_class",
    "RUN_TEST_TIMEOUT_SECONDS": "run.step_timeout_s",
    "CHECK_MANUAL_JOB_EXECUTION": "legacy.check_manual_job_execution",
    "CHECK_TEMPLATE_EXECUTION": "legacy.check_template_execution",
    "CLEAN_UP_ON_FAILURE": "legacy.clean_up_on_failure",
    "REPORT_JUNIT_XML_FILE_PATH": "legacy.junit_path",
    "VDK_HEARTBEAT_DEPLOY_JOB_VDK_VERSION": "jobs.0.vdk_version",
    "DATAJOB_DEPLOYMENT_PYTHON_VERSION": "jobs.0.python_version",
    "VDK_COMMAND_NAME": "",
    "DB_DEFAULT_TYPE": "jobs.0.db_default_type",
    "DATABASE_HOST": "legacy.database.host",
    "DATABASE_PORT": "legacy.database.port",
    "DATABASE_USER": "legacy.database.user",
    "DATABASE_PASS": "legacy.database.password",
    "DATABASE_USE_SSL": "legacy.database.use_ssl",
    "DATABASE_VERIFY_SSL": "legacy.database.verify_ssl",
    "DATABASE_AUTHENTICATION_MECHANISM": "legacy.database.mechanism",
    "DATABASE_TEST_DB": "legacy.database.schema",
    "DATABASE_TEST_TABLE_SOURCE": "legacy.database.table_source",
    "DATABASE_TEST_TABLE_DESTINATION": "legacy.database.table_destination",
    "DATABASE_TEST_TABLE_LOAD_DESTINATION": "legacy.database.table_load_destination",
    "DATABASE_CONNECTION_TIMEOUT_SECONDS": "legacy.database.timeout_s",
    "VDK_HEARTBEAT_INGEST_METHOD": "legacy.ingestion.method",
    "VDK_HEARTBEAT_INGEST_TARGET": "legacy.ingestion.target",
    "VDK_HEARTBEAT_INGEST_DESTINATION_TABLE": "legacy.ingestion.table",
    "VDK_HEARTBEAT_INGEST_TIMEOUT": "legacy.ingestion.timeout_s",
}
"""Every key of vdk-heartbeat, and the setting of ours that it becomes."""

CLI_KEYS = (
    "VDK_CONTROL_SERVICE_REST_API_URL",
    "VDK_API_TOKEN",
    "VDK_API_TOKEN_AUTHORIZATION_URL",
    "VDK_CONTROL_HTTP_VERIFY_SSL",
)
"""What the vdkcli that it starts takes from the environment, where its own keys say nothing."""

SECRETS = ("VDKCLI_OAUTH2_REFRESH_TOKEN", "VDK_HEARTBEAT_API_TOKEN", "DATABASE_PASS")

YES = ("yes", "y", "true", "t", "1", "on")
NO = ("no", "n", "false", "f", "0", "off")


class HeartbeatKeys:
    """The values of one ini merged with the environment; remembers where each came from."""

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.path = path
        self.environ = environ
        self.warnings: list[str] = []
        self.unknown: dict[str, str] = {}
        """Keys of the ini that nothing here reads, and what to say of each."""
        self._ini = configparser.ConfigParser()
        if path is not None:
            self._read(path)

    def text(self, *names: str) -> str | None:
        """The first of the keys that is set and not empty, its environment before its ini."""
        found = self.which(*names)
        return None if found is None else self._value(found)

    def which(self, *names: str) -> str | None:
        """The name of that first key."""
        return next((name for name in names if self._value(name)), None)

    def yes(self, name: str, *, default: bool) -> bool:
        """A yes/no key."""
        value = self.text(name)
        if value is None:
            return default
        word = value.strip().lower()
        if word in YES or word in NO:
            return word in YES
        raise self.error(f"{name} is neither yes nor no.", name, expected="true or false")

    def number(self, name: str, *, default: int) -> int:
        """A key that holds a whole number above zero."""
        value = self.text(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (number > 0 and number == number // 1 and math.isfinite(number)):
            raise self.error(
                f"{name} is not a whole number above zero.", name, expected="a whole number"
            )
        return int(number)

    def secret(self, *names: str) -> dict[str, str] | None:
        """The place of a secret, as a SecretRef is written; the value itself is only redacted."""
        name = self.which(*names)
        if name is None:
            return None
        REDACTOR.add(self._value(name) or "")
        if self.environ.get(name):
            return {"env": name}
        self.warnings.append(
            f"{self.path} holds the secret {name} in plain: keep it in the environment variable"
            f" {name} instead."
        )
        return {"file": str(self.path), "ini_key": name}

    def is_set(self, name: str) -> bool:
        """Whether the key is there at all, be it empty."""
        return bool(self.environ.get(name)) or name.lower() in self._ini.defaults()

    def origin(self, name: str | None) -> Origin:
        """Where the key's value stands."""
        if name is None:
            return HEARTBEAT_DEFAULT
        if self.environ.get(name):
            return Origin(f"environment {name}", "environment")
        return Origin(f"{self.path} key {name}", "file") if self.is_set(name) else HEARTBEAT_DEFAULT

    def error(
        self, what: str, name: str, *, expected: str | None = None, to_try: str | None = None
    ) -> ConfigError:
        """A ConfigError about a key, in the words of whoever wrote it."""
        from_file = not self.environ.get(name) and self.path is not None
        return ConfigError(
            what,
            file=str(self.path) if from_file else None,
            key=name if from_file else f"{name} (environment)",
            value=None if name in SECRETS else self._value(name),
            expected=expected,
            to_try=to_try or f"set {name} to what is expected",
        )

    def _value(self, name: str) -> str | None:
        given = self.environ.get(name)
        if given:
            return given
        if name in CLI_KEYS:
            return None
        try:
            return self._ini.get("DEFAULT", name, fallback=None)
        except configparser.InterpolationError as exc:
            # The cause quotes the value, which may be a password.
            raise ConfigError(
                f"The value of {name} has a % that is read as a reference: {type(exc).__name__}.",
                file=str(self.path),
                key=name,
                expected="%% for each % that is meant as such, or %(other_key)s",
                to_try="write every % twice, or set the key in the environment, where % is plain",
            ) from None

    def _read(self, path: Path) -> None:
        text = read_text(path, to_try="check the path; vdk-heartbeat would go on without it")
        try:
            self._ini.read_string(text, str(path))
        except configparser.Error as exc:
            raise _syntax_error(path, exc) from None
        for section in self._ini.sections():
            self.warnings.append(
                f"{path}: section [{section}] is not read, only [DEFAULT] is"
                + (
                    f"; did you mean [DEFAULT] for {section}?"
                    if section.upper() == "DEFAULT"
                    else ""
                )
                + "."
            )
        referenced = {name.lower() for name in re.findall(r"%\(([^)]+)\)s", text)}
        for key in self._ini.defaults():
            name = key.upper()
            if name not in KEYS and key not in referenced:
                near = nearest(name, KEYS)
                hint = f"; {did_you_mean(name, KEYS)}" if near else "."
                self.unknown[name] = f"{path}: the key {name} means nothing here{hint}"


def _syntax_error(path: Path, exc: configparser.Error) -> ConfigError:
    """configparser's complaint without the line itself, which may hold a token."""
    number = getattr(exc, "lineno", None)
    if isinstance(exc, configparser.MissingSectionHeaderError):
        what, to_try = "a key stands before any section", "write [DEFAULT] above the first key"
    elif isinstance(exc, configparser.DuplicateOptionError):
        what, to_try = f"the key {exc.option.upper()} stands there twice", "remove one of the two"
    elif isinstance(exc, configparser.DuplicateSectionError):
        what, to_try = f"the section [{exc.section}] stands there twice", "put the two together"
    else:
        number = exc.errors[0][0] if isinstance(exc, configparser.ParsingError) else number
        what, to_try = "a line is neither a key nor a section", "write it as KEY = value"
    where = f", line {number}" if number else ""
    return ConfigError(
        f"{path}{where} is not an ini: {what}.", file=str(path) + where, to_try=to_try
    )
